"""What the processes of a cluster share, without any lock that a killed one could keep.

multiprocessing's own queue, event and value hold a lock while they are read or written. A
worker that is killed with kill -9 at that moment keeps it for ever, and the cluster hangs. A
packet of a socket, and one byte or float of shared memory, need no lock: the kernel, or the
processor, reads and writes each as a whole.
"""

import ctypes
import os
import pickle
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawValue
from typing import Any

LARGEST_PACKET = 64 * 1024  # bytes; larger objects travel in a file of the kernel's memory
POLL = 0.02  # seconds


class PacketQueue:
    """A queue between processes over a pair of sockets that keep packets whole.

    Has the part of `multiprocessing.Queue` that django-q2 uses. Only processes that this host
    has forked can write to it, which is why what it brings may be unpickled.
    """

    def __init__(self, maxsize: int = 0) -> None:
        """Make a queue; the kernel's buffer bounds it, whatever `maxsize` says."""
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def put(self, item: object) -> None:
        """Send an object; waits while the buffer is full."""
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        if len(data) <= LARGEST_PACKET:
            self._writer.send(data)
            return
        file = os.memfd_create("task")
        try:
            with os.fdopen(os.dup(file), "wb") as memory:
                memory.write(data)
            socket.send_fds(self._writer, [b"\0"], [file])
        finally:
            os.close(file)

    def get(self) -> Any:
        """Receive an object; waits for one."""
        data, files, _, _ = socket.recv_fds(self._reader, LARGEST_PACKET, 1)
        if files:
            with os.fdopen(files[0], "rb") as memory:
                memory.seek(0)
                data = memory.read()
        return pickle.loads(data)  # noqa: S301  only our own processes write here

    def empty(self) -> bool:
        """Tell whether nothing waits to be received."""
        readable, _, _ = select.select([self._reader], [], [], 0)
        return not readable

    def qsize(self) -> int:
        """Return 1 where something waits: the kernel does not tell how much."""
        return 0 if self.empty() else 1

    def close(self) -> None:
        """Leave the sockets to the processes that still read from them."""

    def join_thread(self) -> None:
        """Return at once: `put` has sent everything itself."""


class SharedEvent:
    """A flag that all processes see: one byte of shared memory."""

    def __init__(self) -> None:
        self._flag = RawValue(ctypes.c_bool)

    def is_set(self) -> bool:
        """Tell whether the flag is set."""
        return bool(self._flag.value)

    def set(self) -> None:
        """Set the flag."""
        self._flag.value = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set; return whether it is."""
        ends = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (ends is None or time.monotonic() < ends):
            time.sleep(POLL)
        return self.is_set()


class SharedValue:
    """A number that all processes see."""

    def __init__(self, typecode: str, value: float) -> None:
        self._number = RawValue(typecode, value)

    @property
    def value(self) -> float:
        """The number."""
        return float(self._number.value)

    @value.setter
    def value(self, value: float) -> None:
        self._number.value = value

    @contextmanager
    def get_lock(self) -> Iterator[None]:
        """Lock nothing: only the worker writes while it is alive, and it writes whole numbers."""
        yield
