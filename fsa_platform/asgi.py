"""The site as an ASGI application, for an ASGI server."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fsa_platform.settings")

application = get_asgi_application()
