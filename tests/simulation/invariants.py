"""What must be so: after every transaction, and at the end of a history."""

import json
from collections import Counter
from collections.abc import Set
from datetime import datetime
from typing import Any

from tests.simulation.flow_control import FlowControl
from tests.simulation.journal import Broken, Journal, require
from tests.simulation.snapshots import EMPTY, EventNow, RunNow, Snapshot, StepNow
from tests.simulation.workflows import GATHERING, STARTS
from workflows.engine.catalogue import ABOUT_ENDS
from workflows.models.run import ENDED, SUSPENDED, UNENDED

WAITS = ("wait_for_event", "wait_for_signal", "invoke")
STEP_ENDED = ("completed", "failed")
LETS_GO = ("store", "give back", "give back forgotten")
MAX_WORKER_LOSSES = 3
EXPECTED = {name: {name} for name in STARTS if name not in GATHERING} | {"told": {"told"}}


class Invariants:
    """Compares the tables before and after each transaction, and remembers what it must."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._before = EMPTY
        self._positioned_at: dict[str, datetime] = {}
        self._flow_control = FlowControl(journal, self._positioned_at)
        self._retried: Counter[str] = Counter()
        self._woken: set[str] = set()  # runs whose wait ended while they were running

    def check(self, after: Snapshot, *, transaction: str, worker_ids: Set[str], now: Any) -> None:
        """Raise `Broken` where a transaction did what none may do.

        Args:
            after: the tables now.
            transaction: the name of the transaction that was the last.
            worker_ids: that the process that made it has had; none: a sender's or an operator's.
            now: the clock's time.
        """
        before, self._before = self._before, after
        move = Move(transaction, worker_ids, now.replace(tzinfo=None))
        for id_ in after.changed.get("runs", ()):
            require(id_ in after.runs, "a run disappeared")
            earlier, run = before.runs.get(id_), after.runs[id_]
            if earlier != run:
                self._check_run(earlier, run, before, move)
        for key in after.changed.get("steps", ()):
            require(key in after.steps, "a step disappeared")
            earlier_step, step = before.steps.get(key), after.steps[key]
            if earlier_step != step:
                self._check_step(earlier_step, step, before, after, move)
        for id_ in after.changed.get("events", ()):
            require(id_ in after.events, "an event disappeared")
            if after.events[id_].position is not None:
                self._positioned_at.setdefault(id_, move.now)
        if after.has_changed("steps", "effects"):
            _require_exact_effects(after)
        self._flow_control.check(before, after, move.now)

    def _check_run(
        self, before: RunNow | None, after: RunNow, tables: Snapshot, move: "Move"
    ) -> None:
        if before is None:
            may_be = ("queued", "skipped", "cancelled")  # cancelled by the next event of its batch
            require(after.status in may_be, f"{after} began elsewhere")
            return
        if before.status in ENDED:
            self._check_ended(before, after, move)
        require(after.fence >= before.fence, f"the fence of {after.id} fell")
        forgiving = move.name in ("retry", "rescue")  # a rescue forgives a run that got on
        require(after.losses >= before.losses or forgiving, "losses were forgotten")
        if before.status != "running" and after.status == "running":
            require(move.name == "take", f"{after.id} was taken by {move.name!r}")
            require(after.fence > before.fence, f"a take of {after.id} left its fence")
            _require_alive(tables, after.worker_id, move)
            self._woken.discard(after.id)
        if before.status == "running" and after.status != "running":
            self._check_letting_go(before, after, tables, move)
        if before.status == "running" and after.status == "running":
            same = (before.worker_id, before.fence) == (after.worker_id, after.fence)
            require(same, f"{after.id} changed hands while it was running")
        if after.lonely_losses > before.lonely_losses:
            held = [run for run in tables.runs.values() if run.worker_id == before.worker_id]
            require(len(held) == 1, f"a neighbour's death was counted against {after.id}")

    def _check_ended(self, before: RunNow, after: RunNow, move: "Move") -> None:
        if move.name == "retry" and before.status == "failed":
            self._retried[before.id] += 1
            return
        freed = before._replace(
            worker_id=None, losses=after.losses, lonely_losses=after.lonely_losses
        )
        unchanged = freed == after
        require(unchanged and before.status == "cancelled", f"{before.id} had ended: {after}")

    def _check_letting_go(
        self, before: RunNow, after: RunNow, tables: Snapshot, move: "Move"
    ) -> None:
        """Say that a run left its holder's hands by its own doing, by a cancel, or by a death."""
        if after.status == "cancelled":
            require(after.fence > before.fence, f"a cancel of {after.id} left its fence")
            require(after.worker_id == before.worker_id, "a cancel freed a slot that is in use")
        elif move.name == "rescue":
            require(after.fence > before.fence, f"a rescue of {after.id} left its fence")
            lease = tables.workers.get(before.worker_id or "")
            dead = self._journal.dead_workers
            is_over = lease is None or lease.lease_until <= move.now or before.worker_id in dead
            # A rescue looks at the clock, may be paused, and goes on after the clock went back.
            require(
                is_over or self._journal.clock_went_back,
                f"{after.id} was taken from a worker whose lease goes on",
            )
        else:
            is_asleep = after.status in SUSPENDED and after.id in self._woken
            require(not is_asleep, f"{after.id} sleeps over the end of a wait of its own")
            ours = before.worker_id in move.worker_ids and move.name in LETS_GO
            require(ours, f"{after.id} was let go by {move}, though {before.worker_id} held it")
        if after.status == "failed" and move.name == "rescue":
            require(after.lonely_losses >= MAX_WORKER_LOSSES, f"{after.id} was condemned too early")

    def _check_step(
        self,
        before: StepNow | None,
        after: StepNow,
        tables: Snapshot,
        tables_after: Snapshot,
        move: "Move",
    ) -> None:
        if before is not None and before.status in STEP_ENDED:
            is_retry = move.name == "retry" and before.status == "failed"
            require(is_retry, f"the stored step {before} became {after}")
            return
        run = tables.runs.get(after.run_id)
        is_answer = after.op in WAITS and after.status in STEP_ENDED and move.name != "take"
        if is_answer and run is not None and run.status == "running":
            self._woken.add(run.id)
        if move.name in ("store", "step transaction", "wait for signal"):
            by_another = run is not None and run.worker_id not in move.worker_ids
            child = any(
                each.parent_id == after.run_id and each.worker_id in move.worker_ids
                for each in tables.runs.values()
            )
            require(not by_another or child, f"{move} wrote {after.step_id} of {run}")
            if not child and run is not None:
                require(run.status == "running", f"{move} wrote a step of {run}")
        # A failed run may be retried, so that what it had invoked still answers it.
        is_kept = is_answer and after.op == "invoke" and run is not None and run.status == "failed"
        if run is not None and run.status in ENDED and move.name != "replay" and not is_kept:
            raise Broken(f"{move} wrote {after} of the ended {run}")
        if after.op == "sleep" and after.status == "completed":
            is_early = before is not None and before.due_at > after.ended_at
            require(not is_early, f"{after.step_id} of {after.run_id} woke early")
        if after.op == "wait_for_event" and after.status == "completed" and _event_of(after):
            self._check_wait(after, tables_after)

    def _check_wait(self, step: StepNow, tables: Snapshot) -> None:
        """One event ends at most one wait of a run; and none that was there before the run."""
        event = tables.events[json.loads(step.output or "")["id"]]
        own = tables.events[tables.runs[step.run_id].event_id]
        ended_by_it = [
            each
            for each in tables.steps.values()
            if each.run_id == step.run_id and _event_of(each) == event.id
        ]
        require(len(ended_by_it) == 1, f"{event} ended several waits of {step.run_id}")
        is_later = (event.position or 0) > (own.position or 0)
        require(is_later, f"{event} from before its run ended {step}")
        same = json.loads(event.data)["order"] == json.loads(own.data)["order"]
        require(same, f"{event} does not match {own}")

    def check_end(self, tables: Snapshot) -> None:
        """Raise `Broken` where, with all faults gone, anything is stuck, lost or twice there."""
        stuck = [run for run in tables.runs.values() if run.status in UNENDED]
        require(not stuck, f"stuck: {[(run.workflow, run.id, run.status) for run in stuck]}")
        require(not [e for e in tables.events.values() if e.position is None], "unrouted events")
        held = [run for run in tables.runs.values() if run.worker_id]
        require(not held, f"ended runs keep their slots: {held}")
        require(not tables.waits, f"waits are left of ended runs: {tables.waits}")
        self._check_senders(tables)
        self._check_events(tables)
        self._check_sent_by_steps(tables)
        self._check_missed(tables)
        for run in tables.runs.values():
            self._check_output(run, tables)
        self._check_signals(tables)
        self._flow_control.check_end(tables)

    def _check_senders(self, tables: Snapshot) -> None:
        """What was committed is there, once; what was rolled back is not."""
        numbers = Counter(
            data["number"]
            for data in (json.loads(event.data) for event in tables.events.values())
            if "number" in data
        )
        lost = self._journal.sent - numbers.keys()
        require(not lost, f"committed events were lost: {lost}")
        ghosts = self._journal.rolled_back & numbers.keys()
        require(not ghosts, f"events that were rolled back are there: {ghosts}")
        require(max(numbers.values(), default=1) == 1, "an event is there twice")

    def _check_events(self, tables: Snapshot) -> None:
        """Each event has started each of its workflows once; a repeat has started none."""
        started: dict[str, list[str]] = {}
        for run in tables.runs.values():
            if run.replay_of_id is None:
                started.setdefault(run.event_id, []).append(run.workflow)
        firsts: dict[str, EventNow] = {}
        by_position = sorted(tables.events.values(), key=lambda event: event.position or 0)
        for event in by_position:
            if event.external_id is not None:
                first = firsts.setdefault(event.external_id, event)
                linked = event.duplicate_of_id == (None if first is event else first.id)
                require(linked, f"{event} should be linked to {first}")
            workflows = started.get(event.id, [])
            if event.duplicate_of_id is not None:
                require(not workflows, f"the repeated {event} started {workflows}")
            elif event.name in EXPECTED:
                expected = sorted(EXPECTED[event.name])
                require(sorted(workflows) == expected, f"{event} started {workflows}")
            elif event.target is not None:
                require(workflows == [event.target], f"{event} started {workflows}")
        self._check_ends_are_told(tables)

    def _check_ends_are_told(self, tables: Snapshot) -> None:
        """The end of a run is told of once for each time that it was taken up."""
        told = Counter(
            e.cause for e in tables.events.values() if e.name == "workflows/run.finished"
        )
        require(
            all(count <= 1 + self._retried[run or ""] for run, count in told.items()),
            f"an end was told of twice: {told.most_common(3)}",
        )
        cancelled = {run.id for run in tables.runs.values() if run.status == "cancelled"}
        of_cancel = Counter(
            e.cause for e in tables.events.values() if e.name == "workflows/run.cancelled"
        )
        silent = {
            id_
            for id_ in cancelled
            if tables.events[tables.runs[id_].event_id].name not in ABOUT_ENDS
        }
        require(of_cancel.keys() == silent, f"cancelled: {silent}, told of: {of_cancel.keys()}")
        require(max(of_cancel.values(), default=1) == 1, "a cancel was told of twice")

    def _check_sent_by_steps(self, tables: Snapshot) -> None:
        """The events of a step are there exactly where its result is, and once."""
        found = Counter(
            (data["by"], data["step"])
            for data in (json.loads(e.data) for e in tables.events.values() if e.name == "told")
        )
        require(max(found.values(), default=1) == 1, "a step's event is there twice")
        for step in tables.steps.values():
            if step.op == "send_event" and tables.runs[step.run_id].replay_of_id is None:
                require((step.run_id, "c") in found, f"an event of {step} is not there")
        senders = {s.run_id for s in tables.steps.values() if s.op == "send_event"}
        require({by for by, _ in found} <= senders, "a step's event is there without its result")

    def _check_missed(self, tables: Snapshot) -> None:
        """A wait that timed out had nothing that could have ended it."""
        for step in tables.steps.values():
            if step.op != "wait_for_event" or step.status != "completed" or _event_of(step):
                continue
            run = tables.runs[step.run_id]
            own = tables.events[run.event_id]
            used = {_event_of(s) for s in tables.steps.values() if s.run_id == run.id}
            names = ("paid",) if step.step_id == "p" else ("paid", "refunded")
            missed = [
                event
                for event in tables.events.values()
                if event.name in names
                and event.duplicate_of_id is None
                and event.id not in used
                and (event.position or 0) > (own.position or 0)
                and json.loads(event.data)["order"] == json.loads(own.data)["order"]
                and self._positioned_at[event.id] < step.started_at
            ]
            require(not missed, f"{step} of {run} timed out and missed {missed}")

    def _check_output(self, run: RunNow, tables: Snapshot) -> None:
        """What a completed run's code saw is what is stored, and what its caller got."""
        if run.status == "completed":
            output = json.loads(run.output or "null")
            stored = {
                (step.step_id, step.occurrence): step
                for step in tables.steps.values()
                if step.run_id == run.id and step.branch == ""
            }
            for name, value in output.items():
                if name == "all":
                    continue
                occurrences = [key for key in stored if key[0] == name]
                require(bool(occurrences), f"{run} has no step {name!r}")
                last = stored[max(occurrences)]
                require(value == _value(last), f"{run} saw {value} for {last}")
        if run.parent_id is not None and run.status == "completed":
            step = tables.steps[run.parent_id, run.parent_step or ""]
            timed_out = step.error is not None and "InvokeTimeout" in step.error
            parent = tables.runs[run.parent_id]
            answered = step.output == run.output or parent.status == "cancelled"
            answered = answered or self._retried[run.id] > 0  # it was answered with the failure
            require(timed_out or answered, f"{run} did not answer {step}")

    def _check_signals(self, tables: Snapshot) -> None:
        """A signal that somebody waited for has ended one wait; any other has ended none."""
        received = Counter(
            json.loads(step.output)["number"]
            for step in tables.steps.values()
            if step.op == "wait_for_signal"
            and step.output not in (None, "null")
            and not _is_copied(step, tables)
        )
        require(max(received.values(), default=1) == 1, "a signal ended two waits")
        lost = self._journal.signalled.keys() - received.keys()
        require(not lost, f"signals were accepted and lost: {lost}")


