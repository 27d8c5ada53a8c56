"""`docs/observability.md` has every metric and every event of the log, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from workflows.api.metrics import Platform

PAGE = Path(settings.BASE_DIR) / "docs" / "observability.md"
LOG_CALL = re.compile(r'logger\.(debug|info|warning|error|exception)\(\s*f?"([a-z]+(?:\.[a-z_]+)+)')


def table(heading: str) -> Iterator[list[str]]:
    """Give the rows of the page's table whose first column has this heading."""
    _, found, rest = PAGE.read_text().partition(f"| {heading} |")
    assert found, f"There is no table of {heading}s."
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip(" `") for cell in line.split("|")[1:-1]]


def test_every_metric_is_documented_with_its_kind_and_labels(db: None) -> None:
    documented = {row[0].removesuffix("_total"): row[1] for row in table("metric")}

    assert documented == {metric.name: metric.type for metric in Platform().collect()}


def test_every_event_of_the_log_is_documented_with_its_levels() -> None:
    written: dict[str, set[str]] = {}
    for path in (Path(settings.BASE_DIR) / "workflows").rglob("*.py"):
        for level, event in LOG_CALL.findall(path.read_text()):
            written.setdefault(event, set()).add("error" if level == "exception" else level)

    documented = {row[0]: set(row[1].split(", ")) for row in table("event")}

    assert documented == written
