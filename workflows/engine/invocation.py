"""What `step.invoke` calls."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows.definitions.durations import Duration, positive_duration
from workflows.definitions.events import EventData
from workflows.definitions.registry import registry
from workflows.definitions.workflow import Workflow
from workflows.serialisation import return_annotation


@dataclass(frozen=True, slots=True)
class Invocation:
    """A workflow, the data that it is given, and how long the caller waits."""

    workflow: str
    data: dict[str, Any]
    timeout: timedelta | None
    output_type: Any


def invocation(workflow: Workflow | str, data: Any, *, timeout: Duration | None) -> Invocation:
    """Check what the author wrote. A workflow that other hosts know is called by its id."""
    id_ = workflow.id if isinstance(workflow, Workflow) else workflow
    known = registry.find(id_)
    return Invocation(
        workflow=id_,
        data=data.to_wire() if isinstance(data, EventData) else dict(data or {}),
        timeout=None if timeout is None else positive_duration(timeout, argument="timeout"),
        output_type=return_annotation(known.function) if known else Any,
    )
