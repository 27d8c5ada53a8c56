"""Gates: which run comes of an event, decided when it is routed, one start after another.

The order is the contract's: idempotency, rate limit, debounce or batch, singleton. What a later
gate refuses has passed the earlier ones: it counts as accepted by the rate limit; its value has
had no run, and so may have one later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from workflows.engine.cancel import cancel_in_transaction
from workflows.engine.catalogue import Catalogue
from workflows.engine.ends import lock_with_callers
from workflows.engine.gate_rules import GateRules, Mark, Marks
from workflows.engine.gather import Window, Windows, close_overdue
from workflows.engine.idempotency import SeenValues
from workflows.engine.rate_limit import Acceptances
from workflows.engine.rows import UnroutedEvent
from workflows.engine.singleton import Singletons, replaced_by
from workflows.models import RunStatus


@dataclass(frozen=True, slots=True)
class Start:
    """An event that would start a run of a workflow with gates."""

    id: str
    event: UnroutedEvent
    rules: GateRules
    marks: Marks


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a new run is written as.

    Attributes:
        start: whose event it has.
        status: queued, or skipped or cancelled at once, with the reason.
        reason: why.
        window: the events that it gathers.
        gathers: the key whose events it gathers, while its window is open.
        singleton: the key of which it is the only active run.
    """

    start: str
    status: RunStatus = RunStatus.QUEUED
    reason: str | None = None
    window: Window | None = None
    gathers: str | None = None
    singleton: str | None = None

    @property
    def may_start(self) -> bool:
        """Whether it goes to where all new runs go."""
        return self.status == RunStatus.QUEUED and self.window is None


@dataclass(slots=True)
class Judgement:
    """What becomes of all starts: the runs to write by id, and the windows with another event."""

    runs: dict[str, Verdict] = field(default_factory=dict)
    superseded: list[Window] = field(default_factory=list)


def judge(starts: Sequence[Start], catalogue: Catalogue, now: datetime) -> Judgement:
    """Decide about starts in their order, and write what the gates remember of it."""
    keys = _digests(start.marks.gather for start in starts)
    close_overdue(keys, catalogue, now)
    judging = Judging(starts, now)
    for start in starts:
        judging.decide(start)
    return judging.write(catalogue)


class Judging:
    """One turn of routing, as the gates see it."""

    def __init__(self, starts: Sequence[Start], now: datetime) -> None:
        self._seen = SeenValues(_digests(start.marks.idempotency for start in starts), now)
        limits = {
            start.marks.rate_limit.digest: start.rules.rate_limit
            for start in starts
            if start.marks.rate_limit and start.rules.rate_limit
        }
        self._acceptances = Acceptances(limits, now)
        self._windows = Windows(_digests(start.marks.gather for start in starts), now)
        self._singletons = Singletons(_digests(start.marks.singleton for start in starts))
        self._runs: dict[str, Verdict] = {}
        self._cancelled: dict[str, str] = {}

    def decide(self, start: Start) -> None:
        """Say what becomes of one start."""
        refusal = self._refusal(start)
        if refusal is not None:
            self._runs[start.id] = Verdict(start.id, RunStatus.SKIPPED, refusal)
            return
        rules, marks = start.rules, start.marks
        if rules.rate_limit and marks.rate_limit:
            self._acceptances.accept(rules.rate_limit, marks.rate_limit)
        run_id = self._gather(start) if marks.gather else self._start(start)
        if run_id is not None and rules.idempotency and marks.idempotency:
            self._seen.remember(rules.idempotency, marks.idempotency, run_id)

    def write(self, catalogue: Catalogue) -> Judgement:
        """Write what the gates remember; cancel the runs whose places are taken."""
        if self._cancelled:
            lock_with_callers(list(self._cancelled))
        for run_id, reason in sorted(self._cancelled.items()):
            cancel_in_transaction(run_id, reason=reason)
        self._seen.write()
        self._acceptances.write()
        self._windows.write(catalogue)
        return Judgement(self._settled_runs(), self._windows.superseded())

    def _refusal(self, start: Start) -> str | None:
        rules, marks = start.rules, start.marks
        refusal = None
        if rules.idempotency and marks.idempotency:
            refusal = self._seen.refusal(rules.idempotency, marks.idempotency)
        if refusal is None and rules.rate_limit and marks.rate_limit:
            refusal = self._acceptances.refusal(rules.rate_limit, marks.rate_limit)
        return refusal

    def _gather(self, start: Start) -> str:
        """Let the event join a window; return the run that gathers it."""
        rule, mark = start.rules.gather, start.marks.gather
        assert rule is not None  # its mark is there
        assert mark is not None  # the caller has asked
        window = self._windows.join(start.id, start.event, rule, mark)
        if window.is_new:
            self._runs[window.run_id] = Verdict(start.id, window=window, gathers=mark.digest)
        return window.run_id

    def _start(self, start: Start) -> str | None:
        """Let the event start a run of its own, unless it must be the only one; return the run."""
        rule, mark = start.rules.singleton, start.marks.singleton
        if rule is None or mark is None:
            self._runs[start.id] = Verdict(start.id)
            return start.id
        refusal = self._singletons.refusal(rule, mark)
        if refusal is not None:
            self._runs[start.id] = Verdict(start.id, RunStatus.SKIPPED, refusal)
            return None
        replaced = self._singletons.claim(mark, start.id)
        if replaced is not None:
            self._replace(replaced, reason=replaced_by(start.id, mark))
        self._runs[start.id] = Verdict(start.id, singleton=mark.digest)
        return start.id

    def _replace(self, run_id: str, *, reason: str) -> None:
        """Cancel a run, which may be one that is only about to be written."""
        if run_id in self._runs:
            self._runs[run_id] = replace(
                self._runs[run_id], status=RunStatus.CANCELLED, reason=reason
            )
        else:
            self._cancelled[run_id] = reason

    def _settled_runs(self) -> dict[str, Verdict]:
        """Give each new run the event that its window has come to."""
        return {
            run_id: verdict
            if verdict.window is None
            else replace(
                verdict,
                start=verdict.window.starts_with or verdict.start,
                gathers=None if verdict.window.is_full else verdict.gathers,
            )
            for run_id, verdict in self._runs.items()
        }


def _digests(marks: Iterable[Mark | None]) -> list[str]:
    return sorted({mark.digest for mark in marks if mark is not None})
