"""What every test has: the fixture `workflows`, with the real engine on a virtual clock."""

import pytest
from hypothesis import settings

pytest_plugins = ["workflows.testing"]

# A busy machine is slow, and no test fails for that.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

WITH_REAL_PROCESSES = ("browser", "chaos", "limits", "overrun")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try again what other work on the machine can starve: a promise that broke breaks again."""
    for item in items:
        if item.path.parent.name in WITH_REAL_PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=2))
