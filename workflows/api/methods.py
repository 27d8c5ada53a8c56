"""One address, a view for each method: events are sent by programs, and read by operators."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework.views import APIView

from workflows.api.event_api import receive_with_bearer


def events_view(operators: type[APIView]) -> Any:
    """Return a view that leaves POST to the event API and all other methods to the operators'."""
    for_operators = operators.as_view()

    @csrf_exempt  # each view checks for itself: keys need no token, sessions do
    def view(request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST":
            return receive_with_bearer(request)
        return for_operators(request)

    # By these the OpenAPI description finds the operators' part.
    view.cls, view.initkwargs = operators, {}  # type: ignore[attr-defined]
    return view
