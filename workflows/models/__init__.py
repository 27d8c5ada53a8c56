"""What is stored: one file for each table."""

from workflows.models.attempt import Attempt
from workflows.models.bulk_operation import BulkKind, BulkOperation, BulkStatus
from workflows.models.cron_schedule import CronSchedule
from workflows.models.event import Event
from workflows.models.event_key import EventKey
from workflows.models.event_seed import EventKeyPace, EventSeed
from workflows.models.gate_memory import Acceptance, SeenValue
from workflows.models.gathered_event import GatheredEvent
from workflows.models.hour_count import HourBacklog, HourCount, HourDuration
from workflows.models.housekeeping import Housekeeping
from workflows.models.lane import Admission, Lane, LaneState, Pace
from workflows.models.metric_total import MetricTotal
from workflows.models.minute_count import (
    Measure,
    MinuteBacklog,
    MinuteCount,
    MinuteDuration,
    MinuteError,
)
from workflows.models.operator_action import ActorKind, OperatorAction
from workflows.models.registered_workflow import Catalogue, RegisteredWorkflow
from workflows.models.run import GatherKind, Run, RunStatus
from workflows.models.run_tag import RunTag
from workflows.models.schedule import Schedule
from workflows.models.step import Step, StepOp, StepStatus
from workflows.models.wait import MatchPath, Wait
from workflows.models.worker import Worker

__all__ = [
    "Acceptance",
    "ActorKind",
    "Admission",
    "Attempt",
    "BulkKind",
    "BulkOperation",
    "BulkStatus",
    "Catalogue",
    "CronSchedule",
    "Event",
    "EventKey",
    "EventKeyPace",
    "EventSeed",
    "GatherKind",
    "GatheredEvent",
    "HourBacklog",
    "HourCount",
    "HourDuration",
    "Housekeeping",
    "Lane",
    "LaneState",
    "MatchPath",
    "Measure",
    "MetricTotal",
    "MinuteBacklog",
    "MinuteCount",
    "MinuteDuration",
    "MinuteError",
    "OperatorAction",
    "Pace",
    "RegisteredWorkflow",
    "Run",
    "RunStatus",
    "RunTag",
    "Schedule",
    "SeenValue",
    "Step",
    "StepOp",
    "StepStatus",
    "Wait",
    "Worker",
]
