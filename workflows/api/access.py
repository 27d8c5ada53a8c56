"""Who may do what over HTTP, as whom it is noted, and how a refusal is answered."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import exceptions, status
from rest_framework.authtoken.models import Token
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from workflows.api.parsing import StrictJSONParser
from workflows.engine.audit import Actor
from workflows.errors import (
    InvalidEvent,
    InvalidSchedule,
    InvalidWorkflow,
    OutputTooLarge,
    RunStateError,
    StepResultNotStorable,
    UnknownWorkflow,
    WorkflowStateError,
)
from workflows.models import ActorKind

STATUSES: Mapping[type[Exception], int] = {
    RunStateError: status.HTTP_409_CONFLICT,
    WorkflowStateError: status.HTTP_409_CONFLICT,
    UnknownWorkflow: status.HTTP_404_NOT_FOUND,
    ObjectDoesNotExist: status.HTTP_404_NOT_FOUND,
    InvalidEvent: status.HTTP_400_BAD_REQUEST,
    InvalidWorkflow: status.HTTP_400_BAD_REQUEST,
    InvalidSchedule: status.HTTP_400_BAD_REQUEST,
    StepResultNotStorable: status.HTTP_400_BAD_REQUEST,
    OutputTooLarge: status.HTTP_400_BAD_REQUEST,
}


class MayAct(BasePermission):
    """Lets in whoever has the permission that a view names for the method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the caller has the view's permission; nobody has it without signing in."""
        assert isinstance(view, OperatorView)
        permission = view.permissions.get(request.method or "", view.permission)
        self.message = f"This needs the permission {permission}."
        return request.user.has_perm(permission)


class OperatorView(APIView):
    """A call of the operators' API.

    Attributes:
        permission: what a caller needs.
        permissions: what one needs instead, by method.
    """

    permission = ""
    permissions: Mapping[str, str] = {}
    permission_classes = [MayAct]
    parser_classes = [StrictJSONParser]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse, after who may not come in at all, text that no database can be asked for."""
        super().initial(request, *args, **kwargs)
        if any("\0" in text for text in kwargs.values()):
            raise exceptions.NotFound("There is nothing with this id.")
        for name, values in request.query_params.lists():
            if "\0" in name or any("\0" in value for value in values):
                raise exceptions.ValidationError({name.replace("\0", ""): "No NUL character."})

    def handle_exception(self, exc: Exception) -> Response:
        """Answer what `workflows.client` refuses by the status that says so."""
        for kind, code in STATUSES.items():
            if isinstance(exc, kind):
                return super().handle_exception(_answer(exc, code))
        return super().handle_exception(exc)

    def may_see_payloads(self, request: Request) -> bool:
        """Tell whether the caller may see data, outputs and tracebacks."""
        return bool(request.user.has_perm("workflows.view_payload"))


def actor_of(request: Request) -> Actor:
    """Return who asks, as the audit log notes them."""
    kind = ActorKind.TOKEN if isinstance(request.auth, Token) else ActorKind.USER
    return Actor(kind, request.user.get_username(), request.user.pk)


def _answer(error: Exception, code: int) -> exceptions.APIException:
    is_unknown = isinstance(error, ObjectDoesNotExist)
    answer = exceptions.APIException("There is nothing with this id." if is_unknown else str(error))
    answer.status_code = code
    return answer
