"""What a worker process keeps between its drains: its lease, its writer, its threads, its runs."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from workflows.clock import clock
from workflows.conf import configuration
from workflows.definitions.registry import registry
from workflows.engine.catalogue import Catalogue, current_catalogue, latest_catalogue
from workflows.engine.execute import execute, failed_outright
from workflows.engine.execution import Execution, TimedLease
from workflows.engine.lease import (
    Identity,
    begin_lease,
    give_back,
    give_back_forgotten,
    renew_lease,
)
from workflows.engine.meters import write_meters
from workflows.engine.overrides import with_retries
from workflows.engine.register import register_workflows, retire_unknown
from workflows.engine.route import RouteStart
from workflows.engine.rows import TakenRun
from workflows.engine.store import Receipt, Write
from workflows.engine.take import TakeStarts, suspect_waits, take_runs, take_suspect
from workflows.engine.takeable import Takeable, takeable
from workflows.workers.beat import Beat, synchronise_clock
from workflows.workers.bodies import Bodies, return_to_pool
from workflows.workers.housekeeping import keep_house
from workflows.workers.in_hand import RunsInHand
from workflows.workers.scheduling import SharedCore
from workflows.workers.siblings import rescue_dead_siblings
from workflows.workers.writer import Writer

SHOW_BODIES_AFTER = timedelta(seconds=1)
LOOK_FOR_BODIES_EVERY = 0.1  # seconds
PAUSE_BEFORE_START = 1.0  # seconds, where the database does not answer

logger = logging.getLogger("workflows.process")


@dataclass(slots=True)
class WorkerLease(TimedLease):
    """This process's lease; a process that lost one has another, under another id."""

    worker_id: str = field(kw_only=True)


