"""What an author may say about when runs start, how many at once, and when they are cancelled.

Each class is a value as the author wrote it. `checked()` gives it with durations as `timedelta`s
and events as names, or raises a WorkflowsError that names the argument; `workflow(...)` calls it,
and adds the workflow's name. `declaration()` of a checked one is what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, get_args

from workflows.definitions.durations import Duration, milliseconds, positive_duration
from workflows.definitions.events import EventData
from workflows.definitions.expressions import (
    EVENT_AND_ASYNC,
    compile_expression,
    match_expression,
)
from workflows.definitions.triggers import event_name, require_exact_name
from workflows.errors import InvalidWorkflow

Scope = Literal["workflow", "platform"]
Counts = Literal["executing", "active"]
SingletonMode = Literal["skip", "cancel"]


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` runs at once, of the workflow or for each value of a key.

    Attributes:
        limit: how many.
        key: an expression over the event.
        scope: "workflow", or "platform" to share the count with every workflow that has the key.
        counts: "executing" (sleeping and waiting runs hold no slot) or "active" (all do).
    """

    limit: int
    key: str | None = None
    scope: Scope = "workflow"
    counts: Counts = "executing"

    def checked(self) -> Concurrency:
        """Give the limit if it is right."""
        _require_count("limit", self.limit)
        _require_key(self.key)
        _require_choice("scope", self.scope, get_args(Scope))
        _require_choice("counts", self.counts, get_args(Counts))
        if self.scope == "platform" and self.key is None:
            raise InvalidWorkflow(
                'scope="platform" needs a key, by which workflows share the count.'
            )
        return self

    def declaration(self) -> dict[str, Any]:
        """Give the limit as it is stored."""
        return {
            "limit": self.limit,
            "key": self.key,
            "scope": self.scope,
            "counts": self.counts,
        }


