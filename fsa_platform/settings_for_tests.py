"""The settings of a test run and of the type checker: they need no environment."""

import os

os.environ.setdefault("DEBUG", "1")

from fsa_platform.settings import *  # noqa: F403 - all of them
from fsa_platform.settings import BASE_DIR, DATABASES

# Tests sign many people in; the hash that protects real passwords takes half a second each.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in production: Django's default, memory shared among threads, locks whole tables
    # and never waits, which is not how the platform's database behaves.
    (BASE_DIR / "var").mkdir(exist_ok=True)
    DATABASES["default"]["TEST"] = {"NAME": str(BASE_DIR / "var" / "test.sqlite3")}
