"""How values look on the operators' screens. Data is hostile: it is only ever escaped."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows.clock import clock

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def badge(status: str) -> SafeString:
    """Return a status as text on its colour."""
    return format_html('<span class="wf-badge wf-{}">{}</span>', status, status)


def moment(at: datetime | None) -> SafeString | str:
    """Return how long ago a moment was, with the moment itself behind it."""
    if at is None:
        return "–"
    return format_html(
        '<time datetime="{0}" title="{0}">{1}</time>',
        at.isoformat(timespec="milliseconds"),
        ago(at),
    )


def ago(at: datetime) -> str:
    """Say how long ago, or in how long, a moment is."""
    passed = clock.now() - at
    return f"{duration(passed)} ago" if passed >= timedelta() else f"in {duration(-passed)}"


def duration(length: timedelta | None) -> str:
    """Say how long something takes, in the unit that fits."""
    if length is None:
        return "–"
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    name, size = next(unit for unit in UNITS if seconds >= unit[1])
    return f"{seconds / size:.1f} {name}"


def link(model: str, pk: str | None, text: str | None = None) -> SafeString | str:
    """Return a link to a row's page."""
    if pk is None:
        return "–"
    url = reverse(f"admin:workflows_{model}_change", args=[pk])
    return format_html('<a href="{}">{}</a>', url, text or pk)


def pretty_json(value: Any) -> SafeString:
    """Return JSON that a person can read."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)
    return format_html('<pre class="wf-json">{}</pre>', text)
