"""Wake suspended runs whose time has come: they are queued again, in their old place."""

from workflows.clock import clock
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction

BATCH = 500  # runs


def wake_runs() -> int:
    """Queue a batch of suspended runs that are due; return how many."""
    with transaction("wake"):
        sql().plan_by_indexes()
        return sql().wake_runs(now=clock.now(), limit=BATCH)
