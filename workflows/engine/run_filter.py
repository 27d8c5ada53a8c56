"""Which runs: the one filter that lists, the HTTP API, commands and bulk operations use."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Self

from django.db.models import CharField, F, Func, Q, QuerySet
from django.db.models.lookups import IContains
from django.utils.dateparse import parse_datetime

from workflows.clock import milliseconds
from workflows.errors import InvalidFilter
from workflows.ids import first_at
from workflows.models import Run, RunStatus, RunTag

ID_SLACK = 5 * 60 * 1000  # milliseconds by which a run's id may be older than the run
MOMENT = "a moment in ISO 8601 with its zone, such as 2026-01-31T12:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """What runs have in common; what is None asks nothing.

    Attributes:
        workflow: their workflow's id.
        status: their status.
        event: the id of the event that started them.
        event_name: that event's name.
        tag: one of their tags, as in `customer:4711`.
        since: created then or later.
        until: created before then.
        error: a text that their error's name or message contains, whatever its case.
        fingerprint: that of their error.
    """

    workflow: str | None = None
    status: str | None = None
    event: str | None = None
    event_name: str | None = None
    tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no run can have."""
        for field, check in _CHECKS.items():
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, check(field, value))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read a filter as `as_json` writes it; moments may be texts in ISO 8601.

        Raises:
            InvalidFilter: a field is unknown, or its value is wrong.
        """
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                close = get_close_matches(str(name), names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}."
                message = f"Runs cannot be filtered by {name!r}: {hint}"
                raise InvalidFilter(message)
        return cls(**given)

    def as_json(self) -> dict[str, str]:
        """Write the filter as JSON, without what it does not ask."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in asdict(self).items()
            if value is not None
        }

    def runs(self) -> QuerySet[Run]:
        """Return the runs that fit, in no order."""
        runs = Run.objects.filter(self._of_own_columns())
        if self.since is not None:
            # Indexes end with the id, which holds the time at which it was made: those that are
            # far too old are not looked at.
            oldest = max(0, milliseconds(self.since) - ID_SLACK)
            runs = runs.filter(pk__gte=first_at(oldest))
        if self.event_name is not None:
            runs = runs.filter(event__name=self.event_name)
        if self.tag is not None:
            name, _, value = self.tag.partition(":")
            tagged = RunTag.objects.filter(name=name, value=value)
            runs = runs.filter(pk__in=tagged.values("run_id"))
        if self.error is not None:
            contains = IContains(ErrorText(F("error")), self.error)
            runs = runs.filter(contains, error__isnull=False)
        return runs

    def _of_own_columns(self) -> Q:
        asked = {
            "workflow": self.workflow,
            "status": self.status,
            "event_id": self.event,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
            "fingerprint": self.fingerprint,
        }
        return Q(**{name: value for name, value in asked.items() if value is not None})


class ErrorText(Func):
    """The name and the message of the error that a column holds as JSON text."""

    output_field = CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Read the text as JSON."""
        template = "concat(%(expressions)s::json->>'name', ': ', %(expressions)s::json->>'message')"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Read the text as JSON."""
        template = (
            "json_extract(%(expressions)s, '$.name') || ': ' || "
            "json_extract(%(expressions)s, '$.message')"
        )
        return self.as_sql(compiler, connection, template=template, **context)


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidFilter(f"The filter {field} is a text without NUL, not {value!r:.50}.")
    return value


def _status(field: str, value: object) -> str:
    if value not in RunStatus.values:
        message = f"The filter {field} is one of {', '.join(RunStatus.values)}, not {value!r:.50}."
        raise InvalidFilter(message)
    return str(value)


def _tag(field: str, value: object) -> str:
    name, separator, _ = _text(field, value).partition(":")
    if not separator or not name:
        message = f"The filter {field} is key:value, as in customer:4711, not {value!r:.50}."
        raise InvalidFilter(message)
    return str(value)


def _moment(field: str, value: object) -> datetime:
    moment: object = value
    if isinstance(value, str):
        try:
            moment = parse_datetime(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidFilter(f"The filter {field} is {MOMENT}, not {value!r:.50}.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidFilter(f"The filter {field} is {MOMENT}, not {value!r:.50}.") from error


_CHECKS: dict[str, Callable[[str, object], Any]] = {
    "workflow": _text,
    "status": _status,
    "event": _text,
    "event_name": _text,
    "tag": _tag,
    "since": _moment,
    "until": _moment,
    "error": _text,
    "fingerprint": _text,
}
