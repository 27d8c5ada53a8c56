"""Keep house: a thread of each worker that writes roll-ups and deletes what nobody needs any more.

It has a thread of its own, so that neither routing nor the lease ever waits for it.
"""

import logging
import threading

from django.db import DatabaseError, InterfaceError, connection

from workflows.engine.admit import forget_lanes
from workflows.engine.meters import write_meters
from workflows.engine.prune import prune_by_retention
from workflows.engine.roll_up import roll_up
from workflows.workers.bodies import give_connections_back

EVERY = 5.0  # seconds
AT_ONCE = 0.2  # seconds: where there is more to do

logger = logging.getLogger("workflows.housekeeping")


def keep_house(stopped: threading.Event) -> None:
    """Keep house every few seconds until the process stops."""
    pause = EVERY
    while not stopped.wait(pause):
        try:
            write_meters()
            is_more = bool(roll_up()) | bool(prune_by_retention()) | bool(forget_lanes())
            pause = AT_ONCE if is_more else EVERY
        except (DatabaseError, InterfaceError) as error:
            logger.warning("housekeeping.failed error=%s", error)
            connection.close()
            pause = EVERY
        give_connections_back()
