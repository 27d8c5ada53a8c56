"""What is stored: one file for each table."""

from workflows.models.attempt import Attempt
from workflows.models.cron_schedule import CronSchedule
from workflows.models.event import Event
from workflows.models.event_key import EventKey
from workflows.models.event_seed import EventKeyPace, EventSeed
from workflows.models.operator_action import ActorKind, OperatorAction
from workflows.models.registered_workflow import Catalogue, RegisteredWorkflow
from workflows.models.run import Run, RunStatus
from workflows.models.run_tag import RunTag
from workflows.models.step import Step, StepOp, StepStatus
from workflows.models.wait import MatchPath, Wait
from workflows.models.worker import Worker

__all__ = [
    "ActorKind",
    "Attempt",
    "Catalogue",
    "CronSchedule",
    "Event",
    "EventKey",
    "EventKeyPace",
    "EventSeed",
    "MatchPath",
    "OperatorAction",
    "RegisteredWorkflow",
    "Run",
    "RunStatus",
    "RunTag",
    "Step",
    "StepOp",
    "StepStatus",
    "Wait",
    "Worker",
]
