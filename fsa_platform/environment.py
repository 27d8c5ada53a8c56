"""Read the environment: every value is typed, and a wrong one is refused by its name."""

import os
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

# Known to everybody who reads this, hence never used outside debugging.
DEBUG_SECRET_KEY = "for-debugging-only-everybody-who-reads-the-source-knows-it"  # noqa: S105


class EnvironmentValueError(ImproperlyConfigured):
    """An environment variable is missing, or its value cannot be used."""


def flag(name: str, *, default: bool) -> bool:
    """Give the variable as a switch: 1 is on, 0 is off, unset or empty is the default."""
    text = os.environ.get(name, "").strip()
    if text not in {"", "0", "1"}:
        raise EnvironmentValueError(f"{name} must be 0 or 1, not {text!r}.")
    return text == "1" if text else default


def count(name: str, *, default: int, at_most: int) -> int:
    """Give the variable as a whole number from 1 to `at_most`; unset or empty is the default."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= at_most):
        raise EnvironmentValueError(
            f"{name} must be a whole number from 1 to {at_most}, not {text!r}."
        )
    return int(text)


def choice(name: str, *, among: tuple[str, ...]) -> str:
    """Give the variable as one of several words; unset or empty is the first."""
    text = os.environ.get(name, "").strip() or among[0]
    if text not in among:
        raise EnvironmentValueError(f"{name} must be {' or '.join(among)}, not {text!r}.")
    return text


def words(name: str) -> list[str]:
    """Give the variable's comma-separated words, without the blanks around them."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def origins(name: str) -> list[str]:
    """Give the variable's comma-separated origins, each a scheme and a host."""
    listed = words(name)
    for origin in listed:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            raise EnvironmentValueError(
                f"{name} must list origins such as https://example.org, not {origin!r}."
            )
    return listed


def secret_key(name: str, *, debug: bool) -> str:
    """Give the site's secret; only while debugging does it have a default."""
    key = os.environ.get(name, "")
    if not key and not debug:
        raise EnvironmentValueError(
            f"{name} is not set. Set it to a long random text that all hosts share "
            "(DEBUG=1 starts without one, for development only)."
        )
    if key == DEBUG_SECRET_KEY and not debug:
        raise EnvironmentValueError(
            f"{name} is the one for debugging, which everybody knows. Set a secret one."
        )
    return key or DEBUG_SECRET_KEY
