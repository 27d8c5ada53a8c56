"""The operators' screens, in Django's own admin: they show, and `workflows.client` acts."""

from workflows.admin.audit_log import OperatorActionAdmin
from workflows.admin.bulk_operations import BulkOperationAdmin
from workflows.admin.event_keys import EventKeyAdmin
from workflows.admin.events import EventAdmin
from workflows.admin.registered_workflows import RegisteredWorkflowAdmin
from workflows.admin.runs import RunAdmin
from workflows.admin.schedules import ScheduleAdmin
from workflows.admin.workers import WorkerAdmin

__all__ = [
    "BulkOperationAdmin",
    "EventAdmin",
    "EventKeyAdmin",
    "OperatorActionAdmin",
    "RegisteredWorkflowAdmin",
    "RunAdmin",
    "ScheduleAdmin",
    "WorkerAdmin",
]
