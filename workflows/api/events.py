"""Events over HTTP, for operators."""

from dataclasses import asdict
from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from workflows.api.access import OperatorView
from workflows.api.paging import page, read_moment
from workflows.api.runs import ShowRun
from workflows.models import Event, Run
from workflows.resources import event_resource, redacted_event


class EventsView(OperatorView):
    """`GET /api/v1/events`: events, newest first."""

    permission = "workflows.view_event"

    def get(self, request: Request) -> Response:
        """Return a page of events: of a name, and of a time."""
        events = Event.objects.all()
        if "name" in request.query_params:
            events = events.filter(name=request.query_params["name"])
        if (since := read_moment(request, "since")) is not None:
            events = events.filter(received_at__gte=since)
        if (until := read_moment(request, "until")) is not None:
            events = events.filter(received_at__lt=until)
        return Response(page(request, events, ShowEvent(self.may_see_payloads(request))))


class EventView(OperatorView):
    """`GET /api/v1/events/{id}`: one event."""

    permission = "workflows.view_event"

    def get(self, request: Request, event_id: str) -> Response:
        """Return the event resource."""
        return Response(ShowEvent(self.may_see_payloads(request))(require_event(event_id)))


class EventRunsView(OperatorView):
    """`GET /api/v1/events/{id}/runs`: what has become of an event."""

    permission = "workflows.view_run"

    def get(self, request: Request, event_id: str) -> Response:
        """Return a page of the event's runs."""
        require_event(event_id)
        runs = Run.objects.filter(event_id=event_id)
        return Response(page(request, runs, ShowRun(self.may_see_payloads(request)).in_list))


class ShowEvent:
    """Shows events to somebody who may, or may not, see payloads."""

    def __init__(self, may_see_payloads: bool) -> None:  # noqa: FBT001  the one thing it is about
        self._may_see_payloads = may_see_payloads

    def __call__(self, event: Event) -> dict[str, Any]:
        """Return an event."""
        resource = event_resource(event)
        return asdict(resource if self._may_see_payloads else redacted_event(resource))


def require_event(event_id: str) -> Event:
    """Return an event, or answer 404."""
    event = Event.objects.filter(pk=event_id).first()
    if event is None:
        raise NotFound("There is no event with this id.")
    return event
