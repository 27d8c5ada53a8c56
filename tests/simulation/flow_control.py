"""What must be so of flow control, as seen from outside: in rows and moments, not in its memory."""

import json
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tests.simulation.journal import Journal, require
from tests.simulation.snapshots import EventNow, RunNow, Snapshot
from tests.simulation.workflows import (
    BATCH_TIME,
    GATHERING,
    HEAD_START,
    LONGEST_DEBOUNCE,
    MOST_ACTIVE,
    MOST_BATCHED,
    MOST_LIMITED,
    MOST_RATED,
    ONCE_PERIOD,
    QUIET,
    RATED_PERIOD,
    STARTS_AT_ONCE,
    STARTS_EVERY,
)

SINGLETONS = ("sole", "newest")


class FlowControl:
    """Looks after limits, gates and pauses."""

    def __init__(self, journal: Journal, positioned_at: dict[str, datetime]) -> None:
        self._journal = journal
        self._positioned_at = positioned_at
        self._started: set[str] = set()  # runs between their first take and their end
        self._let_in_at: list[datetime] = []

    def check(self, before: Snapshot, after: Snapshot, now: datetime) -> None:
        """Raise `Broken` where a transaction let something be that may not be."""
        if after.has_changed("gathered"):
            self._check_gathered(before, after)
        if not after.has_changed("runs"):
            return
        changed = [(before.runs.get(id_), after.runs[id_]) for id_ in after.changed["runs"]]
        for earlier, run in changed:
            if run.status == "running" and (earlier is None or earlier.status != "running"):
                self._check_take(run, before, after, now)
            if earlier is None and run.replay_of_id is None:
                self._check_new(run, before, after)
        self._check_order(changed, before, after)
        self._check_throttle(changed, now)
        self._check_slots(changed, after)
        self._check_singletons(after)

    def check_end(self, tables: Snapshot) -> None:
        """Raise `Broken` where gates did not decide as they had to, or gathered events are lost."""
        paused = [each.id for each in tables.workflows.values() if each.paused_at]
        require(not paused, f"workflows are paused for ever: {paused}")
        self._check_gathered_once(tables)
        if not self._journal.clock_went_back:
            self._check_rate_limit(tables)
            self._check_idempotency(tables)

    def _check_take(self, run: RunNow, before: Snapshot, after: Snapshot, now: datetime) -> None:
        is_paused = before.workflows[run.workflow].paused_at is not None
        require(not is_paused, f"{run} was taken though its workflow is paused")
        if run.workflow in GATHERING and run.fence == 1 and run.replay_of_id is None:
            events = _gathered_by(run, after)
            require(bool(events), f"{run} has gathered nothing")
            self._check_window(run, events, now)

    def _check_window(self, run: RunNow, events: list[EventNow], now: datetime) -> None:
        """A run starts with what came in its time, and not before that is over."""
        if run.workflow == "bounced":
            latest = max(events, key=lambda event: (event.ts, event.position or 0))
            require(run.event_id == latest.id, f"{run} has not the latest of {events}")
        if self._journal.clock_went_back:
            return
        moments = [self._positioned_at[event.id] for event in events]
        if run.workflow == "batched":
            is_over = len(events) == MOST_BATCHED or now >= run.created_at + BATCH_TIME
            is_in_time = moments[-1] < run.created_at + BATCH_TIME
        else:
            is_over = now >= min(moments[-1] + QUIET, run.created_at + LONGEST_DEBOUNCE)
            gaps = [later - earlier for earlier, later in pairwise(moments)]
            is_in_time = moments[-1] < run.created_at + LONGEST_DEBOUNCE
            is_in_time = is_in_time and max(gaps, default=timedelta()) < QUIET
        require(is_over, f"{run} started while it gathered events")
        require(is_in_time, f"{run} gathered events of {moments} after its time")

    def _check_gathered(self, before: Snapshot, after: Snapshot) -> None:
        """Nothing is gathered for a run that has started; and what is gathered is kept."""
        for number in after.changed["gathered"]:
            require(number in after.gathered, "a gathered event disappeared")
            row = after.gathered[number]
            earlier = before.runs.get(row.run_id)
            is_open = earlier is None or earlier.gathering is not None
            require(is_open, f"{row} came after the window of {earlier} was closed")

    def _check_new(self, run: RunNow, before: Snapshot, after: Snapshot) -> None:
        """A singleton run is skipped only where another one is active."""
        if run.workflow == "newest":
            require(run.status != "skipped", f"{run} was skipped, and should have replaced")
        if run.workflow == "sole" and run.status == "skipped":
            group = _data(run, after)["group"]
            active = [
                each
                for each in (*before.runs.values(), *after.runs.values())
                if each.workflow == "sole"
                and each.ended_at is None
                and _data(each, after)["group"] == group
            ]
            require(bool(active), f"{run} was skipped for nothing")
            self._journal.happened["a run was skipped for a singleton"] += 1
        if run.workflow == "newest" and run.status == "cancelled":
            self._journal.happened["a run was replaced at once"] += 1

    def _check_order(
        self, changed: list[tuple[RunNow | None, RunNow]], before: Snapshot, after: Snapshot
    ) -> None:
        """Of those that waited in a lane, the first are let in, counted with their head starts."""
        let_in: dict[str, Any] = {}
        for earlier, run in changed:
            if _is_let_in_now(earlier, run) and run.lane_id:
                place = _place(run, after)
                let_in[run.lane_id] = max(let_in.get(run.lane_id, place), place)
        if not let_in:
            return
        for id_, earlier in before.runs.items():
            run = after.runs[id_]
            if (
                run.lane_id in let_in
                and earlier.is_in_line
                and run.is_in_line
                and not run.is_let_in
                and earlier.lane_id == run.lane_id
            ):
                is_behind = _place(run, after) > let_in[run.lane_id]
                require(is_behind, f"{run} was overtaken by one with less of a head start")

    def _check_throttle(self, changed: list[tuple[RunNow | None, RunNow]], now: datetime) -> None:
        """In no time do more start than may at once, and one for each interval that it has."""
        starts = [
            run
            for earlier, run in changed
            if run.workflow == "limited" and _is_let_in_now(earlier, run)
        ]
        if not starts or self._journal.clock_went_back:
            return
        self._let_in_at += [now] * len(starts)
        for place, moment in enumerate(self._let_in_at):
            number = len(self._let_in_at) - place
            most = STARTS_AT_ONCE + (now - moment) // STARTS_EVERY
            require(number <= most, f"{number} starts in {now - moment}: a throttle lets {most}")

    def _check_slots(self, changed: list[tuple[RunNow | None, RunNow]], after: Snapshot) -> None:
        for earlier, run in changed:
            if earlier is not None and earlier.ended_at is not None and run.ended_at is None:
                self._started.discard(run.id)  # an operator's retry starts it anew
            if run.status == "running":
                self._started.add(run.id)
        held = [run for run in after.runs.values() if run.workflow == "limited" and run.worker_id]
        require(len(held) <= MOST_LIMITED, f"a limit was exceeded: {held}")
        active: Counter[int] = Counter()
        for run in after.runs.values():
            if run.workflow != "active":
                continue
            is_active = run.ended_at is None and run.id in self._started
            if is_active or run.worker_id is not None:
                active[_data(run, after)["group"]] += 1
        require(max(active.values(), default=0) <= MOST_ACTIVE, f"active by group: {active}")

    def _check_singletons(self, after: Snapshot) -> None:
        active = Counter(
            (run.workflow, _data(run, after)["group"])
            for run in after.runs.values()
            if run.workflow in SINGLETONS and run.ended_at is None
        )
        require(max(active.values(), default=0) <= 1, f"active singletons: {active}")

    def _check_gathered_once(self, tables: Snapshot) -> None:
        """Each event is gathered by one run, with others of its key; and its code had them all."""
        by_event: Counter[str] = Counter()
        by_run: dict[str, list[EventNow]] = defaultdict(list)
        for row in tables.gathered.values():
            by_run[row.run_id].append(tables.events[row.event_id])
            if tables.runs[row.run_id].replay_of_id is None:
                by_event[row.event_id] += 1
        for event in tables.events.values():
            is_wanted = event.name in GATHERING and event.duplicate_of_id is None
            expected = 1 if is_wanted else 0
            require(by_event[event.id] == expected, f"{event} was gathered {by_event[event.id]}x")
        for run_id, events in by_run.items():
            run = tables.runs[run_id]
            data = [_parsed(event.data) for event in events]
            require(len({each["group"] for each in data}) == 1, f"{run} has mixed {events}")
            if run.workflow == "batched":
                require(len(events) <= MOST_BATCHED, f"{run} has gathered too much: {events}")
            if run.status == "completed":
                numbers = [each["number"] for each in data]
                if run.workflow == "bounced":
                    numbers = [_data(run, tables)["number"]]
                seen = self._journal.numbers[run_id]
                require(seen == numbers, f"{run} had {seen}, not {numbers}")

    def _check_rate_limit(self, tables: Snapshot) -> None:
        """An event is refused where, and only where, the period before it is full."""
        accepted: dict[int, list[datetime]] = defaultdict(list)
        for run in _by_position("rated", tables):
            moments = accepted[_data(run, tables)["group"]]
            number = sum(moment > run.created_at - RATED_PERIOD for moment in moments)
            is_refused = run.status == "skipped"
            require(is_refused == (number >= MOST_RATED), f"{run} came after {number} others")
            if is_refused:
                self._journal.happened["a run was skipped for a rate limit"] += 1
            else:
                moments.append(run.created_at)

    def _check_idempotency(self, tables: Snapshot) -> None:
        """A value has one run in a period."""
        last: dict[int, datetime] = {}
        for run in _by_position("once", tables):
            order = _data(run, tables)["order"]
            is_repeat = order in last and last[order] > run.created_at - ONCE_PERIOD
            is_refused = run.status == "skipped"
            require(is_refused == is_repeat, f"{run}: the last of its value was {last.get(order)}")
            if is_refused:
                self._journal.happened["a run was skipped for idempotency"] += 1
            else:
                last[order] = run.created_at


