"""Say at the end how much was simulated."""

from typing import Any

SIMULATED = "simulated runs"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum up what the tests have recorded, in whichever process they were."""
    recorded = [
        count
        for report in terminalreporter.stats.get("passed", [])
        for name, count in report.user_properties
        if name == SIMULATED
    ]
    if recorded:
        terminalreporter.write_line(f"{sum(recorded)} runs were simulated without a bug")
