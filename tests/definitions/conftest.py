"""Declarations are tested with an empty registry: not with what the installed apps declare."""

from collections.abc import Iterator

import pytest

from workflows.definitions.registry import Registry, isolated_registry, registry


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Give a registry that knows nothing, and forget what the test declares."""
    with isolated_registry():
        monkeypatch.setattr(registry, "_workflows", {})
        yield registry
