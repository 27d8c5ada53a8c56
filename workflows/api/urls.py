"""Every address of the platform, from the site's root; none ends in a slash."""

from django.urls import path

from workflows.api.event_api import receive_with_bearer, receive_with_path
from workflows.api.events import EventRunsView, EventsView, EventView
from workflows.api.health import health, readiness
from workflows.api.methods import by_method
from workflows.api.runs import CancelView, ReplayView, RetryView, RunsView, RunView
from workflows.api.signals import SignalsView

urlpatterns = [
    path("e/<str:key>", receive_with_path, name="receive-events"),
    path(
        "api/v1/events",
        by_method(POST=receive_with_bearer, GET=EventsView.as_view()),
        name="events",
    ),
    path("api/v1/events/<str:event_id>", EventView.as_view(), name="event"),
    path("api/v1/events/<str:event_id>/runs", EventRunsView.as_view(), name="event-runs"),
    path("api/v1/runs", RunsView.as_view(), name="runs"),
    path("api/v1/runs/<str:run_id>", RunView.as_view(), name="run"),
    path("api/v1/runs/<str:run_id>/cancel", CancelView.as_view(), name="cancel-run"),
    path("api/v1/runs/<str:run_id>/retry", RetryView.as_view(), name="retry-run"),
    path("api/v1/runs/<str:run_id>/replay", ReplayView.as_view(), name="replay-run"),
    path("api/v1/signals", SignalsView.as_view(), name="signals"),
    path("healthz", health, name="health"),
    path("readyz", readiness, name="readiness"),
]
