"""Runs over HTTP: look at them, cancel, retry and replay them."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import client
from workflows.api.access import OperatorView, refuse
from workflows.api.paging import page, read_moment
from workflows.errors import InvalidEvent, RunStateError
from workflows.models import Run, RunStatus, RunTag
from workflows.resources import redacted, run_resource


class RunsView(OperatorView):
    """`GET /api/v1/runs`: the runs that fit the filters, newest first."""

    permission = "workflows.view_run"

    def get(self, request: Request) -> Response:
        """Return a page of runs, without their steps."""
        show = ShowRun(self.may_see_payloads(request))
        return Response(page(request, filtered(request), show.in_list))


class RunView(OperatorView):
    """`GET /api/v1/runs/{id}`: one run with its steps."""

    permission = "workflows.view_run"

    def get(self, request: Request, run_id: str) -> Response:
        """Return the run resource."""
        return Response(ShowRun(self.may_see_payloads(request)).whole(require_run(run_id)))


class CancelView(OperatorView):
    """`POST /api/v1/runs/{id}/cancel`."""

    permission = "workflows.cancel_run"

    def post(self, request: Request, run_id: str) -> Response:
        """Cancel the run; 409 where it has ended."""
        return act(self, request, lambda: client.cancel_run(run_id, reason=reason_of(request)))


class RetryView(OperatorView):
    """`POST /api/v1/runs/{id}/retry`."""

    permission = "workflows.retry_run"

    def post(self, request: Request, run_id: str) -> Response:
        """Take the failed run up again at the step that failed; 409 where it has not failed."""
        return act(self, request, lambda: client.retry_run(run_id))


class ReplaySerializer(serializers.Serializer[dict[str, Any]]):
    """What a replay is to begin with."""

    from_step = serializers.CharField(required=False, allow_null=True)
    data = serializers.DictField(required=False, allow_null=True)  # type: ignore[assignment]  # the serializer's own attribute of this name is not used


class ReplayView(OperatorView):
    """`POST /api/v1/runs/{id}/replay`."""

    permission = "workflows.replay_run"
    serializer_class = ReplaySerializer

    def post(self, request: Request, run_id: str) -> Response:
        """Start a new run from the ended one's event; 409 where it has not ended."""
        body = ReplaySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        response = act(
            self,
            request,
            lambda: client.replay_run(
                run_id, from_step=given.get("from_step"), data=given.get("data")
            ),
        )
        response.status_code = status.HTTP_201_CREATED
        return response


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


def act(view: OperatorView, request: Request, action: Any) -> Response:
    """Do what the caller asks, and answer with the run."""
    try:
        run = action()
    except (RunStateError, InvalidEvent) as error:
        refuse(error)
    except Run.DoesNotExist as error:
        raise NotFound("There is no run with this id.") from error
    return Response(ShowRun(view.may_see_payloads(request)).whole(run))


def reason_of(request: Request) -> str | None:
    """Return why the caller cancels, where the body says so."""
    reason = request.data.get("reason") if isinstance(request.data, dict) else None
    if reason is not None and not isinstance(reason, str):
        raise ValidationError({"reason": "A text."})
    return reason


def require_run(run_id: str) -> Run:
    """Return a run, or answer 404."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFound("There is no run with this id.")
    return run


def filtered(request: Request) -> "QuerySet[Run]":
    """Return the runs that the query asks for."""
    asked = request.query_params
    runs = Run.objects.all()
    if "workflow" in asked:
        runs = runs.filter(workflow=asked["workflow"])
    if "status" in asked:
        runs = runs.filter(status=require_status(asked["status"]))
    if "event" in asked:
        runs = runs.filter(event_id=asked["event"])
    if "tag" in asked:
        runs = runs.filter(pk__in=tagged(asked["tag"]))
    if (since := read_moment(request, "since")) is not None:
        runs = runs.filter(created_at__gte=since)
    if (until := read_moment(request, "until")) is not None:
        runs = runs.filter(created_at__lt=until)
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
