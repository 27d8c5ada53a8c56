"""What admission asks of a database. None of these begins or ends a transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from workflows.engine.dealing import LaneRow, Waiting


class InLine(NamedTuple):
    """A run that is put into a lane."""

    run_id: str
    lane_id: str
    first_limit: str | None
    second_limit: str | None
    counts_while_active: bool


class InUse(NamedTuple):
    """How many runs hold slots together.

    Attributes:
        workflow: whose runs they are.
        first_limit: a limit that they are under.
        second_limit: another one.
        untaken: how many are let in and wait for a worker.
        held: how many a worker holds.
        ended: of these, how many were cancelled, and are still in a body.
        first_untaken: the first place of one that waits for a worker; None: none does.
        first_held: the first place of one that a worker holds; None: none does.
    """

    workflow: str
    first_limit: str | None
    second_limit: str | None
    untaken: int
    held: int
    ended: int
    first_untaken: int | None
    first_held: int | None


class Bounds(NamedTuple):
    """From which places on runs hold slots: before them there are none, only dead rows.

    None: no run does. Exact, not hints: only admission gives slots, at places that are later than
    all before, and it notes the bounds in the same transaction.

    Attributes:
        untaken_from: the first place of a run that is let in and waits for a worker.
        held_from: the first place of a run that holds a slot at all.
    """

    untaken_from: int | None
    held_from: int | None


class BlockedLanes(NamedTuple):
    """Lanes of one workflow that are blocked on the same limit."""

    blocked_on: str
    workflow: str
    first_limit: str | None
    second_limit: str | None
    pace: str | None


class NewLane(NamedTuple):
    """A lane in which nothing has waited yet."""

    lane_id: str
    workflow: str
    shape: str
    values: str
    first_limit: str | None
    second_limit: str | None
    pace: str | None


class LaneUpdate(NamedTuple):
    """What a turn makes of a lane."""

    lane_id: str
    state: str
    blocked_on: str | None
    turn: int


class PaceRow(NamedTuple):
    """How far a throttle has been used."""

    pace: str
    tat: str
    full_at: datetime
    next_start: datetime


class LaneStatements(Protocol):
    """One method for each statement of admission. All are called under the engine's lock."""

    def arrivals(self, *, limit: int) -> list[str]:
        """Lock and return the first queued runs that admission has not seen yet."""

    def line_up(self, rows: Sequence[InLine]) -> None:
        """Put queued runs, which are locked, into their lanes; none is admitted any more."""

    def in_use(self, *, everywhere: bool) -> list[InUse]:
        """Count the runs in lanes that are let in, or held by a worker.

        Args:
            everywhere: also before the bounds that the last turn has noted.
        """

    def active(self, limits: Sequence[str]) -> list[tuple[str, str | None, str | None, int]]:
        """Count, by workflow and limits, the active runs under these limits."""

    def blocked(self, *, after: tuple[str, str], most: int) -> list[BlockedLanes]:
        """Return on what lanes are blocked: each limit and workflow once, from a place on."""

    def unblock(self, blocked_on: str, workflow: str, *, most: int) -> list[str]:
        """Make blocked lanes active whose turn is next; return which."""

    def first_in(self, lanes: Sequence[LaneRow], *, most: int) -> list[Waiting]:
        """Return the first runs of each lane: up to `most` that go on, and as many that start."""

    def let_in(self, run_ids: Sequence[str], *, first_place: int) -> set[str]:
        """Admit runs that still wait and are not locked by anybody; return which were.

        They are taken in their order here.
        """

    def insert_lanes(self, rows: Sequence[NewLane], *, now: datetime) -> None:
        """Write new lanes, which are idle."""

    def update_lanes(self, rows: Sequence[LaneUpdate], *, now: datetime) -> None:
        """Write what a turn makes of its lanes."""

    def note(self, *, slots: int, refill_at: int, turns: int, bounds: Bounds, now: datetime) -> int:
        """Write the notes for those who ask whether admission could do something.

        Returns:
            The first of as many turns for lanes as were asked for, later than all before.
        """

    def write_paces(self, rows: Sequence[PaceRow]) -> None:
        """Write how far throttles are used; each wakes admission only while lanes wait for it."""
