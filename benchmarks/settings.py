"""The site's settings, with the benchmark's workflows installed and a database of its own."""

from fsa_platform.settings import *  # noqa: F403  a variant of the site's settings
from fsa_platform.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "benchmarks"]
