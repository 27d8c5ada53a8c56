"""Signals over HTTP."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import client
from workflows.api.access import OperatorView


class SignalSerializer(serializers.Serializer[dict[str, Any]]):
    """A signal's name and data."""

    signal = serializers.CharField(max_length=256)
    data = serializers.JSONField(required=False, default=None)  # type: ignore[assignment]  # the serializer's own attribute of this name is not used


class SignalsView(OperatorView):
    """`POST /api/v1/signals`: resume the run that waits for a signal."""

    permission = "workflows.send_event"
    serializer_class = SignalSerializer

    def post(self, request: Request) -> Response:
        """Answer with the run; 404 where nobody waits."""
        body = SignalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        run_id = client.signalled_run(body.validated_data["signal"], body.validated_data["data"])
        if run_id is None:
            raise NotFound("Nobody waits for this signal.")
        return Response({"run": run_id})