class WorkerProcess:
    """One worker: begun after the fork, stopped before the process ends."""

    def __init__(
        self,
        *,
        cluster: str,
        declared_at: datetime,
        is_stopping: Callable[[], bool],
        leave: Callable[[], None],
    ) -> None:
        """Make a worker.

        Args:
            cluster: a token that all processes of one cluster, and no others, have.
            declared_at: when that cluster was started.
            is_stopping: whether the cluster is being stopped.
            leave: ends the process at once, after it has given back what it holds.
        """
        self._cluster = cluster
        self._leave = leave
        self._declared_at = declared_at
        self._is_cluster_stopping = is_stopping
        self._is_leaving = False
        self.next_look_at_the_clock = 0.0
        self._workflows = frozenset(registry.ids())
        self._queues = configuration().queues
        self._lease: WorkerLease | None = None
        self.core = SharedCore()
        self.bodies = Bodies(threads=configuration().threads)
        self._in_hand = RunsInHand()
        self._take_starts = TakeStarts()
        self.route_start = RouteStart()
        self._executions: set[Execution] = set()
        self._writer = Writer(
            may_go_on=self._has_lease, on_settled=self._in_hand.settled, before_store=self.core.join
        )
        self._beat = Beat(self)
        self._stopped = threading.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether this worker takes no more runs."""
        return self._is_leaving or self._is_cluster_stopping()

    @property
    def worker_id(self) -> str | None:
        """The id under which it holds runs now; None before it has a lease."""
        return None if self._lease is None else self._lease.worker_id

    @property
    def holds_runs(self) -> bool:
        """Whether any run is in hand: at work, or with its release on the way."""
        return bool(self._in_hand.ids())

    @property
    def is_closing(self) -> bool:
        """Whether this worker only waits for its other bodies before it leaves."""
        return self._lease is not None and self._lease.is_closing

    @property
    def has_begun(self) -> bool:
        """Whether this worker has taken up a lease."""
        return self._lease is not None

    def prepare(self) -> bool:
        """Say what this code declares, and take over from the dead; False: it is to stop instead.

        Waits for the database as long as that does not answer.
        """
        return self._try(self._prepare)

    def start(self) -> bool:
        """Take up a lease and begin to renew it; False: this process is to stop instead."""
        if not self._try(self._begin_lease):
            return False
        self._writer.start()
        self._beat.start()
        keeping = partial(keep_house, self._stopped)
        threading.Thread(target=keeping, name="workflows-housekeeping", daemon=True).start()
        return True

    def stop(self, *, grace: float) -> None:
        """Take no more, wait up to `grace` seconds for bodies, give back what is still held."""
        self._is_leaving = True
        lease = self._lease
        if lease is None:
            return
        ends = time.monotonic() + grace
        self.bodies.wait_until_empty(timeout=grace)
        self._writer.stop(timeout=max(1.0, ends - time.monotonic()))
        self._beat.stop()
        self._stopped.set()
        lease.until = clock.now()  # what is still at work here begins no further body
        returned = self._let_go(lease)
        write_meters()
        logger.info("worker.stopped worker=%s returned=%s", lease.worker_id, returned)

    def _let_go(self, lease: WorkerLease) -> int:
        """Give back what is held, on another connection where this one has been cut meanwhile."""
        try:
            return give_back(lease.worker_id)
        except (OperationalError, InterfaceError):
            connection.close()
            return give_back(lease.worker_id)

    def take(self) -> int:
        """Take as many runs as there is room for, and begin to execute them; return how many."""
        catalogue = latest_catalogue()
        return self._take(
            lambda worker_id: take_runs(
                worker_id,
                **self._takeable(catalogue),
                revision=catalogue.revision,
                limit=self.bodies.room,
                starts=self._take_starts,
            )
        )

    def suspect_waits(self) -> bool:
        """Tell whether a run waits here that must be executed alone."""
        return suspect_waits(**self._takeable(current_catalogue()))

    def take_suspect(self) -> int:
        """Take one run that must be executed alone; return how many there were."""
        catalogue = latest_catalogue()

        def one(worker_id: str) -> list[TakenRun]:
            mine = self._takeable(catalogue)
            run = take_suspect(worker_id, **mine, revision=catalogue.revision)
            return [] if run is None else [run]

        return self._take(one)

    def submit(self, write: Write) -> Receipt:
        """Hand a run's write to the writer: the process is the `Store` of its executions."""
        if write.release is not None:
            self._in_hand.hand_over(write.run)
        return self._writer.submit(write)

    def _try(self, begin: Callable[[], None]) -> bool:
        """Do something that needs the database, as often as it takes; False: stopped meanwhile."""
        while not self.is_stopping:
            try:
                begin()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("worker.waits_for_the_database error=%s", error)
                connection.close()
                time.sleep(PAUSE_BEFORE_START)
            else:
                return True
        return False

    def _prepare(self) -> None:
        synchronise_clock()
        rescue_dead_siblings(self._cluster)
        register_workflows(registry, declared_at=self._declared_at)

    def _begin_lease(self) -> None:
        synchronise_clock()
        worker = begin_lease(
            Identity(
                host=socket.gethostname(),
                pid=os.getpid(),
                cluster=self._cluster,
                queues=self._queues,
                workflows=sorted(self._workflows),
                threads=configuration().threads,
            )
        )
        self._lease = WorkerLease(worker.lease_until, worker_id=worker.id)
        logger.info("worker.started worker=%s pid=%s", worker.id, worker.pid)

    def _take(self, take: Callable[[str], Sequence[TakenRun]]) -> int:
        """Take runs in hand under the lease of this moment, whatever becomes of that meanwhile."""
        lease = self._lease
        if lease is None:
            return 0
        with self._in_hand.taking:
            runs = take(lease.worker_id)
            self._in_hand.take(runs)
        self.bodies.begin([partial(self._execute, run, lease) for run in runs])
        return len(runs)

    def _takeable(self, catalogue: Catalogue) -> Takeable:
        """Return which runs this worker may take."""
        return takeable(catalogue, self._queues, self._workflows)

    def _execute(self, run: TakenRun, lease: WorkerLease) -> None:
        """Execute a run on the calling thread; whatever happens, the run goes on or ends."""
        try:
            self._execute_in_public(run, lease)
        except (OperationalError, InterfaceError) as error:
            # Neither the run's fault nor its end: the next beat gives it back.
            logger.warning("run.interrupted run=%s error=%s", run.id, error)
        except Exception as error:  # a fault of the engine itself: the run must not hang
            logger.exception("run.broke_the_engine run=%s", run.id)
            self.submit(failed_outright(run, error))
        finally:
            if not self._in_hand.executed(run):
                self._beat.ask()

    def _execute_in_public(self, run: TakenRun, lease: WorkerLease) -> None:
        """Execute a run whose bodies operators can see at work."""
        retries = latest_catalogue().retries.get(run.workflow)
        workflow = with_retries(registry.get(run.workflow), retries)
        if workflow.is_async:
            self.core.leave()  # bodies run among the rest, on a thread that this one starts
        else:
            self.core.join()
        execution = Execution(
            run,
            workflow,
            self,
            lease,
            call_helpers=self.bodies.help,
            abandon=self.abandon,
            before_body=self.core.leave,
            after_body=return_to_pool if workflow.is_async else self._after_body,
        )
        self._executions.add(execution)
        try:
            execute(execution)
        finally:
            self._executions.discard(execution)

    def _after_body(self) -> None:
        return_to_pool()
        self.core.join()

    def abandon(self) -> None:
        """Take no more, and leave once the other bodies have ended: one of them cannot be stopped.

        Another process takes this one's place. Each call after the first does nothing.
        """
        lease = self._lease
        if lease is not None and not lease.is_closing:
            lease.is_closing = True
            self._is_leaving = True
            threading.Thread(
                target=self._leave_when_idle, name="workflows-abandon", daemon=True
            ).start()

    def _leave_when_idle(self) -> None:
        logger.warning("worker.leaves reason=a_body_outlived_its_timeout")
        while self._has_lease() and any(each.bodies for each in list(self._executions)):
            time.sleep(LOOK_FOR_BODIES_EVERY)
        self._leave()

    # What the beat asks for

    def renew(self) -> None:
        """Move the lease's end on. Who has lost it ends, or, with nothing in hand, has another."""
        lease = self._lease
        assert lease is not None  # the beat began after it
        synchronise_clock()
        until = renew_lease(lease.worker_id, busy=self.bodies.busy)
        if self._beat.has_stopped or (self._is_leaving and until is None):
            return
        if until is not None:
            lease.until = until
        elif self.bodies.busy:
            logger.critical("worker.ends_itself worker=%s reason=lost_lease", lease.worker_id)
            os._exit(1)
        else:
            logger.warning("worker.lost_its_lease worker=%s", lease.worker_id)
            self._begin_lease()
        retire_unknown()

    def give_back_forgotten(self) -> None:
        """Give back the runs that bear this worker's name though it does not have them in hand."""
        if self._lease is None or not self._in_hand.taking.acquire(blocking=False):
            return  # a take is under way
        try:
            returned = give_back_forgotten(self._lease.worker_id, in_hand=self._in_hand.ids())
        finally:
            self._in_hand.taking.release()
        if returned:
            logger.warning("run.given_back count=%s", returned)

    def show_bodies(self) -> None:
        """Let operators see which steps' bodies have been at work for a while."""
        for execution in list(self._executions):
            execution.show_bodies(older_than=clock.now() - SHOW_BODIES_AFTER)

    def is_zombie(self) -> bool:
        """Tell whether bodies are at work though others must have taken over their runs."""
        lease = self._lease
        if lease is None or not self.bodies.busy:
            return False
        return clock.now() > lease.until + configuration().lease

    def _has_lease(self) -> bool:
        return self._lease is not None and clock.now() < self._lease.until


_process: WorkerProcess | None = None


def this_process() -> WorkerProcess | None:
    """Return the worker that this process is."""
    return _process


def be_worker(process: WorkerProcess) -> None:
    """Let this process be a worker: once, after the fork."""
    global _process  # noqa: PLW0603  a process is one worker
    _process = process
