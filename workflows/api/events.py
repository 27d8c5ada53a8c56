"""Events over HTTP, for operators."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from workflows.api.access import OperatorView
from workflows.api.paging import page, within
from workflows.api.runs import ShowRun
from workflows.api.schema import EVENT_FILTERS, PAGE_BY_ID, answers
from workflows.api.shapes import EventListShape, EventShape, RunListShape
from workflows.models import Event, Run
from workflows.resources import event_resource, redacted_event


class EventsView(OperatorView):
    """`GET /api/v1/events`: events, newest first."""

    permission = "workflows.view_event"

    @extend_schema(
        operation_id="list_events", parameters=EVENT_FILTERS, responses=answers(EventListShape)
    )
    def get(self, request: Request) -> Response:
        """Return a page of events: of a name, of a sender's own id, and of a time."""
        asked = request.query_params
        events = within(request, Event.objects.all(), moment="received_at")
        if "name" in asked:
            events = events.filter(name=asked["name"])
        if "external_id" in asked:
            events = events.filter(external_id=asked["external_id"])
        return Response(page(request, events, ShowEvent(self.may_see_payloads(request))))


class EventView(OperatorView):
    """`GET /api/v1/events/{id}`: one event."""

    permission = "workflows.view_event"

    @extend_schema(operation_id="get_event", responses=answers(EventShape, or_else=(404,)))
    def get(self, request: Request, event_id: str) -> Response:
        """Return the event resource."""
        event = Event.objects.get(pk=event_id)
        return Response(ShowEvent(self.may_see_payloads(request))(event))


class EventRunsView(OperatorView):
    """`GET /api/v1/events/{id}/runs`: what has become of an event."""

    permission = "workflows.view_run"

    @extend_schema(
        operation_id="list_runs_of_event",
        parameters=PAGE_BY_ID,
        responses=answers(RunListShape, or_else=(404,)),
    )
    def get(self, request: Request, event_id: str) -> Response:
        """Return a page of the event's runs."""
        event = Event.objects.only("id").get(pk=event_id)
        runs = Run.objects.of_event(event.pk).prefetch_related("gathered_events")
        return Response(page(request, runs, ShowRun(self.may_see_payloads(request)).in_list))


class ShowEvent:
    """Shows events to somebody who may, or may not, see payloads."""

    def __init__(self, may_see_payloads: bool) -> None:  # noqa: FBT001  the one thing it is about
        self._may_see_payloads = may_see_payloads

    def __call__(self, event: Event) -> dict[str, Any]:
        """Return an event."""
        resource = event_resource(event)
        return asdict(resource if self._may_see_payloads else redacted_event(resource))
