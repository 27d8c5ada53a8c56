"""The site as a WSGI application: `gunicorn fsa_platform.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fsa_platform.settings")

application = get_wsgi_application()
