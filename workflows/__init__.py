"""Durable, event-driven workflows inside a Django project.

This module is what other apps import. Whatever needs a model is imported when it is first
used, because Django imports this package before its models can be.
"""

from typing import TYPE_CHECKING, Any

from workflows.definitions.events import Event, EventData
from workflows.definitions.flow_control import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from workflows.definitions.step import Step
from workflows.definitions.triggers import Cron, EventTrigger
from workflows.definitions.workflow import Workflow, workflow
from workflows.errors import (
    InvalidEvent,
    NestedStepError,
    NonRetriableError,
    RetryAfterError,
    RunStateError,
    StepError,
    StepResultNotStorable,
    UnknownWorkflow,
    WorkflowsError,
)

if TYPE_CHECKING:
    from workflows.client import asend, send, send_signal
    from workflows.engine.context import current_run

_NEEDS_MODELS = {
    "asend": "workflows.client",
    "current_run": "workflows.engine.context",
    "send": "workflows.client",
    "send_signal": "workflows.client",
}

__all__ = [
    "Batch",
    "CancelOn",
    "Concurrency",
    "Cron",
    "Debounce",
    "Event",
    "EventData",
    "EventTrigger",
    "Idempotency",
    "InvalidEvent",
    "NestedStepError",
    "NonRetriableError",
    "Priority",
    "RateLimit",
    "RetryAfterError",
    "RunStateError",
    "Singleton",
    "Step",
    "StepError",
    "StepResultNotStorable",
    "Throttle",
    "Timeouts",
    "UnknownWorkflow",
    "Workflow",
    "WorkflowsError",
    "asend",
    "current_run",
    "send",
    "send_signal",
    "workflow",
]


def __getattr__(name: str) -> Any:
    """Import what needs models when it is first used."""
    if name not in _NEEDS_MODELS:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415  only on this path

    return getattr(import_module(_NEEDS_MODELS[name]), name)