@dataclass(frozen=True, slots=True)
class Throttle:
    """Starts are spread: `limit` in a `period`, and `limit + burst` at once; the excess waits.

    Attributes:
        limit: how many starts a period refills.
        period: in which time.
        burst: how many more may start at once.
        key: an expression over the event; each value has a limit of its own.
    """

    limit: int
    period: Duration
    burst: int = 0
    key: str | None = None

    def checked(self) -> Throttle:
        """Give the limit with its period as a `timedelta`."""
        _require_count("limit", self.limit)
        _require_count("burst", self.burst, least=0)
        _require_key(self.key)
        return replace(self, period=positive_duration(self.period, argument="period"))

    def declaration(self) -> dict[str, Any]:
        """Give the limit as it is stored."""
        return {
            "limit": self.limit,
            "period_ms": _stored(self.period),
            "burst": self.burst,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Never more than `limit` starts in any `period`; the excess is skipped.

    Attributes:
        limit: how many.
        period: in which time.
        key: an expression over the event; each value has a limit of its own.
    """

    limit: int
    period: Duration
    key: str | None = None

    def checked(self) -> RateLimit:
        """Give the limit with its period as a `timedelta`."""
        _require_count("limit", self.limit)
        _require_key(self.key)
        return replace(self, period=positive_duration(self.period, argument="period"))

    def declaration(self) -> dict[str, Any]:
        """Give the limit as it is stored."""
        return {"limit": self.limit, "period_ms": _stored(self.period), "key": self.key}


@dataclass(frozen=True, slots=True)
class Debounce:
    """One run, with the latest event, after `period` of quiet.

    Attributes:
        period: how long no event must come.
        key: an expression over the event; each value is debounced by itself.
        timeout: the longest delay, counted from the first event.
    """

    period: Duration
    key: str | None = None
    timeout: Duration | None = None

    def checked(self) -> Debounce:
        """Give the rule with its durations as `timedelta`s."""
        _require_key(self.key)
        return replace(
            self,
            period=positive_duration(self.period, argument="period"),
            timeout=_optional_duration("timeout", self.timeout),
        )

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {
            "period_ms": _stored(self.period),
            "key": self.key,
            "timeout_ms": _stored(self.timeout),
        }


@dataclass(frozen=True, slots=True)
class Priority:
    """A head start, in seconds, among the runs that wait.

    Attributes:
        run: an expression over the event, such as "event.data.vip ? 120 : 0"; its value is
            taken as from -600 to 600, and no number as 0.
    """

    run: str

    def checked(self) -> Priority:
        """Give the rule if it is right."""
        compile_expression(self.run, argument="run")
        return self

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {"run": self.run}


@dataclass(frozen=True, slots=True)
class Batch:
    """Gathers events for one run, whose function takes a list of them.

    Attributes:
        max_size: with how many events the run starts at the latest.
        timeout: how long after the first event it starts at the latest.
        key: an expression over the event; each value is gathered by itself.
        if_: an expression; events for which it is not true run singly, at once.
    """

    max_size: int
    timeout: Duration
    key: str | None = None
    if_: str | None = None

    def checked(self) -> Batch:
        """Give the rule with its timeout as a `timedelta`."""
        _require_count("max_size", self.max_size)
        _require_key(self.key)
        if self.if_ is not None:
            compile_expression(self.if_, argument="if_")
        return replace(self, timeout=positive_duration(self.timeout, argument="timeout"))

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {
            "max_size": self.max_size,
            "timeout_ms": _stored(self.timeout),
            "key": self.key,
            "if": self.if_,
        }


@dataclass(frozen=True, slots=True)
class Singleton:
    """One active run, of the workflow or for each value of a key.

    Attributes:
        key: an expression over the event.
        mode: what a second run does: "skip" (itself) or "cancel" (the first).
    """

    key: str | None = None
    mode: SingletonMode = "skip"

    def checked(self) -> Singleton:
        """Give the rule if it is right."""
        _require_key(self.key)
        _require_choice("mode", self.mode, get_args(SingletonMode))
        return self

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {"key": self.key, "mode": self.mode}


@dataclass(frozen=True, slots=True)
class Idempotency:
    """One run for each value of a key in a period; further ones are skipped.

    Attributes:
        key: an expression over the event.
        period: counted from the event that started the run.
    """

    key: str
    period: Duration = "24h"

    def checked(self) -> Idempotency:
        """Give the rule with its period as a `timedelta`."""
        compile_expression(self.key, argument="key")
        return replace(self, period=positive_duration(self.period, argument="period"))

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {"key": self.key, "period_ms": _stored(self.period)}


@dataclass(frozen=True, slots=True)
class CancelOn:
    """An event that cancels the workflow's runs.

    Attributes:
        event: an `EventData` class or an event's name.
        match: a path, such as "data.orderId", at which both events must have the same value.
        if_: an expression over `event`, the run's own, and `async`, the arriving one.
        timeout: how long after the run's creation the rule holds; None is until its end.
    """

    event: str | type[EventData]
    match: str | None = None
    if_: str | None = None
    timeout: Duration | None = None

    def condition(self) -> str | None:
        """Give `match` and `if_` as one expression, or None where every such event cancels."""
        return joined_condition(match=self.match, if_=self.if_)

    def checked(self) -> CancelOn:
        """Give the rule with its event as a name and its timeout as a `timedelta`."""
        self.condition()
        return replace(
            self,
            event=require_exact_name(self.event),
            timeout=_optional_duration("timeout", self.timeout),
        )

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {
            "event": event_name(self.event),
            "if": self.condition(),
            "timeout_ms": _stored(self.timeout),
        }


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a run is cancelled because it takes too long.

    Attributes:
        start: how long after it was due a run must start.
        finish: how long after its start it must end.
    """

    start: Duration | None = None
    finish: Duration | None = None

    def checked(self) -> Timeouts:
        """Give the rule with its durations as `timedelta`s."""
        return Timeouts(
            start=_optional_duration("start", self.start),
            finish=_optional_duration("finish", self.finish),
        )

    def declaration(self) -> dict[str, Any]:
        """Give the rule as it is stored."""
        return {"start_ms": _stored(self.start), "finish_ms": _stored(self.finish)}


def joined_condition(*, match: str | None, if_: str | None) -> str | None:
    """Give the `match` and the `if_` of a wait or a cancel rule as one expression.

    Raises:
        InvalidExpression: one of them cannot be compiled.
    """
    conditions = []
    if match is not None:
        conditions.append(match_expression(match))
    if if_ is not None:
        compile_expression(if_, variables=EVENT_AND_ASYNC, argument="if_")
        # On a line of its own, the closing parenthesis is not part of a comment at the end.
        conditions.append(if_ if match is None else f"({if_}\n)")
    return " && ".join(conditions) or None


def _require_key(key: str | None) -> None:
    if key is not None:
        compile_expression(key, argument="key")


def _require_count(name: str, value: object, *, least: int = 1) -> None:
    if type(value) is not int or value < least:
        raise InvalidWorkflow(f"{name} must be a whole number of at least {least}, not {value!r}.")


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        wanted = " or ".join(f'"{choice}"' for choice in choices)
        raise InvalidWorkflow(f"{name} must be {wanted}, not {value!r}.")


def _optional_duration(name: str, value: Duration | None) -> timedelta | None:
    return None if value is None else positive_duration(value, argument=name)


def _stored(duration: Duration | None) -> int | None:
    return None if duration is None else milliseconds(positive_duration(duration))
