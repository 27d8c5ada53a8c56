"""The broker: hands django-q2's workers a drain when the engine has something to do.

The drain is a constant task: no event, argument or result passes through django-q2's queue.
Ordinary tasks of the same project are handed out as django-q2's own ORM broker does.
"""

import logging
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.scheduler import scheduler
from django_q.signing import SignedPackage

from workflows.clock import clock
from workflows.conf import configuration
from workflows.definitions.registry import registry
from workflows.engine.catalogue import current_catalogue
from workflows.engine.due import next_due
from workflows.workers.own_connection import use_own_connection
from workflows.workers.shared import PacketQueue
from workflows.workers.wake import WakeUps, wake_ups

LONGEST_WAIT = 1.0  # seconds; then the pusher looks whether it should stop
LOOK_FOR_TASKS_EVERY = 0.2  # seconds
LOOK_FOR_SCHEDULES_EVERY = 30.0  # seconds
WATCHDOG = 60  # seconds after which a drain, which lasts a few, counts as stuck
PAUSE_AFTER_ERROR = 0.5  # seconds
PAUSE_AFTER_DRAIN = 0.010  # seconds; the worker needs a moment to take what is due
IDLE_AFTER = 0.025  # seconds without a drain

logger = logging.getLogger("workflows.broker")

Task = tuple[int | None, str]


class WorkflowBroker(ORM):  # type: ignore[misc]  # django-q2 ships no types
    """Feeds the pusher process of a cluster."""

    # Where the pusher puts tasks: the sentinel sets it before it forks the pusher.
    task_queue: PacketQueue | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wake_ups: WakeUps | None = None
        self._next_look = 0.0
        self._next_schedules = 0.0
        self._last_drain = 0.0  # by the monotonic clock
        self._drain = ""

    @cached_property
    def _known(self) -> frozenset[str]:
        """The workflows that this host's workers know: the pusher is forked from the same code."""
        return frozenset(registry.ids())

    def dequeue(self) -> list[Task] | None:
        """Wait for something to do, at most about a second; never raises."""
        try:
            return self._wait_for_work()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("broker.retries error=%s", error)
        except Exception:  # django-q2 would end the pusher, after ten seconds
            logger.exception("broker.retries")
        self._start_anew()
        return None

    def _start_anew(self) -> None:
        """Forget what may be broken, and wait a moment."""
        self._wake_ups = None
        with suppress(DatabaseError, InterfaceError):
            connection.close()
        time.sleep(PAUSE_AFTER_ERROR)

    def _wait_for_work(self) -> list[Task] | None:
        if self._wake_ups is None:
            use_own_connection()
            self._wake_ups = wake_ups()
        current_catalogue()
        ends = time.monotonic() + LONGEST_WAIT
        self._create_scheduled_tasks()
        while (left := ends - time.monotonic()) > 0:
            tasks = self._ordinary_tasks()
            if tasks:
                return tasks
            seconds = min(self._seconds_to_next_drain(), left, LOOK_FOR_TASKS_EVERY)
            if seconds == 0 or (self._wake_ups.wait(seconds) and self._is_idle()):
                self._last_drain = time.monotonic()
                return [(None, self._drain_task())]
        return None

    def _create_scheduled_tasks(self) -> None:
        """Do what the sentinel does in a plain cluster: that one must never wait for a database."""
        if Conf.SCHEDULER and time.monotonic() >= self._next_schedules:
            self._next_schedules = time.monotonic() + LOOK_FOR_SCHEDULES_EVERY
            scheduler(broker=self)

    def _ordinary_tasks(self) -> list[Task] | None:
        """Return tasks that `async_task` queued, looking for them a few times a second."""
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + LOOK_FOR_TASKS_EVERY
        if (
            not OrmQ.objects.using(Conf.ORM)
            .filter(key=self.list_key, lock__lt=clock.now())
            .exists()
        ):
            return None
        tasks: list[Task] | None = super().dequeue()
        return tasks

    def _seconds_to_next_drain(self) -> float:
        """Return how long there is nothing to do; a drain that nobody has begun is enough."""
        if self._has_drain():
            return PAUSE_AFTER_DRAIN
        if (pause := self._last_drain + PAUSE_AFTER_DRAIN - time.monotonic()) > 0:
            return pause
        seconds = next_due(queues=configuration().queues, workflows=self._known)
        return LONGEST_WAIT if seconds is None else seconds

    def _is_idle(self) -> bool:
        """Tell whether to trust a notification: to ask what is due takes as long as to begin."""
        return not self._has_drain() and time.monotonic() > self._last_drain + IDLE_AFTER

    def _has_drain(self) -> bool:
        return self.task_queue is not None and not self.task_queue.empty()

    def _drain_task(self) -> str:
        """Return the one constant task, signed as django-q2 wants it."""
        if not self._drain:
            self._drain = SignedPackage.dumps(
                {
                    "id": "drain",
                    "name": "drain",
                    "func": "workflows.workers.drain.drain",
                    "args": (),
                    "kwargs": {},
                    "started": clock.now(),
                    "timeout": WATCHDOG,
                    "save": False,
                }
            )
        return self._drain
