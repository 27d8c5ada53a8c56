"""Every address of the platform, from the site's root; none ends in a slash."""

from django.urls import path

from workflows.api.event_api import receive_with_path
from workflows.api.events import EventRunsView, EventsView, EventView
from workflows.api.health import health, readiness
from workflows.api.methods import events_view
from workflows.api.metrics import MetricsView
from workflows.api.openapi import SchemaView, documentation
from workflows.api.runs import CancelView, ReplayView, RetryView, RunsView, RunView
from workflows.api.schedules import RunScheduleView, SchedulesView, ScheduleView
from workflows.api.signals import SignalsView
from workflows.api.workflows import (
    InvokeView,
    PauseView,
    ResumeView,
    WorkflowsView,
    WorkflowView,
)

urlpatterns = [
    path("e/<str:key>", receive_with_path, name="receive-events"),
    path("api/v1/events", events_view(EventsView), name="events"),
    path("api/v1/events/<str:event_id>", EventView.as_view(), name="event"),
    path("api/v1/events/<str:event_id>/runs", EventRunsView.as_view(), name="event-runs"),
    path("api/v1/runs", RunsView.as_view(), name="runs"),
    path("api/v1/runs/<str:run_id>", RunView.as_view(), name="run"),
    path("api/v1/runs/<str:run_id>/cancel", CancelView.as_view(), name="cancel-run"),
    path("api/v1/runs/<str:run_id>/retry", RetryView.as_view(), name="retry-run"),
    path("api/v1/runs/<str:run_id>/replay", ReplayView.as_view(), name="replay-run"),
    path("api/v1/workflows", WorkflowsView.as_view(), name="workflows"),
    # A workflow's id may hold slashes, as `<id>/on-failure` does.
    path("api/v1/workflows/<path:workflow_id>/pause", PauseView.as_view(), name="pause-workflow"),
    path(
        "api/v1/workflows/<path:workflow_id>/resume", ResumeView.as_view(), name="resume-workflow"
    ),
    path(
        "api/v1/workflows/<path:workflow_id>/invoke", InvokeView.as_view(), name="invoke-workflow"
    ),
    path("api/v1/workflows/<path:workflow_id>", WorkflowView.as_view(), name="workflow"),
    path("api/v1/schedules", SchedulesView.as_view(), name="schedules"),
    path("api/v1/schedules/<str:schedule_id>", ScheduleView.as_view(), name="schedule"),
    path("api/v1/schedules/<str:schedule_id>/run", RunScheduleView.as_view(), name="run-schedule"),
    path("api/v1/signals", SignalsView.as_view(), name="signals"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", documentation, name="api-docs"),
    path("healthz", health, name="health"),
    path("readyz", readiness, name="readiness"),
    path("metrics", MetricsView.as_view(), name="metrics"),
]