def _is_let_in_now(earlier: RunNow | None, run: RunNow) -> bool:
    return bool(run.is_let_in and run.lane_id) and not (earlier is not None and earlier.is_let_in)


def _place(run: RunNow, tables: Snapshot) -> tuple[datetime, str]:
    """Return a run's place among those that wait with it: by its creation and its head start."""
    seconds = _data(run, tables)["order"] * HEAD_START if run.workflow == "active" else 0
    milliseconds = run.created_at.microsecond // 1000
    created_at = run.created_at.replace(microsecond=milliseconds * 1000)
    return created_at - timedelta(seconds=seconds), run.id


def _gathered_by(run: RunNow, tables: Snapshot) -> list[EventNow]:
    ids = [row.event_id for row in tables.gathered.values() if row.run_id == run.id]
    return sorted((tables.events[id_] for id_ in ids), key=lambda event: event.position or 0)


def _by_position(workflow: str, tables: Snapshot) -> list[RunNow]:
    """Return the runs that routing made, in its order."""
    runs = [
        run for run in tables.runs.values() if run.workflow == workflow and run.replay_of_id is None
    ]
    return sorted(runs, key=lambda run: tables.events[run.event_id].position or 0)


def _data(run: RunNow, tables: Snapshot) -> Any:
    return _parsed(tables.events[run.event_id].data)


@lru_cache(maxsize=4096)
def _parsed(data: str) -> Any:
    return json.loads(data)
