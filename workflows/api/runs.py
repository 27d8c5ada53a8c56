"""Runs over HTTP: look at them, cancel, retry and replay them."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import client
from workflows.api.access import OperatorView, actor_of
from workflows.api.bodies import ReasonBody, ReplayBody, read
from workflows.api.paging import page, within
from workflows.api.parsing import NoForm, StrictJSONParser
from workflows.api.schema import RUN_FILTERS, answers
from workflows.api.shapes import RunListShape, RunShape
from workflows.models import Run, RunStatus, RunTag
from workflows.resources import redacted, run_resource


class RunsView(OperatorView):
    """`GET /api/v1/runs`: the runs that fit the filters, newest first."""

    permission = "workflows.view_run"

    @extend_schema(
        operation_id="list_runs", parameters=RUN_FILTERS, responses=answers(RunListShape)
    )
    def get(self, request: Request) -> Response:
        """Return a page of runs, without their steps."""
        show = ShowRun(self.may_see_payloads(request))
        return Response(page(request, filtered(request), show.in_list))


class RunView(OperatorView):
    """`GET /api/v1/runs/{id}`: one run with its steps."""

    permission = "workflows.view_run"

    @extend_schema(operation_id="get_run", responses=answers(RunShape, or_else=(404,)))
    def get(self, request: Request, run_id: str) -> Response:
        """Return the run resource."""
        return shown(self, request, Run.objects.get(pk=run_id))


class CancelView(OperatorView):
    """`POST /api/v1/runs/{id}/cancel`."""

    permission = "workflows.cancel_run"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="cancel_run",
        request={"application/json": ReasonBody},
        responses=answers(RunShape, or_else=(404, 409)),
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Cancel the run; 409 where it has ended."""
        given = read(request, ReasonBody)
        run = client.cancel_run(run_id, reason=given.get("reason"), actor=actor_of(request))
        return shown(self, request, run)


class RetryView(OperatorView):
    """`POST /api/v1/runs/{id}/retry`."""

    permission = "workflows.retry_run"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="retry_run",
        request={"application/json": ReasonBody},
        responses=answers(RunShape, or_else=(404, 409)),
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Take the failed run up again at the step that failed; 409 where it has not failed."""
        given = read(request, ReasonBody)
        run = client.retry_run(run_id, reason=given.get("reason"), actor=actor_of(request))
        return shown(self, request, run)


class ReplayView(OperatorView):
    """`POST /api/v1/runs/{id}/replay`."""

    permission = "workflows.replay_run"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="replay_run",
        request={"application/json": ReplayBody},
        responses=answers(RunShape, status=201, or_else=(404, 409)),
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Start a new run from the ended one's event; 409 where it has not ended."""
        given = read(request, ReplayBody)
        run = client.replay_run(
            run_id,
            from_step=given.get("from_step"),
            data=given.get("data"),
            reason=given.get("reason"),
            actor=actor_of(request),
        )
        return shown(self, request, run, code=status.HTTP_201_CREATED)


class ShowRun:
    """Shows runs to somebody who may, or may not, see payloads."""

    def __init__(self, may_see_payloads: bool) -> None:  # noqa: FBT001  the one thing it is about
        self._may_see_payloads = may_see_payloads

    def whole(self, run: Run) -> dict[str, Any]:
        """Return a run with its steps."""
        resource = run_resource(run)
        return asdict(resource if self._may_see_payloads else redacted(resource))

    def in_list(self, run: Run) -> dict[str, Any]:
        """Return a run without its steps."""
        resource = run_resource(run, steps=[])
        shown = asdict(resource if self._may_see_payloads else redacted(resource))
        del shown["steps"]
        return shown


def shown(
    view: OperatorView, request: Request, run: Run, *, code: int = status.HTTP_200_OK
) -> Response:
    """Answer with a run."""
    return Response(ShowRun(view.may_see_payloads(request)).whole(run), status=code)


def filtered(request: Request) -> "QuerySet[Run]":
    """Return the runs that the query asks for."""
    asked = request.query_params
    found = Run.objects.of_event(asked["event"]) if "event" in asked else Run.objects.all()
    runs = within(request, found, moment="created_at").prefetch_related("gathered_events")
    if "workflow" in asked:
        runs = runs.filter(workflow=asked["workflow"])
    if "status" in asked:
        runs = runs.filter(status=require_status(asked["status"]))
    if "tag" in asked:
        runs = runs.filter(pk__in=tagged(asked["tag"]))
    return runs


def require_status(status_: str) -> str:
    """Refuse a status that no run can have."""
    if status_ not in RunStatus.values:
        raise ValidationError(
            {"status": f"One of {', '.join(RunStatus.values)}, not {status_!r:.50}."}
        )
    return status_


def tagged(tag: str) -> "QuerySet[RunTag, str]":
    """Return the ids of the runs that bear a tag, written `key:value`."""
    name, separator, value = tag.partition(":")
    if not separator:
        raise ValidationError({"tag": f"Write key:value, as in customer:4711, not {tag!r:.50}."})
    return RunTag.objects.filter(name=name, value=value).values_list("run_id", flat=True)
