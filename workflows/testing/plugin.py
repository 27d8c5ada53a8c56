"""The pytest plugin: the fixture `workflows`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from workflows.testing.kit import Workflows


@pytest.fixture
def workflows(db: None) -> Iterator["Workflows"]:  # noqa: ARG001  it sets the database up
    """The engine for one test: its own clock, and workflows that are defined inside the test."""
    from workflows.testing.kit import running_workflows  # noqa: PLC0415  needs Django set up

    with running_workflows() as kit:
        yield kit
