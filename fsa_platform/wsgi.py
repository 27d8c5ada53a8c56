"""The site as a WSGI application: `gunicorn fsa_platform.wsgi`."""

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fsa_platform.settings")


def warm_application() -> WSGIHandler:
    """Return the application with all that its addresses lead to imported.

    Django would leave that to the first request of each process, which waited for a second.
    """
    from django.urls import get_resolver  # noqa: PLC0415  needs Django set up

    warm = get_wsgi_application()
    _ = get_resolver().url_patterns
    return warm


application = warm_application()
