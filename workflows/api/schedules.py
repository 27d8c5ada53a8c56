"""Operators' schedules over HTTP: list, add, change, delete and run them."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import client
from workflows.api.access import OperatorView, actor_of
from workflows.api.bodies import ReasonBody, ScheduleBody, ScheduleChangeBody, read, read_part
from workflows.api.paging import page
from workflows.api.parsing import NoForm, StrictJSONParser
from workflows.api.schema import PAGE_BY_ID, answers
from workflows.api.shapes import FiredShape, ScheduleListShape, ScheduleShape
from workflows.models import Schedule


class SchedulesView(OperatorView):
    """`GET` and `POST /api/v1/schedules`."""

    permission = "workflows.view_schedule"
    permissions = {"POST": "workflows.manage_schedule"}

    @extend_schema(
        operation_id="list_schedules", parameters=PAGE_BY_ID, responses=answers(ScheduleListShape)
    )
    def get(self, request: Request) -> Response:
        """Return a page of schedules, newest first."""
        return Response(
            page(request, Schedule.objects.all(), ShowSchedule(self.may_see_payloads(request)))
        )

    @extend_schema(
        operation_id="create_schedule",
        request=ScheduleBody,
        responses=answers(ScheduleShape, status=201),
    )
    def post(self, request: Request) -> Response:
        """Add a schedule."""
        given = as_arguments(read(request, ScheduleBody))
        schedule = client.create_schedule(**given, actor=actor_of(request))
        return answered(self, request, schedule, code=status.HTTP_201_CREATED)


class ScheduleView(OperatorView):
    """`GET`, `PATCH` and `DELETE /api/v1/schedules/{id}`."""

    permission = "workflows.manage_schedule"
    permissions = {"GET": "workflows.view_schedule"}
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(operation_id="get_schedule", responses=answers(ScheduleShape, or_else=(404,)))
    def get(self, request: Request, schedule_id: str) -> Response:
        """Return the schedule."""
        return answered(self, request, Schedule.objects.get(pk=schedule_id))

    @extend_schema(
        operation_id="change_schedule",
        request={"application/json": ScheduleChangeBody},
        responses=answers(ScheduleShape, or_else=(404,)),
    )
    def patch(self, request: Request, schedule_id: str) -> Response:
        """Change what the body names; what it does not name stays."""
        given = as_arguments(read_part(request, ScheduleChangeBody))
        schedule = client.change_schedule(schedule_id, **given, actor=actor_of(request))
        return answered(self, request, schedule)

    @extend_schema(
        operation_id="delete_schedule", responses={204: None, **answers(None, or_else=(404,))}
    )
    def delete(self, request: Request, schedule_id: str) -> Response:
        """Delete the schedule; the events that it has sent stay."""
        client.delete_schedule(schedule_id, actor=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunScheduleView(OperatorView):
    """`POST /api/v1/schedules/{id}/run`."""

    permission = "workflows.manage_schedule"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="run_schedule",
        request={"application/json": ReasonBody},
        responses=answers(FiredShape, or_else=(404,)),
    )
    def post(self, request: Request, schedule_id: str) -> Response:
        """Send the schedule's event now; its plan stays as it is."""
        given = read(request, ReasonBody)
        event_id = client.run_schedule(
            schedule_id, reason=given.get("reason"), actor=actor_of(request)
        )
        return Response({"event": event_id})


class ShowSchedule:
    """Shows schedules to somebody who may, or may not, see payloads."""

    def __init__(self, may_see_payloads: bool) -> None:  # noqa: FBT001  the one thing it is about
        self._may_see_payloads = may_see_payloads

    def __call__(self, schedule: Schedule) -> dict[str, Any]:
        """Return a schedule with its next firings."""
        data = schedule.event_data if self._may_see_payloads else {}
        return {
            "id": schedule.pk,
            "name": schedule.name,
            "cron": schedule.cron,
            "at": schedule.at,
            "tz": schedule.tz,
            "event": {"name": schedule.event_name, "data": data},
            "enabled": schedule.enabled,
            "next_firings": client.next_firings(schedule) if schedule.enabled else [],
            "created_at": schedule.created_at,
            "last_fired_at": schedule.last_fired_at,
            "last_event": schedule.last_event_id,
        }


def answered(
    view: OperatorView, request: Request, schedule: Schedule, *, code: int = status.HTTP_200_OK
) -> Response:
    """Answer with a schedule."""
    return Response(ShowSchedule(view.may_see_payloads(request))(schedule), status=code)


def as_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a body says as `workflows.client` names it."""
    event = given.pop("event", {})
    if "name" in event:
        given["event_name"] = event["name"]
    if "data" in event:
        given["event_data"] = event["data"] or {}
    return given
