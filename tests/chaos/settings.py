"""The site's settings with the chaos workflows, and leases short enough to wait for their end."""

from fsa_platform.settings import *  # noqa: F403  a variant of the site's settings
from fsa_platform.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "tests.chaos"]
WORKFLOWS = {"LEASE": "3s", "STOP_GRACE": "4s"}
