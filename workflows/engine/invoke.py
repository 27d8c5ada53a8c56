"""Invoke a workflow by hand: its event and its run, in one transaction.

Whoever asks is answered with the run, which exists only once its event is routed. So the event
is routed at once, by the same rules as every other: concurrency, throttle, priority and a pause
hold for its run as for those that events start.
"""

from typing import Any

from workflows.definitions.events import RUN_INVOKED, Event
from workflows.engine.route import route_at_once
from workflows.engine.rows import UnroutedEvent
from workflows.engine.send import event_rows
from workflows.engine.sql import sql
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import UnknownWorkflow
from workflows.models import RegisteredWorkflow, Run


def invoke_in_transaction(workflow_id: str, data: dict[str, Any] | None) -> str:
    """Start a run of a workflow with the data, in the caller's transaction; return its id.

    It is the run that gathers the event, where the workflow is debounced or batched.

    Raises:
        UnknownWorkflow: no worker has registered such a workflow, or none knows it any more.
        InvalidEvent: the data cannot be an event's.
    """
    if not RegisteredWorkflow.objects.active().filter(pk=workflow_id).exists():
        raise UnknownWorkflow(f"No worker has registered a workflow {workflow_id!r}.")
    [row] = event_rows([Event(name=RUN_INVOKED, data=data or {})], allow_reserved=True)
    row = row._replace(target=workflow_id)
    sql().insert_events([row])
    route_at_once(
        UnroutedEvent(**{name: getattr(row, name) for name in UnroutedEvent._fields}),
    )
    wake_workers_after_commit()
    return str(Run.objects.of_event(row.id).values_list("id", flat=True).get())
