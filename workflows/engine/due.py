"""What a host could do now, and when next."""

from collections.abc import Sequence

from workflows.clock import clock
from workflows.engine.catalogue import latest_catalogue
from workflows.engine.sql import sql
from workflows.engine.takeable import takeable


def next_due(*, queues: Sequence[str] | None, workflows: frozenset[str]) -> float | None:
    """Return the seconds until there is something to route, wake or take here.

    Args:
        queues: the queues that this host serves; None: all.
        workflows: the ids of the workflows that its workers know.

    Returns:
        0 where there is something to do now; None where nothing is known to become due.
    """
    now = clock.now()
    due_at = sql().next_due(now=now, **takeable(latest_catalogue(), queues, workflows))
    return None if due_at is None else max(0.0, (due_at - now).total_seconds())
