"""What a worker process keeps between its drains: its lease, its writer and its threads."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import DatabaseError, connection

from workflows.clock import DatabaseTime, clock
from workflows.conf import configuration
from workflows.definitions.registry import registry
from workflows.engine.catalogue import current_catalogue
from workflows.engine.execute import execute, failed_outright
from workflows.engine.execution import Execution, TimedLease
from workflows.engine.lease import Identity, begin_lease, give_back, let_go, renew_lease
from workflows.engine.register import register_workflows, retire_unknown
from workflows.engine.rescue import rescue_expired, rescue_workers
from workflows.engine.rows import TakenRun
from workflows.engine.sql import sql
from workflows.engine.store import Write
from workflows.models import Worker
from workflows.workers.bodies import Bodies, give_connections_back
from workflows.workers.writer import Writer

BEATS_IN_A_LEASE = 4
RESCUE_EVERY = 1.0  # seconds
SHOW_BODIES_AFTER = timedelta(seconds=1)

logger = logging.getLogger("workflows.process")


class WorkerProcess:
    """One worker: begun after the fork, stopped before the process ends."""

    def __init__(
        self, *, cluster: str, declared_at: datetime, is_stopping: Callable[[], bool]
    ) -> None:
        """Make a worker.

        Args:
            cluster: a token that all processes of one cluster, and no others, have.
            declared_at: when that cluster was started.
            is_stopping: whether the cluster is being stopped.
        """
        self._cluster = cluster
        self._declared_at = declared_at
        self._is_cluster_stopping = is_stopping
        self._is_leaving = False
        self.executes_a_suspect = False
        self.next_look_for_suspects = 0.0
        self.next_look_at_the_clock = 0.0
        self.workflows = frozenset(registry.ids())
        self.queues = configuration().queues
        self.writer = Writer(may_go_on=self._has_lease, on_refusal=self._let_go)
        self.bodies = Bodies(threads=configuration().threads, execute=self._execute)
        self._executions: set[Execution] = set()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Take up a lease and begin to renew it."""
        synchronise_clock()
        self._begin_lease()
        self._rescue_siblings()
        register_workflows(registry, declared_at=self._declared_at)
        self.writer.start()
        threading.Thread(target=self._beat, name="workflows-beat", daemon=True).start()

    @property
    def is_stopping(self) -> bool:
        """Whether this worker takes no more runs."""
        return self._is_leaving or self._is_cluster_stopping()

    def stop(self, *, grace: float) -> None:
        """Take no more, wait up to `grace` seconds for bodies, give back what is still held."""
        self._is_leaving = True
        ends = time.monotonic() + grace
        self.bodies.wait_until_empty(timeout=grace)
        self.writer.stop(timeout=max(1.0, ends - time.monotonic()))
        self._stopped.set()
        self.lease.until = clock.now()
        returned = give_back(self.worker_id)
        logger.info("worker.stopped worker=%s returned=%s", self.worker_id, returned)

    def _begin_lease(self) -> None:
        worker = begin_lease(
            Identity(
                host=socket.gethostname(),
                pid=os.getpid(),
                cluster=self._cluster,
                queues=self.queues,
                workflows=sorted(self.workflows),
                threads=configuration().threads,
            )
        )
        self.worker_id = worker.id
        self.lease = TimedLease(worker.lease_until)
        logger.info("worker.started worker=%s pid=%s", worker.id, worker.pid)

    def _rescue_siblings(self) -> None:
        """Take over at once from children of the same cluster that are dead."""
        siblings = Worker.objects.filter(cluster=self._cluster).exclude(pid=os.getpid())
        dead = [worker.id for worker in siblings if not is_child_alive(worker.pid)]
        if dead:
            rescue_workers(dead)

    def _execute(self, run: TakenRun) -> None:
        """Execute a run on the calling thread; whatever happens, the run goes on or ends."""
        try:
            workflow = registry.get(run.workflow)
            execution = Execution(
                run, workflow, self.writer, self.lease, call_helpers=self.bodies.help
            )
            self._executions.add(execution)
            try:
                execute(execution)
            finally:
                self._executions.discard(execution)
        except Exception as error:  # a fault of the engine itself: the run must not hang
            logger.exception("run.broke_the_engine run=%s", run.id)
            self.writer.submit(failed_outright(run, error))

    def _show_bodies(self) -> None:
        """Let operators see which steps' bodies have been at work for a while."""
        for execution in list(self._executions):
            rows = execution.bodies_to_show(older_than=clock.now() - SHOW_BODIES_AFTER)
            if rows:
                self.writer.submit(Write(execution.run, steps=rows))

    def _has_lease(self) -> bool:
        return clock.now() < self.lease.until

    def _let_go(self, write: Write) -> None:
        let_go(write.run.id, write.run.worker_id)

    def _beat(self) -> None:
        """Renew the lease, and look for dead workers, until the process ends."""
        period = configuration().lease.total_seconds() / BEATS_IN_A_LEASE
        next_renewal = time.monotonic() + period
        while not self._stopped.wait(RESCUE_EVERY):
            try:
                if time.monotonic() >= next_renewal:
                    self._renew()
                    next_renewal = time.monotonic() + period
                rescue_expired()
                current_catalogue()  # so that the writer knows who listens to ends of runs
                self._show_bodies()
            except DatabaseError as error:
                logger.warning("worker.beat_failed error=%s", error)
                connection.close()
            give_connections_back()

    def _renew(self) -> None:
        synchronise_clock()
        until = renew_lease(self.worker_id, busy=self.bodies.busy)
        if until is not None:
            self.lease.until = until
        elif not self._is_leaving:
            logger.warning("worker.lost_its_lease worker=%s", self.worker_id)
            self._begin_lease()
        retire_unknown()


def synchronise_clock() -> None:
    """Set the process's clock by the database's."""
    source = clock.source
    if not isinstance(source, DatabaseTime):
        return
    asked_at = time.monotonic()
    now = sql().database_now()
    if now is not None:
        source.synchronise(now, asked_at=asked_at, answered_at=time.monotonic())


def is_child_alive(pid: int) -> bool:
    """Tell whether a process is alive, and a child of this one's parent."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  a pseudo-file
            state, parent = stat.read().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return _may_be_signalled(pid) if not os.path.isdir("/proc/self") else False  # noqa: PTH112
    return state not in "ZX" and int(parent) == os.getppid()


def _may_be_signalled(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


_process: WorkerProcess | None = None


def start_process(
    *, cluster: str, declared_at: datetime, is_stopping: Callable[[], bool]
) -> WorkerProcess:
    """Make this process a worker: once, after the fork."""
    global _process  # noqa: PLW0603  a process is one worker
    _process = WorkerProcess(cluster=cluster, declared_at=declared_at, is_stopping=is_stopping)
    _process.start()
    return _process


def this_process() -> WorkerProcess | None:
    """Return the worker that this process is."""
    return _process


def stop_process(*, grace: float) -> None:
    """Stop being a worker, in good order."""
    if _process is not None:
        _process.stop(grace=grace)
