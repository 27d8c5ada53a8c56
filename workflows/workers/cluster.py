"""A django-q2 cluster whose workers execute workflows, and that survives the death of any part.

django-q2's own classes are used with four changes: what processes share holds no locks; a
worker process takes up a lease before its first task and gives it back at its end; each
process ends with its parent; and a stop takes no longer than the grace time.
"""

import ctypes
import os
import secrets
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from django.db import connections
from django_q import cluster as django_q_cluster
from django_q.management.commands.qcluster import Command as DjangoQCommand
from django_q.worker import worker as django_q_worker

from workflows.clock import clock
from workflows.conf import configuration
from workflows.workers.process import start_process, stop_process
from workflows.workers.shared import PacketQueue, SharedEvent, SharedValue

__all__ = ["DjangoQCommand", "prepare_cluster"]

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>

# Made before the fork, and so the same in all of the cluster's processes.
cluster_token = ""
started_at: datetime | None = None
stopping: SharedEvent | None = None


def prepare_cluster() -> None:
    """Put this module's parts in the place of django-q2's: once, before it forks."""
    global cluster_token, started_at, stopping  # noqa: PLW0603  see above
    cluster_token = secrets.token_hex(16)
    started_at = clock.now()
    stopping = SharedEvent()
    django_q_cluster.Queue = PacketQueue
    django_q_cluster.Event = SharedEvent
    django_q_cluster.Value = SharedValue
    django_q_cluster.worker = work
    django_q_cluster.Sentinel = WorkflowSentinel
    connections.close_all()


class WorkflowSentinel(django_q_cluster.Sentinel):  # type: ignore[misc]  # django-q2 ships no types
    """The process that starts the others, watches them, and replaces the dead."""

    def start(self) -> None:
        """Start the cluster, and end with the process that started this one."""
        end_with_parent(signal.SIGKILL)
        # The stop comes as an event from the parent, which gets the signal too.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().start()

    def spawn_process(self, target: Callable[..., None], *args: Any) -> BaseProcess:
        """Start a process that ends with this one."""
        if target is django_q_cluster.pusher:
            self.broker.task_queue = self.task_queue
        if target is not work:
            target = ending_with_parent(target)
        process: BaseProcess = super().spawn_process(target, *args)
        return process

    def stop(self) -> None:
        """Stop in good order; drains see at once that they should end."""
        assert stopping is not None  # `prepare_cluster` made it
        stopping.set()
        super().stop()


def work(*args: Any) -> None:
    """Be a worker process: hold a lease, work on tasks, give the lease back."""
    assert started_at is not None  # `prepare_cluster` set it
    end_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave_on_signal)
    start_process(cluster=cluster_token, declared_at=started_at, is_stopping=is_stopping)
    django_q_worker(*args)
    leave()


def is_stopping() -> bool:
    """Tell whether the cluster is being stopped."""
    return stopping is not None and stopping.is_set()


def leave_on_signal(_: int, __: FrameType | None) -> None:
    """Leave in good order beside whatever the main thread is doing."""
    threading.Thread(target=leave, name="workflows-leave", daemon=True).start()


def leave() -> None:
    """Give back what this process holds, and end it: a normal exit would wait for its threads."""
    try:
        stop_process(grace=configuration().stop_grace.total_seconds())
    finally:
        os._exit(0)


def ending_with_parent(target: Callable[..., None]) -> Callable[..., None]:
    """Return a process's main function that first ties it to its parent's life."""

    def main(*args: Any) -> None:
        end_with_parent(signal.SIGKILL)
        target(*args)

    return main


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies (Linux)."""
    parent = os.getppid()
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    except (AttributeError, OSError):
        return  # not Linux: the lease ends what an orphan could do
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
