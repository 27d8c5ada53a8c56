"""What decides at routing time which run comes of an event: a workflow's gates, compiled.

The expressions are evaluated before the engine's lock is taken; what they give are marks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows.definitions.expressions import Expression, compile_expression, key_text
from workflows.engine.limits import LONGEST_VALUE, digest
from workflows.models import GatherKind


@dataclass(frozen=True, slots=True)
class Mark:
    """The value of a gate's key for one event.

    Attributes:
        digest: by which the gate knows the value.
        text: what operators read: the key and its value.
    """

    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What the gates of a workflow need of one event; None: that gate lets it pass."""

    idempotency: Mark | None = None
    rate_limit: Mark | None = None
    gather: Mark | None = None
    singleton: Mark | None = None


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Whose events belong together: those with an equal value of the key, or all."""

    gate: str
    workflow: str
    key: Expression | None

    def mark(self, event: Mapping[str, Any]) -> Mark:
        """Return the mark of an event; a missing value is null's, which is one like any other."""
        if self.key is None:
            return Mark(digest(self.gate, self.workflow), "")
        value = key_text(self.key.evaluate(event=dict(event)))
        text = f" for {self.key.text} = {value[:LONGEST_VALUE]}"
        return Mark(digest(self.gate, self.workflow, self.key.text, value), text)


@dataclass(frozen=True, slots=True)
class IdempotencyRule:
    """One run for each value in a period."""

    keys: KeyRule
    period: timedelta

    def mark(self, event: Mapping[str, Any]) -> Mark | None:
        """Return the mark of an event; one without a value repeats nothing."""
        key = self.keys.key
        if key is None or key.evaluate(event=dict(event)) is None:
            return None
        return self.keys.mark(event)


@dataclass(frozen=True, slots=True)
class RateLimitRule:
    """Never more than `limit` acceptances in any period."""

    keys: KeyRule
    limit: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class GatherRule:
    """Events with an equal key make one run.

    Attributes:
        kind: whether the run has the latest of them, or all.
        keys: which events belong together.
        wait: how long after the last event (debounce) or the first (batch) the window closes.
        timeout: how long after the first event a debounce closes at the latest.
        max_size: with how many events a batch closes.
        condition: a batch gathers only events for which it is true.
    """

    kind: GatherKind
    keys: KeyRule
    wait: timedelta
    timeout: timedelta | None = None
    max_size: int | None = None
    condition: Expression | None = None

    def mark(self, event: Mapping[str, Any]) -> Mark | None:
        """Return the mark of an event; None where it is not to be gathered."""
        if self.condition is not None and not self.condition.truth(event=dict(event)):
            return None
        return self.keys.mark(event)


@dataclass(frozen=True, slots=True)
class SingletonRule:
    """One active run for each value."""

    keys: KeyRule
    cancels: bool


@dataclass(frozen=True, slots=True)
class GateRules:
    """All gates of one workflow, in the order in which they decide."""

    idempotency: IdempotencyRule | None
    rate_limit: RateLimitRule | None
    gather: GatherRule | None
    singleton: SingletonRule | None

    def marks(self, event: Mapping[str, Any]) -> Marks:
        """Return what the gates need of an event."""
        return Marks(
            idempotency=self.idempotency.mark(event) if self.idempotency else None,
            rate_limit=self.rate_limit.keys.mark(event) if self.rate_limit else None,
            gather=self.gather.mark(event) if self.gather else None,
            singleton=self.singleton.keys.mark(event) if self.singleton else None,
        )


def compile_gates(workflow: str, declaration: Mapping[str, Any]) -> GateRules | None:
    """Return the gates of a workflow; None where it has none."""
    rules = GateRules(
        idempotency=_idempotency(workflow, declaration["idempotency"]),
        rate_limit=_rate_limit(workflow, declaration["rate_limit"]),
        gather=_debounce(workflow, declaration["debounce"])
        or _batch(workflow, declaration["batch"]),
        singleton=_singleton(workflow, declaration["singleton"]),
    )
    return None if rules == GateRules(None, None, None, None) else rules


def _keys(gate: str, workflow: str, text: str | None) -> KeyRule:
    return KeyRule(gate, workflow, None if text is None else compile_expression(text))


def _milliseconds(number: int) -> timedelta:
    return timedelta(milliseconds=number)


def _idempotency(workflow: str, rule: Mapping[str, Any] | None) -> IdempotencyRule | None:
    if rule is None:
        return None
    return IdempotencyRule(
        _keys("idempotency", workflow, rule["key"]), _milliseconds(rule["period_ms"])
    )


def _rate_limit(workflow: str, rule: Mapping[str, Any] | None) -> RateLimitRule | None:
    if rule is None:
        return None
    return RateLimitRule(
        _keys("rate_limit", workflow, rule["key"]), rule["limit"], _milliseconds(rule["period_ms"])
    )


def _debounce(workflow: str, rule: Mapping[str, Any] | None) -> GatherRule | None:
    if rule is None:
        return None
    timeout = rule["timeout_ms"]
    return GatherRule(
        kind=GatherKind.DEBOUNCE,
        keys=_keys("debounce", workflow, rule["key"]),
        wait=_milliseconds(rule["period_ms"]),
        timeout=None if timeout is None else _milliseconds(timeout),
    )


def _batch(workflow: str, rule: Mapping[str, Any] | None) -> GatherRule | None:
    if rule is None:
        return None
    return GatherRule(
        kind=GatherKind.BATCH,
        keys=_keys("batch", workflow, rule["key"]),
        wait=_milliseconds(rule["timeout_ms"]),
        max_size=rule["max_size"],
        condition=compile_expression(rule["if"]) if rule["if"] else None,
    )


def _singleton(workflow: str, rule: Mapping[str, Any] | None) -> SingletonRule | None:
    if rule is None:
        return None
    return SingletonRule(_keys("singleton", workflow, rule["key"]), rule["mode"] == "cancel")
