"""Whether the database server has as many connections as this host may need."""

import logging
from dataclasses import dataclass

import psycopg
from django.conf import settings
from django.db import connection

from workflows.workers.wake import own_connection

# Beside its pool, for bodies, a worker has one each for drains, the writer, the beat, and to notify
# others. Then there are the worker that works alone, with one body at a time, the pusher with the
# one that listens, and the process that stores ordinary tasks' results.
BESIDE_THE_POOL = 4
OF_THE_OTHERS = 5 + 2 + 1
ALLOWED = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
"""

logger = logging.getLogger("workflows.cluster")


@dataclass(frozen=True, slots=True)
class Need:
    """How many connections this host may have open at once, and how many there are for all."""

    most: int
    allowed: int

    @property
    def message(self) -> str:
        """What is wrong, and what to do."""
        return (
            f"This host's workers may need {self.most} connections; the PostgreSQL server allows "
            f"{self.allowed} for all of its clients. Lower WORKFLOWS_WORKERS or WORKFLOWS_THREADS "
            'on this host, or DATABASES["default"]["OPTIONS"]["pool"]["max_size"], or raise the '
            "server's max_connections."
        )


def warn_of_too_many_connections() -> None:
    """Say so at start, rather than by errors in the middle of steps."""
    if connection.vendor != "postgresql":
        return
    try:
        with own_connection() as server:
            row = server.execute(ALLOWED).fetchone()
    except psycopg.OperationalError as error:
        logger.warning("cluster.waits_for_the_database error=%s", error)
        return
    need = Need(most=most_connections(), allowed=row[0] if row else 0)
    if need.most > need.allowed:
        logger.warning(need.message)


def most_connections() -> int:
    """Return how many connections this host's processes may have open at once."""
    pool = connection.settings_dict["OPTIONS"].get("pool")
    size = pool.get("max_size") if isinstance(pool, dict) else None
    for_a_worker = (size or settings.WORKFLOWS_THREADS) + BESIDE_THE_POOL
    return int(settings.WORKFLOWS_WORKERS * for_a_worker + OF_THE_OTHERS)
