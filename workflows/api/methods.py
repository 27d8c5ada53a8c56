"""One address, a view for each method: events are sent by programs, and read by operators."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

View = Callable[..., HttpResponseBase]


def by_method(**views: View) -> View:
    """Return a view that leaves each method to its own view."""

    @csrf_exempt  # each view checks for itself: keys need no token, sessions do
    def dispatch(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        view = views.get(request.method or "")
        if view is None:
            return HttpResponseNotAllowed(list(views))
        return view(request, *args, **kwargs)

    return dispatch
