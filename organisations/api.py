"""Organisations over HTTP."""

from typing import Any

from django.core.validators import RegexValidator
from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from organisations.models import ACCOUNT_ID_LENGTH, DIFFBOT_ID_LENGTH, NAME_LENGTH
from organisations.use_cases import request_provisional_organisation


class MayAddOrganisations(BasePermission):
    """Lets in whoever has the permission to add organisations."""

    message = "This needs the permission organisations.add_organisation."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the caller has the permission; nobody has it without signing in."""
        return request.user.has_perm("organisations.add_organisation")


class TextField(serializers.CharField):
    """A text with something in it, without null characters; no number is taken for one."""

    def __init__(self, **options: Any) -> None:
        # DRF itself refuses what is blank, without a word of that in the description.
        not_blank = RegexValidator(r"^[^\x00]*[^\s\x00][^\x00]*$")
        super().__init__(validators=[not_blank], **options)

    def to_internal_value(self, data: object) -> str:
        """Give a text back, trimmed, and refuse everything else."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class OrganisationRequestSerializer(serializers.Serializer[dict[str, str | None]]):
    """The body of a request for an organisation, in the wire's spelling."""

    accountId = TextField(source="account_id", max_length=ACCOUNT_ID_LENGTH)  # noqa: N815
    name = TextField(max_length=NAME_LENGTH)
    diffbotId = TextField(  # noqa: N815
        source="diffbot_id", max_length=DIFFBOT_ID_LENGTH, required=False, allow_null=True
    )


class OrganisationRequestedSerializer(serializers.Serializer[dict[str, str]]):
    """The answer: the event by which the request can be followed."""

    eventId = serializers.CharField()  # noqa: N815


REFUSALS = {
    400: OpenApiResponse(OpenApiTypes.OBJECT, description="The request cannot be read."),
    401: OpenApiResponse(OpenApiTypes.OBJECT, description="Nobody has signed in."),
    403: OpenApiResponse(OpenApiTypes.OBJECT, description="The permission is missing."),
    406: OpenApiResponse(OpenApiTypes.OBJECT, description="The answer is JSON."),
    413: OpenApiResponse(OpenApiTypes.OBJECT, description="The body is too large."),
    415: OpenApiResponse(OpenApiTypes.OBJECT, description="The body is not JSON."),
}


class OrganisationsView(APIView):
    """`POST /api/v1/organisations`: ask for an organisation, which is then created durably."""

    permission_classes = [MayAddOrganisations]

    @extend_schema(
        operation_id="request_organisation",
        request=OrganisationRequestSerializer,
        responses={202: OrganisationRequestedSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        """Record the request, and answer with its event before anything has come of it."""
        body = OrganisationRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            event_id = request_provisional_organisation(**body.validated_data)
        return Response({"eventId": event_id}, status=status.HTTP_202_ACCEPTED)
