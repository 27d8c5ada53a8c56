"""Test workflows with the real engine, in the test's own process and database, on a virtual clock.

This module is the pytest plugin: load it in `conftest.py` with
`pytest_plugins = ["workflows.testing"]`; then a test asks for the fixture `workflows`.
"""

from typing import TYPE_CHECKING, Any

from workflows.testing.plugin import workflows

if TYPE_CHECKING:
    from workflows.testing.kit import Workflows

__all__ = ["Workflows", "workflows"]


def __getattr__(name: str) -> Any:
    """Import the kit when it is first used: it needs models, which pytest loads later."""
    if name != "Workflows":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from workflows.testing.kit import Workflows  # noqa: PLC0415  as above

    return Workflows
