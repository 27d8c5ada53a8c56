"""What limits the runs of a workflow: its declaration, with the operators' overrides, compiled.

A regime is read under the engine's lock, by the catalogue's revision, so that a change holds at
once on every host.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import isnan
from typing import Any

from workflows.definitions.expressions import Expression, compile_expression, key_text
from workflows.definitions.flow_control import Counts

LONGEST_VALUE = 200  # characters of a key's value that operators see
MOST_HEAD_START = 600  # seconds
DIGEST_BYTES = 15
MOST_REMEMBERED = 10_000  # placements of a workflow


@dataclass(frozen=True, slots=True)
class ConcurrencyRule:
    """At most `limit` runs at once, for each value of the key."""

    limit: int
    key: Expression | None
    is_shared: bool
    counts: Counts
    is_one_of_two: bool  # its workflow counts the same key in the other way, too

    @property
    def name(self) -> str:
        """Name the rule for operators."""
        at_once = "active" if self.counts == "active" else "at once"
        scope = ", shared by all workflows with this key" if self.is_shared else ""
        return f"{self.limit} {at_once}" + (f" by {self.key.text}{scope}" if self.key else "")


@dataclass(frozen=True, slots=True)
class ThrottleRule:
    """`limit` starts in a period, and `limit + burst` at once, for each value of the key."""

    limit: int
    period: timedelta
    burst: int
    key: Expression | None


@dataclass(frozen=True)
class Placement:
    """Where a run waits: its lane, and the limits whose slots it takes."""

    lane: str
    workflow: str
    shape: str
    values: tuple[str, ...]
    limits: tuple[str | None, str | None]
    pace: str | None
    counts_while_active: bool
    is_held: bool


@dataclass(frozen=True)
class Regime:
    """What holds for the runs of one workflow."""

    workflow: str
    queue: str
    concurrency: tuple[ConcurrencyRule, ...]
    throttle: ThrottleRule | None
    paused_at: datetime | None
    is_known: bool
    settled: str

    @property
    def is_paused(self) -> bool:
        """Whether an operator has paused the workflow."""
        return self.paused_at is not None

    @cached_property
    def has_lanes(self) -> bool:
        """Whether its runs wait in lanes at all."""
        return bool(self.concurrency or self.throttle or self.is_paused)

    @cached_property
    def shape(self) -> str:
        """The digest of all that decides in which lane a run is."""
        return digest(
            self.workflow,
            [[_text(rule.key), rule.is_shared, rule.counts] for rule in self.concurrency],
            [_text(self.throttle.key)] if self.throttle else None,
        )

    @cached_property
    def summary(self) -> str:
        """What a run is put under: equal summaries need no change of any run."""
        if not self.has_lanes:
            return ""
        return f"{self.shape} paused" if self.is_paused else self.shape

    def placement(self, event: Mapping[str, Any]) -> Placement:
        """Return where a run of this event waits."""
        keys = [rule.key for rule in self.concurrency]
        if self.throttle:
            keys.append(self.throttle.key)
        return self._placement_for(tuple(_value(key, event) for key in keys))

    def _placement_for(self, values: tuple[str, ...]) -> Placement:
        known = self._placements.get(values)
        if known is None:
            if len(self._placements) >= MOST_REMEMBERED:
                self._placements.clear()
            known = self._placements[values] = self._new_placement(values)
        return known

    @cached_property
    def _placements(self) -> dict[tuple[str, ...], Placement]:
        return {}

    def _new_placement(self, values: tuple[str, ...]) -> Placement:
        limits = [
            digest("limit", None if rule.is_shared else self.workflow, _text(rule.key), value)
            for rule, value in zip(self.concurrency, values, strict=False)
        ]
        first, second = (*limits, None, None)[:2]
        throttle = self.throttle
        return Placement(
            lane=digest("lane", self.shape, *values),
            workflow=self.workflow,
            shape=self.shape,
            values=tuple(value[:LONGEST_VALUE] for value in values),
            limits=(first, second),
            pace=digest("pace", self.workflow, _text(throttle.key), values[-1])
            if throttle
            else None,
            counts_while_active=any(rule.counts == "active" for rule in self.concurrency),
            is_held=self.is_paused,
        )


def compile_regime(
    workflow: str,
    declaration: Mapping[str, Any],
    *,
    paused_at: datetime | None,
    is_known: bool,
    settled: str,
) -> Regime:
    """Return the regime of a workflow, whose declaration has the overrides in it."""
    return Regime(
        workflow=workflow,
        queue=declaration["queue"],
        concurrency=_concurrency(declaration["concurrency"]),
        throttle=_throttle(declaration["throttle"]),
        paused_at=paused_at,
        is_known=is_known,
        settled=settled,
    )


def head_start_ms(priority: Expression | None, event: Mapping[str, Any]) -> int:
    """Return a run's head start: its priority in seconds, from -600 to 600; no number is 0."""
    if priority is None:
        return 0
    seconds = priority.evaluate(event=dict(event))
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or isnan(seconds):
        return 0
    return round(1000 * max(-MOST_HEAD_START, min(MOST_HEAD_START, seconds)))


def digest(*parts: Any) -> str:
    """Return the digest by which a lane, a limit or a pace is known: 20 characters."""
    text = json.dumps(parts)
    short = hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
    return urlsafe_b64encode(short).decode()


def _concurrency(rules: Sequence[Mapping[str, Any]]) -> tuple[ConcurrencyRule, ...]:
    names = [(rule["key"], rule["scope"]) for rule in rules]
    return tuple(
        ConcurrencyRule(
            limit=rule["limit"],
            key=_compiled(rule["key"]),
            is_shared=rule["scope"] == "platform",
            counts=rule["counts"],
            is_one_of_two=names.count(name) > 1,
        )
        for rule, name in zip(rules, names, strict=True)
    )


def _throttle(rule: Mapping[str, Any] | None) -> ThrottleRule | None:
    if rule is None:
        return None
    return ThrottleRule(
        limit=rule["limit"],
        period=timedelta(milliseconds=rule["period_ms"]),
        burst=rule["burst"],
        key=_compiled(rule["key"]),
    )


def _compiled(text: str | None) -> Expression | None:
    return None if text is None else compile_expression(text)


def _text(key: Expression | None) -> str | None:
    return None if key is None else key.text


def _value(key: Expression | None, event: Mapping[str, Any]) -> str:
    """Return a key's value as text; a missing one is null's, which is a value like any other."""
    return "" if key is None else key_text(key.evaluate(event=dict(event)))


def limits_of(row: Sequence[str | None]) -> list[str]:
    """Return the limits among two columns."""
    return [limit for limit in row if limit is not None]
