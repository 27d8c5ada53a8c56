"""How values look on the operators' screens. Data is hostile: it is only ever escaped."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from workflows.admin.punctuality import Overdue
from workflows.clock import clock
from workflows.models import OperatorAction

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
LONGEST_JSON = 50_000  # characters that a page shows of one value
MOST_COUNTED = 10_000
LONGEST_LINK = 36  # characters
NOTHING = "–"
# Control characters but the line's end, and those that change the direction of writing.
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def badge(status: str) -> SafeString:
    """Return a status as text on its colour."""
    return format_html('<span class="wf-badge wf-{}">{}</span>', status, status)


def moment(at: datetime | None) -> SafeString | str:
    """Return how long ago a moment was, with the moment itself behind it."""
    if at is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(timespec="milliseconds"),
        f"{at:%Y-%m-%d %H:%M:%S}",
        ago(at),
    )


def lateness(late_by: timedelta | None) -> SafeString:
    """Say of something that has happened whether it was late."""
    if late_by is None:
        return format_html('<span class="wf-quiet-text">{}</span>', _("on time"))
    return format_html("{} {}", badge("late"), _("by %s") % duration(late_by))


def overdue(what: Overdue) -> SafeString:
    """Say since when a firing is due, and how many more were missed since."""
    said = format_html("{} {}", badge("late"), _("due %s ago") % duration(clock.now() - what.since))
    if not what.missed:
        return said
    count = f"{what.missed}+" if what.is_many else str(what.missed)
    return format_html("{}, {}", said, _("%s more missed") % count)


def local(at: datetime) -> str:
    """Return a moment in the zone that it is in."""
    return f"{at:%a %d %b %Y %H:%M %Z}"


def ago(at: datetime) -> str:
    """Say how long ago, or in how long, a moment is."""
    passed = clock.now() - at
    return f"{duration(passed)} ago" if passed >= timedelta() else f"in {duration(-passed)}"


def between(start: datetime | None, end: datetime | None) -> str:
    """Say how long it was from one moment to another."""
    return NOTHING if start is None or end is None else duration(end - start)


def duration(length: timedelta | None) -> str:
    """Say how long something takes, in the unit that fits."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    name, size = next(unit for unit in UNITS if seconds >= unit[1])
    return f"{seconds / size:.1f} {name}"


def duration_ms(milliseconds: float) -> str:
    """Say how long so many milliseconds are."""
    return duration(timedelta(milliseconds=milliseconds))


def capped(count: int) -> str:
    """Say how many, where counting stopped at some number."""
    return f"{count:,}+" if count >= MOST_COUNTED else f"{count:,}"


def short_id(pk: str) -> str:
    """Return what tells an id apart at a glance: its last characters, which are chance."""
    return f"…{pk[-8:]}"


def link(model: str, pk: str | None, text: str | None = None) -> SafeString | str:
    """Return a link to a row's page; its text is cut where a line would choke on it."""
    if pk is None:
        return NOTHING
    url = reverse(f"admin:workflows_{model}_change", args=[pk])
    said = visible(text or pk)
    if len(said) <= LONGEST_LINK:
        return format_html('<a href="{}">{}</a>', url, said)
    return format_html('<a href="{}" title="{}">{}</a>', url, said, shortened(said, LONGEST_LINK))


def link_to_badge(model: str, pk: str, status: str) -> SafeString:
    """Return a row's status as a link to its page."""
    url = reverse(f"admin:workflows_{model}_change", args=[pk])
    return format_html('<a href="{}">{}</a>', url, badge(status))


def shortened(text: str, most: int) -> str:
    """Return a text, or its beginning and an ellipsis."""
    text = visible(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def sentence(action: OperatorAction) -> str:
    """Say what an operator did, and to what."""
    verb = action.action.replace("_", " ")
    noun = action.object_type.replace("_", " ")
    said = verb if verb.endswith(noun) else f"{verb} ({noun})"
    return f"{said} {action.object_id}"


def pretty_json(value: Any) -> SafeString:
    """Return JSON that a person can read, cut where a page would choke on it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    if len(text) > LONGEST_JSON:
        text = f"{text[:LONGEST_JSON]}\n... {len(text) - LONGEST_JSON} more characters"
    return format_html('<pre class="wf-json" tabindex="0">{}</pre>', visible(text))


def visible(text: str) -> str:
    r"""Write characters that turn or hide text as JSON may write them: as \u202e and the like."""
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
