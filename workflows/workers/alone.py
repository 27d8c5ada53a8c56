"""The worker that executes, one at a time and with nothing beside it, what may have killed others.

It has a process of its own, which takes up a lease only once there is something to execute. So a
suspect need not wait until another process is empty, and nobody waits for the suspect.
"""

import logging
import time

from django.db import DatabaseError, InterfaceError, connection

from workflows.workers.process import WorkerProcess

LOOK_EVERY = 0.5  # seconds
LOOK_AT_IT_EVERY = 0.01  # seconds

logger = logging.getLogger("workflows.alone")


def execute_suspects(process: WorkerProcess) -> None:
    """Execute suspects until the process is to stop."""
    while not process.is_stopping:
        try:
            if execute_suspect(process):
                continue
        except (DatabaseError, InterfaceError) as error:
            logger.warning("alone.failed error=%s", error)
            connection.close()
        except Exception:  # as in a drain: the next look may fare better
            logger.exception("alone.failed")
            connection.close()
        time.sleep(LOOK_EVERY)


def execute_suspect(process: WorkerProcess) -> bool:
    """Execute one suspect to the end of this slice; return whether there was one."""
    if not process.suspect_waits() or not (process.has_begun or process.start()):
        return False
    if not process.take_suspect():
        return False
    # Until its end is stored, and not only reached: it must not be held when the next one kills.
    while process.holds_runs:
        if process.is_stopping:
            return False
        time.sleep(LOOK_AT_IT_EVERY)
    return True
