"""The other worker processes of a cluster: who of them is dead can be seen at once on one host."""

import os

from workflows.engine.rescue import rescue_workers
from workflows.models import Worker


def rescue_dead_siblings(cluster: str) -> int:
    """Take over at once what dead workers of the same cluster held; return how many runs go on.

    Only theirs: containers share host names and process ids, clusters do not share their tokens.
    """
    siblings = Worker.objects.filter(cluster=cluster).exclude(pid=os.getpid())
    dead = [worker.id for worker in siblings if not is_alive(worker.pid)]
    return rescue_workers(dead) if dead else 0


def is_alive(pid: int) -> bool:
    """Tell whether a process is alive. Where its id has been given to another, the lease decides.

    An orphan, whose parent has died, is alive until it has left: its bodies may still be at work.
    """
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  a pseudo-file
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False if os.path.isdir("/proc/self") else _may_be_signalled(pid)  # noqa: PTH112


def _may_be_signalled(pid: int) -> bool:
    """Tell the same where there is no /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
