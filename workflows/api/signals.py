"""Signals over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import client
from workflows.api.access import OperatorView, actor_of
from workflows.api.bodies import SignalBody, read
from workflows.api.schema import answers
from workflows.api.shapes import SignalledShape


class SignalsView(OperatorView):
    """`POST /api/v1/signals`: resume the run that waits for a signal."""

    permission = "workflows.send_event"

    @extend_schema(
        operation_id="send_signal",
        request=SignalBody,
        responses=answers(SignalledShape, or_else=(404,)),
    )
    def post(self, request: Request) -> Response:
        """Answer with the run; 404 where nobody waits."""
        given = read(request, SignalBody)
        run_id = client.signalled_run(given["signal"], given["data"], actor=actor_of(request))
        if run_id is None:
            raise NotFound("Nobody waits for this signal.")
        return Response({"run": run_id})
