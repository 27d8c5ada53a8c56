"""Workflows over HTTP: list them, pause, resume, invoke and override them."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import client
from workflows.api.access import OperatorView, actor_of
from workflows.api.bodies import InvokeBody, OverrideBody, ReasonBody, read
from workflows.api.paging import alphabetical_page
from workflows.api.parsing import NoForm, StrictJSONParser
from workflows.api.runs import shown
from workflows.api.schema import PAGE, answers
from workflows.api.shapes import RunShape, WorkflowListShape, WorkflowShape
from workflows.models import RegisteredWorkflow


class WorkflowsView(OperatorView):
    """`GET /api/v1/workflows`: what workers have registered, by id."""

    permission = "workflows.view_registeredworkflow"

    @extend_schema(
        operation_id="list_workflows", parameters=PAGE, responses=answers(WorkflowListShape)
    )
    def get(self, request: Request) -> Response:
        """Return a page of workflows."""
        return Response(alphabetical_page(request, RegisteredWorkflow.objects.all(), show_workflow))


class WorkflowView(OperatorView):
    """`GET` and `PATCH /api/v1/workflows/{id}`."""

    permission = "workflows.view_registeredworkflow"
    permissions = {"PATCH": "workflows.override_workflow"}

    @extend_schema(operation_id="get_workflow", responses=answers(WorkflowShape, or_else=(404,)))
    def get(self, request: Request, workflow_id: str) -> Response:
        """Return the workflow."""
        return Response(show_workflow(RegisteredWorkflow.objects.get(pk=workflow_id)))

    @extend_schema(
        operation_id="override_workflow",
        request=OverrideBody,
        responses=answers(WorkflowShape, or_else=(404,)),
    )
    def patch(self, request: Request, workflow_id: str) -> Response:
        """Set what holds in the place of the code's own values; `{}` takes all of it back."""
        given = read(request, OverrideBody)
        workflow = client.override_workflow(
            workflow_id,
            given["overrides"],
            reason=given.get("reason"),
            actor=actor_of(request),
        )
        return Response(show_workflow(workflow))


class PauseView(OperatorView):
    """`POST /api/v1/workflows/{id}/pause`."""

    permission = "workflows.pause_workflow"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="pause_workflow",
        request={"application/json": ReasonBody},
        responses=answers(WorkflowShape, or_else=(404, 409)),
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Let no run of the workflow start, or go on; 409 where it is paused already."""
        given = read(request, ReasonBody)
        workflow = client.pause_workflow(
            workflow_id, reason=given.get("reason"), actor=actor_of(request)
        )
        return Response(show_workflow(workflow))


class ResumeView(OperatorView):
    """`POST /api/v1/workflows/{id}/resume`."""

    permission = "workflows.pause_workflow"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="resume_workflow",
        request={"application/json": ReasonBody},
        responses=answers(WorkflowShape, or_else=(404, 409)),
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Let its runs start and go on again; 409 where it is not paused."""
        given = read(request, ReasonBody)
        workflow = client.resume_workflow(
            workflow_id, reason=given.get("reason"), actor=actor_of(request)
        )
        return Response(show_workflow(workflow))


class InvokeView(OperatorView):
    """`POST /api/v1/workflows/{id}/invoke`."""

    permission = "workflows.send_event"
    parser_classes = [StrictJSONParser, NoForm]

    @extend_schema(
        operation_id="invoke_workflow",
        request={"application/json": InvokeBody},
        responses=answers(RunShape, status=201, or_else=(404, 409)),
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Start a run with the given data; its limits and a pause hold."""
        given = read(request, InvokeBody)
        run = client.invoke_workflow(
            workflow_id,
            given.get("data"),
            reason=given.get("reason"),
            actor=actor_of(request),
        )
        return shown(self, request, run, code=status.HTTP_201_CREATED)


def show_workflow(workflow: RegisteredWorkflow) -> dict[str, Any]:
    """Return a workflow as outsiders see it: the code's own values, and what operators set."""
    declaration = workflow.declaration
    return {
        "id": workflow.pk,
        "name": workflow.name,
        "triggers": declaration["triggers"],
        "paused": workflow.paused_at is not None,
        "paused_at": workflow.paused_at,
        "paused_by": workflow.paused_by,
        "pause_reason": workflow.pause_reason,
        "queue": declaration["queue"],
        "retries": declaration["retries"],
        "concurrency": declaration["concurrency"],
        "throttle": declaration["throttle"],
        "overrides": workflow.overrides,
        "retired_at": workflow.retired_at,
    }
