"""The site's settings with this folder's workflows, on a database of their own."""

from fsa_platform.settings import *  # noqa: F403  a variant of the site's settings
from fsa_platform.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "tests.overrun"]
