"""A real cluster in the hands of a test: start it, find its processes, kill them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from benchmarks.processes import tree_of
from workflows.models import Worker

PATIENCE = 60.0  # seconds


class Cluster:
    """`manage.py qcluster`, with all the processes that it starts."""

    def __init__(self) -> None:
        self._command: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start the cluster, and wait until its workers are alive."""
        self._command = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: bool(self.workers()), what="a worker")

    @property
    def sentinel(self) -> int:
        """The process that starts and watches the others."""
        return tree_of(self._command.pid)[1]

    def workers(self) -> list[int]:
        """Return the worker processes that are alive and have a lease."""
        alive = set(tree_of(self._command.pid))
        return [pid for pid in Worker.objects.values_list("pid", flat=True) if pid in alive]

    def others(self) -> list[int]:
        """Return the pusher and the monitor."""
        workers = set(Worker.objects.values_list("pid", flat=True))
        return [pid for pid in tree_of(self.sentinel)[1:] if pid not in workers]

    def kill(self, pid: int) -> None:
        """Kill one of its processes."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill every process at once."""
        for pid in tree_of(self._command.pid):
            self.kill(pid)
        self._command.wait()

    def kill_parents(self) -> list[int]:
        """Kill the parents only; return their children."""
        children = tree_of(self.sentinel)[1:]
        self.kill(self._command.pid)
        self._command.wait()
        return children

    def terminate(self) -> float:
        """Stop it as an operator does; return how long that took, in seconds."""
        began = time.monotonic()
        self._command.terminate()
        self._command.wait(PATIENCE)
        return time.monotonic() - began


def is_alive(pid: int) -> bool:
    """Tell whether a process is there, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  a pseudo-file
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool], *, what: str, patience: float = PATIENCE) -> float:
    """Wait until something is so; return how long that took, in seconds."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > patience:
            message = f"Waited {patience:.0f} s in vain for {what}."
            raise TimeoutError(message)
        time.sleep(0.02)
    return time.monotonic() - began
