"""A django-q2 cluster whose workers execute workflows, and that survives the death of any part.

django-q2's own classes are used with these changes: what processes share holds no locks; a
worker process takes up a lease before its first task and gives it back at its end; one more
worker executes only what may have killed others; each process ends with its parent; a stop takes
no longer than the grace time; and the process that watches the others never waits for the
database.
"""

import gc
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from django.db import connections
from django_q import cluster as django_q_cluster
from django_q.management.commands.qcluster import Command as DjangoQCommand
from django_q.worker import worker as django_q_worker

from workflows.clock import clock
from workflows.conf import configuration
from workflows.workers.alone import execute_suspects
from workflows.workers.own_connection import use_own_connection
from workflows.workers.parents import end_with_parent
from workflows.workers.process import WorkerProcess, be_worker, this_process
from workflows.workers.shared import PacketQueue, SharedEvent, SharedValue

__all__ = ["DjangoQCommand", "prepare_cluster", "run_cluster"]

# What a stop may take beside the grace time: the pusher's last look, a last commit.
TIME_TO_STOP = 4.0  # seconds
PAUSE_BEFORE_RESTART = 1.0  # seconds

logger = logging.getLogger("workflows.cluster")

# Made before the fork, and so the same in all of the cluster's processes.
cluster_token = ""
started_at: datetime | None = None
stopping: SharedEvent | None = None


def run_cluster(*, once: bool = False) -> None:
    """Run this host's cluster until it is asked to stop.

    Args:
        once: stop it as soon as it has started.
    """
    prepare_cluster()
    cluster = WorkflowCluster()
    cluster.start()
    if once:
        cluster.stop()
    cluster.watch()


class WorkflowCluster(django_q_cluster.Cluster):  # type: ignore[misc]  # django-q2 ships no types
    """The process that the operator started, and that gets the signals."""

    is_asked_to_stop = False

    def watch(self) -> None:
        """Stay until the cluster has stopped. Where its sentinel dies, start another one."""
        self.sentinel.join()
        while not self.is_asked_to_stop:
            # Nobody watches the others now. They end by themselves, as children of the dead.
            logger.critical("cluster.lost_its_sentinel exitcode=%s", self.sentinel.exitcode)
            time.sleep(PAUSE_BEFORE_RESTART)
            self.start()
            self.sentinel.join()

    def start(self) -> int:
        """Start the cluster, unless a signal has come before."""
        return int(self.pid if self.is_asked_to_stop else super().start())

    def stop(self) -> bool:
        """Stop in good order; return whether there was anything to stop."""
        self.is_asked_to_stop = True
        return bool(self.sentinel is not None and super().stop())


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
    # The pusher creates the tasks of django-q2's schedules: see `WorkflowBroker`.
    django_q_cluster.scheduler = do_nothing
    connections.close_all()


def do_nothing(**_: object) -> None:
    """Leave something to another process."""


class WorkflowSentinel(django_q_cluster.Sentinel):  # type: ignore[misc]  # django-q2 ships no types
    """The process that starts the others, watches them, and replaces the dead."""

    _alone: BaseProcess | None = None

    def start(self) -> None:
        """Start the cluster, and end with the process that started this one."""
        end_with_parent(signal.SIGKILL)
        # The stop comes as an event from the parent, which gets the signal too.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.pool_size += 1  # the one that works alone
        super().start()

    def spawn_worker(self) -> None:
        """Start a worker; first of all, and whenever it has died, the one that works alone."""
        if self._alone is not None and self._alone.is_alive():
            super().spawn_worker()
            return
        timer = SharedValue("f", -1)
        self._alone = self.spawn_process(work, None, self.result_queue, timer, self.timeout)

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
        grace = configuration().stop_grace.total_seconds()
        patience = threading.Timer(grace + TIME_TO_STOP, self._kill_all)
        patience.daemon = True
        patience.start()
        super().stop()
        patience.cancel()

    def _kill_all(self) -> None:
        """End what does not end by itself, as with a database that does not answer."""
        for process in (*self.pool, self.pusher, self.monitor):
            if process is not None and process.is_alive():
                logger.critical("cluster.kills pid=%s reason=it_did_not_stop", process.pid)
                process.kill()
        os._exit(1)


def work(task_queue: PacketQueue | None, *args: Any) -> None:
    """Be a worker process: hold a lease, work on tasks, give the lease back.

    Args:
        task_queue: where drains and ordinary tasks come from; None for the worker that executes
            alone what may have killed others.
        args: what else django-q2 gives its workers.
    """
    assert started_at is not None  # `prepare_cluster` set it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave_on_signal)  # before it may come
    end_with_parent(signal.SIGTERM)
    use_own_connection()
    process = WorkerProcess(
        cluster=cluster_token,
        declared_at=started_at,
        is_stopping=is_stopping,
        leave=partial(leave, grace=0),
    )
    be_worker(process)
    if not process.prepare():
        leave()
    if task_queue is None:
        execute_suspects(process)
    elif process.start():
        gc.freeze()  # the collector need not look again and again at what all work begins with
        django_q_worker(task_queue, *args)
    leave()


def is_stopping() -> bool:
    """Tell whether the cluster is being stopped."""
    return stopping is not None and stopping.is_set()


def leave_on_signal(_: int, __: FrameType | None) -> None:
    """Leave in good order beside whatever the main thread is doing."""
    threading.Thread(target=leave, name="workflows-leave", daemon=True).start()


def leave(*, grace: float | None = None) -> None:
    """Give back what this process holds, and end it: a normal exit would wait for its threads.

    Args:
        grace: seconds for its bodies; None: as the settings say.
    """
    if grace is None:
        grace = configuration().stop_grace.total_seconds()
    threading.Thread(target=leave_at_the_latest, args=[grace], daemon=True).start()
    try:
        process = this_process()
        if process is not None:
            process.stop(grace=grace)
    except Exception:  # the lease ends by itself
        logger.exception("worker.left_without_giving_back")
    finally:
        os._exit(0)


def leave_at_the_latest(grace: float) -> None:
    """End this process though the database does not answer: its lease ends by itself."""
    time.sleep(grace + TIME_TO_STOP / 2)
    logger.critical("worker.left_without_giving_back")
    os._exit(1)


def ending_with_parent(target: Callable[..., None]) -> Callable[..., None]:
    """Return a process's main function that first ties it to its parent's life."""

    def main(*args: Any) -> None:
        end_with_parent(signal.SIGKILL)
        target(*args)

    return main
