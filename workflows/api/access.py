"""Who may do what over HTTP: each action has a Django permission, as in the admin."""

from typing import NoReturn

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from workflows.errors import InvalidEvent, RunStateError


class MayAct(BasePermission):
    """Lets in whoever has the permission that a view names."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the caller has the view's permission; nobody has it without signing in."""
        permission: str = getattr(view, "permission", "")
        self.message = f"This needs the permission {permission}."
        return request.user.has_perm(permission)


class OperatorView(APIView):
    """A call of the operators' API."""

    permission = ""
    permission_classes = [MayAct]

    def may_see_payloads(self, request: Request) -> bool:
        """Tell whether the caller may see data, outputs and tracebacks."""
        return bool(request.user.has_perm("workflows.view_payload"))


class ConflictError(ValidationError):
    """The run's state does not allow what was asked."""

    status_code = 409
    default_code = "conflict"


def refuse(error: Exception) -> NoReturn:
    """Raise what answers a refusal of `workflows.client`: 409 for a state, 400 for bad data."""
    if isinstance(error, RunStateError):
        raise ConflictError({"detail": str(error)}) from error
    if isinstance(error, InvalidEvent):
        raise ValidationError({"detail": str(error)}) from error
    raise NotFound(str(error)) from error
