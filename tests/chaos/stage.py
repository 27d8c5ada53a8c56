"""What each kind of chaos plays on: a cluster on a database, and the work that is sent to it."""

import itertools
from pathlib import Path

from tests.chaos.cluster import Cluster, wait_until
from tests.chaos.journal import note
from tests.chaos.server import Server
from workflows import Event, send
from workflows.models import Event as StoredEvent
from workflows.models import Run

# Seconds: the settings' grace time, and what a stop may take beside it.
LONGEST_STOP = 4.0 + 5.0


class Stage:
    """A cluster, perhaps with a server of its own, and the runs so far."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        self.server = server
        self.cluster = Cluster(folder / "cluster.log")
        self.slowest_stop = 0.0
        self._numbers = itertools.count()

    def send(self, count: int, *, seconds: float) -> None:
        """Send events for so many runs, whose bodies each take a while."""
        numbers = [next(self._numbers) for _ in range(count)]
        send([Event(name="chaos/go", data={"number": n, "seconds": seconds}) for n in numbers])
        for number in numbers:
            note("sent", run=number)

    def wait_for_rest(self) -> None:
        """Wait until every event was routed, every run has ended and the dead are replaced."""
        wait_until(all_have_ended, what="all runs to end")
        wait_until(self.cluster.is_whole, what="living workers, and the leases of no others")

    def stop(self, *, whole_group: bool = False) -> None:
        """Stop the cluster as an operator does."""
        self.slowest_stop = max(self.slowest_stop, self.cluster.terminate(whole_group=whole_group))


def all_have_ended() -> bool:
    """Tell whether every event was routed, and every run has ended."""
    return not StoredEvent.objects.unrouted().exists() and not Run.objects.unended().exists()
