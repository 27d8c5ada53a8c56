"""Workflows with bodies that nothing can interrupt."""

import os
import time
from typing import Any

from workflows import Event, Step, current_run, workflow


@workflow(id="overrunning", trigger="overrun/go")
def overrunning(event: Event[Any], step: Step) -> list[int]:
    """Sleep far too long at the first attempt; give the process of each attempt that ended."""
    stepping = step.with_options(timeout="500ms", retries=1, backoff="100ms")
    return [stepping.run("blocked", block_once), step.run("after", os.getpid)]


@workflow(id="neighbour", trigger="overrun/neighbour")
def neighbour(event: Event[Any], step: Step) -> int:
    """Take a few seconds, in the same process."""
    step.run("body", time.sleep, 4)
    return step.run("process", os.getpid)


def block_once() -> int:
    """Wait in C code, where no exception arrives, at the first attempt."""
    if current_run().attempt == 0:
        time.sleep(120)
    return os.getpid()