class Move:
    """Whose transaction it was."""

    def __init__(self, name: str, worker_ids: Set[str], now: datetime) -> None:
        self.name = name
        self.worker_ids = worker_ids
        self.now = now

    def __str__(self) -> str:
        return f"{self.name!r} of {', '.join(self.worker_ids) or 'somebody outside'}"


def _require_alive(tables: Snapshot, worker_id: str | None, move: Move) -> None:
    lease = tables.workers.get(worker_id or "")
    require(
        lease is not None and lease.lease_until > move.now,
        f"{worker_id} took a run without a lease",
    )


def _require_exact_effects(tables: Snapshot) -> None:
    """The writes of a `step.transaction` are there exactly where its result is."""
    done = {
        key: 1
        for key, step in tables.steps.items()
        if step.op == "transaction" and step.status == "completed" and not _is_copied(step, tables)
    }
    effects = Counter((effect.run_id, effect.step_key) for effect in tables.effects.values())
    wrong = [key for key in {*done, *effects} if done.get(key) != effects.get(key)]
    shown = [(key, done.get(key), effects.get(key)) for key in wrong]
    require(not wrong, f"a step has (results, effects): {shown}")


def _is_copied(step: StepNow, tables: Snapshot) -> bool:
    """Tell whether a replay took the step's result over: values are never the same by chance."""
    original = tables.runs[step.run_id].replay_of_id
    source = tables.steps.get((original or "", step.key))
    return source is not None and (source.output or "null") == (step.output or "null")


def _event_of(step: StepNow) -> str | None:
    if step.op != "wait_for_event" or step.output in (None, "null"):
        return None
    id_: str = json.loads(step.output or "")["id"]
    return id_


def _value(step: StepNow) -> Any:
    """Return what a workflow of ours shows of a step."""
    if step.status == "failed":
        return f"StepError {json.loads(step.error or '{}')['name']}"
    value = json.loads(step.output or "null")
    return value["id"] if step.op == "wait_for_event" and value else value
