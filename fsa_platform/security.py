"""What guards the whole site: where pages may load from, and who may see django-q2's own."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

# Nothing from another host, no inline script or style; images may be written into a style sheet.
# What `default-src` does not cover is closed one by one.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADER = "Content-Security-Policy"

Respond = Callable[[HttpRequest], HttpResponseBase]


def content_security_policy(respond: Respond) -> Respond:
    """Return the middleware that sets the policy on every answer."""

    def with_policy(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        response.headers.setdefault(HEADER, CONTENT_SECURITY_POLICY)
        return response

    return with_policy


class QueueInternalsForSuperusers:
    """Keeps django-q2's own admin pages for superusers, who are never asked about.

    Its rows are pickles that workers load: whoever may write them may run any code. So whatever
    permission somebody was given for them counts for nothing. It signs nobody in, so it is none of
    Django's own backends, which all can.
    """

    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Leave that to the next backend."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Refuse what is about django-q2, before anybody else is asked."""
        if perm.startswith("django_q."):
            raise PermissionDenied
        return False

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Refuse the app in the menu too."""
        if app_label == "django_q":
            raise PermissionDenied
        return False
