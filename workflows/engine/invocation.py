"""What `step.invoke` calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows.definitions.durations import Duration, positive_duration
from workflows.definitions.events import EventData
from workflows.definitions.registry import registry
from workflows.definitions.workflow import Workflow
from workflows.errors import InvalidEvent, InvocationTooDeep
from workflows.serialisation import return_annotation


@dataclass(frozen=True, slots=True)
class Invocation:
    """A workflow, the data that it is given, and how long the caller waits."""

    workflow: str
    data: dict[str, Any]
    timeout: timedelta | None


def invocation(workflow: Workflow | str, data: Any, *, timeout: Duration | None) -> Invocation:
    """Check what the author wrote. A workflow that other hosts know is called by its id."""
    return Invocation(
        workflow=_id_of(workflow),
        data=_wire_data(data),
        timeout=None if timeout is None else positive_duration(timeout, argument="timeout"),
    )


def output_type(workflow: Workflow | str) -> Any:
    """Return the type by which the output is rebuilt: any, where only other hosts know that."""
    known = registry.find(_id_of(workflow))
    return return_annotation(known.function) if known else Any


def require_depth(depth: int, most: int) -> None:
    """Refuse an invocation with too many invocations above it: most likely, it has no end."""
    if depth > most:
        message = (
            f"{most} runs lie above this invocation already, which is the most that is allowed "
            "(MAX_INVOCATION_DEPTH)."
        )
        raise InvocationTooDeep(message)


def _id_of(workflow: Workflow | str) -> str:
    return workflow.id if isinstance(workflow, Workflow) else str(workflow)


def _wire_data(data: Any) -> dict[str, Any]:
    if data is None:
        return {}
    if isinstance(data, EventData):
        return data.to_wire()
    if isinstance(data, Mapping):
        return dict(data)
    message = f"invoke takes an EventData or a dict as data, not {type(data).__name__}."
    raise InvalidEvent(message)
