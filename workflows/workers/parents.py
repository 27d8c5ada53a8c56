"""Processes that end with their parent, whatever ends that."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies (Linux)."""
    parent = os.getppid()
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    except (AttributeError, OSError):
        return  # not Linux: the lease ends what an orphan could do
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
