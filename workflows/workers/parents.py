"""Processes that end with their parent, whatever ends that."""

import ctypes
import os
import signal
from multiprocessing import parent_process

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies (Linux).

    Also where it has died before: on a busy host a process may first run long after its fork.
    """
    parent = parent_process()
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    except (AttributeError, OSError):
        return  # not Linux: the lease ends what an orphan could do
    if parent is not None and os.getppid() != parent.pid:
        os.kill(os.getpid(), number)
