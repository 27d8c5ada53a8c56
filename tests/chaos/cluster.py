"""A real cluster in the hands of a test: start it, find its processes, do things to them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection

from benchmarks.processes import tree_of
from tests.chaos.journal import fault
from workflows.models import Worker

PATIENCE = 60.0  # seconds


class Cluster:
    """`manage.py qcluster`, with all the processes that it starts."""

    def __init__(self, log: Path = Path(os.devnull)) -> None:
        self.log = log
        self._command: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start the cluster, in a process group of its own; wait until its workers are alive."""
        with self.log.open("ab") as log:
            self._command = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: bool(self.workers()), what="a worker")

    @property
    def pid(self) -> int:
        """The process that was started, which gets the operator's signals."""
        return self._command.pid

    @property
    def sentinel(self) -> int:
        """The process that starts and watches the others."""
        return tree_of(self.pid)[1]

    def everything(self) -> list[int]:
        """Return all of its processes."""
        return tree_of(self.pid)

    def workers(self) -> list[int]:
        """Return the worker processes that are alive and have a lease."""
        alive = {pid for pid in tree_of(self.pid) if is_alive(pid)}
        return [pid for pid in Worker.objects.values_list("pid", flat=True) if pid in alive]

    def is_whole(self) -> bool:
        """Tell whether there is a worker, and each lease is that of a process that is alive."""
        alive = self.workers()
        return bool(alive) and len(alive) == Worker.objects.count()

    def others(self) -> list[int]:
        """Return the sentinel's other children: pusher, monitor, the worker that works alone."""
        workers = set(Worker.objects.values_list("pid", flat=True))
        return [pid for pid in tree_of(self.sentinel)[1:] if pid not in workers]

    def kill(self, pids: Iterable[int]) -> None:
        """Kill processes, with -9, at once; none of them counts as alive any more."""
        victims = list(pids)
        with fault("killed", victims):
            for pid in victims:
                send_signal(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, victims)), what="the killed to be dead")

    def wait(self, patience: float = PATIENCE) -> float:
        """Wait until the process that was started has ended; return how long that took."""
        began = time.monotonic()
        self._command.wait(patience)
        return time.monotonic() - began

    def end(self) -> None:
        """Leave no process behind, whatever has happened."""
        for pid in tree_of(self.pid) if self._command.poll() is None else []:
            send_signal(pid, signal.SIGKILL)
        self._command.wait()

    def terminate(self, *, whole_group: bool = False, number: int = signal.SIGTERM) -> float:
        """Stop it as an operator does; return how long that took, in seconds."""
        everything = self.everything()
        began = time.monotonic()
        with fault("stopped", everything):
            if whole_group:
                os.killpg(self.pid, number)
            else:
                send_signal(self.pid, number)
            self.wait()
            wait_until(lambda: not any(map(is_alive, everything)), what="all processes to end")
        return time.monotonic() - began


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    """Tell whether a process is there, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  a pseudo-file
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool], *, what: str, patience: float = PATIENCE) -> float:
    """Wait until something is so, also through the database's absence; return the seconds."""
    began = time.monotonic()
    while True:
        try:
            if is_so():
                return time.monotonic() - began
        except (DatabaseError, InterfaceError):
            with suppress(DatabaseError, InterfaceError):
                connection.close()
        if time.monotonic() - began > patience:
            message = f"Waited {patience:.0f} s in vain for {what}."
            raise TimeoutError(message)
        time.sleep(0.02)
