"""The queue: how much is due, how long the oldest of it has waited, and what is in hand."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet

from workflows.admin.display import MOST_COUNTED
from workflows.clock import clock
from workflows.models import Run, RunStatus, Worker


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


def counted(rows: "QuerySet[Run]") -> int:
    """Count rows, no further than 10,000."""
    return rows.order_by()[:MOST_COUNTED].count()
