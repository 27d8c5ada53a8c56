"""The queue: how much is due, how long the oldest of it has waited, and what is in hand."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet, Sum

from workflows.admin.display import MOST_COUNTED
from workflows.clock import clock, milliseconds
from workflows.ids import first_at
from workflows.models import Housekeeping, MinuteCount, Run, RunStatus, Worker

THROUGHPUT_OVER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits, and who works. Counts stop at 10,000.

    Attributes:
        ready: runs that a worker could take now.
        held_back: queued runs that a limit, or a pause, does not let start.
        oldest: how long the oldest run that never started, and could, has waited.
        in_hand: runs that workers hold.
        last_beat: how long ago the last worker was heard of.
    """

    ready: int
    held_back: int
    oldest: timedelta | None
    in_hand: int
    sleeping: int
    waiting: int
    workers_alive: int
    workers: int
    last_beat: timedelta | None

    @property
    def backlog(self) -> int:
        """All that is queued."""
        return self.ready + self.held_back


def queue_now() -> Queue:
    """Look at the queue: seven small queries, each by an index."""
    now = clock.now()
    queued = Run.objects.filter(status=RunStatus.QUEUED)
    oldest = (
        Run.objects.takeable()
        .filter(started_at=None)
        .order_by("id")
        .values_list("created_at", flat=True)
        .first()
    )
    beats = list(Worker.objects.values_list("lease_until", "beat_at"))
    return Queue(
        ready=counted(queued.filter(admitted=True)),
        held_back=counted(queued.filter(admitted=False)),
        oldest=None if oldest is None else now - oldest,
        in_hand=counted(Run.objects.held()),
        sleeping=counted(Run.objects.filter(status=RunStatus.SLEEPING)),
        waiting=counted(Run.objects.filter(status=RunStatus.WAITING)),
        workers_alive=sum(lease > now for lease, _ in beats),
        workers=len(beats),
        last_beat=now - max(beat for _, beat in beats) if beats else None,
    )


@dataclass(frozen=True, slots=True)
class Throughput:
    """Runs a minute, on average over the latest minutes that were rolled up.

    Attributes:
        queued: runs that were made.
        ended: runs that ended, however they did.
        is_capped: there were more of the first than are counted.
        until: the end of these minutes; None: nothing was ever rolled up.
    """

    queued: float
    ended: float
    is_capped: bool
    until: datetime | None


def throughput_now() -> Throughput:
    """Say how much comes in and goes out: beside a backlog, whether it grows or shrinks."""
    until = Housekeeping.objects.values_list("rolled_up_to", flat=True).first()
    if until is None:
        return Throughput(0, 0, is_capped=False, until=None)
    since = until - THROUGHPUT_OVER
    minutes = MinuteCount.objects.filter(minute__gte=since, minute__lt=until)
    ended = minutes.aggregate(total=Sum("count"))["total"] or 0
    made = counted(
        Run.objects.filter(
            pk__gte=first_at(milliseconds(since)), pk__lt=first_at(milliseconds(until))
        )
    )
    per_minute = THROUGHPUT_OVER / timedelta(minutes=1)
    return Throughput(made / per_minute, ended / per_minute, made >= MOST_COUNTED, until)


def counted(rows: "QuerySet[Run]") -> int:
    """Count rows, no further than 10,000."""
    return rows.order_by()[:MOST_COUNTED].count()
