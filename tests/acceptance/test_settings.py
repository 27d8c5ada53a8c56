"""What the contract says of settings, each tried in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks

ROOT = Path(__file__).parents[2]


def manage(*args: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py` in an environment of nothing but these variables."""
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def said(code: str, **environment: str) -> str:
    """Give what a line of Python prints under the site's settings."""
    done = manage("shell", "--no-imports", "-c", code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHOW = "from django.conf import settings as s; print({})"


def test_secret_key_is_required_unless_debug(tmp_path: Path) -> None:
    refused = manage("check", DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3")
    assert refused.returncode != 0
    assert "SECRET_KEY" in refused.stderr

    assert manage("check", DEBUG="1").returncode == 0


@pytest.mark.parametrize(
    "url", ["postgres://u:p%40@db.example:5433/name", "postgresql://u:p%40@db.example:5433/name"]
)
def test_database_url(url: str, tmp_path: Path) -> None:
    shown = SHOW.format("[s.DATABASES['default'][k] for k in ('NAME', 'USER', 'PASSWORD', 'PORT')]")

    assert (
        said(shown, DEBUG="1", DATABASE_URL=url) == "['name', 'u', 'p@', 5433]"
        or said(shown, DEBUG="1", DATABASE_URL=url) == "['name', 'u', 'p@', '5433']"
    )
    assert "x.sqlite3" in said(shown, DEBUG="1", DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3")


def test_https_is_on_when_debug_is_off() -> None:
    shown = SHOW.format(
        "s.DEBUG, s.SECURE_SSL_REDIRECT, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, "
        "s.SECURE_HSTS_SECONDS > 0, s.ALLOWED_HOSTS"
    )

    assert said(shown, SECRET_KEY="x" * 50, ALLOWED_HOSTS="a.example, b.example") == (
        "False True True True True ['a.example', 'b.example']"
    )
    off = said(shown, SECRET_KEY="x" * 50, HTTPS="0")
    assert off.startswith("False False False False False")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"LEESE": "30s"}, "LEESE"),
        ({"LEASE": 30}, "LEASE"),
        ({"LEASE": "soon"}, "LEASE"),
        ({"MAX_STEPS": 0}, "MAX_STEPS"),
        ({"MAX_WORKER_LOSSES": "3"}, "MAX_WORKER_LOSSES"),
        ({"RETENTION": 30}, "RETENTION"),
        ({"MAX_RESULT_BYTES": None}, "MAX_RESULT_BYTES"),
    ],
)
def test_a_wrong_key_or_value_is_named_by_check(
    settings: object, given: dict[str, object], named: str
) -> None:
    settings.WORKFLOWS = given  # type: ignore[attr-defined]

    [error] = run_checks(tags=["workflows"])
    assert named in error.msg
    assert error.is_serious()


def test_retention_may_be_none(settings: object) -> None:
    settings.WORKFLOWS = {"RETENTION": None, "LEASE": "10s"}  # type: ignore[attr-defined]

    assert run_checks(tags=["workflows"]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORKFLOWS_WORKERS", "none"), ("WORKFLOWS_THREADS", "0"), ("DEBUG", "yes")],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    done = manage("check", **{"DEBUG": "1", name: value})

    assert done.returncode != 0
    assert name in done.stderr


def test_commands_fail_with_a_message_and_an_exit_code(tmp_path: Path) -> None:
    site = {"DEBUG": "1", "DATABASE_URL": f"sqlite:///{tmp_path}/site.sqlite3"}
    assert manage("migrate", "-v", "0", **site).returncode == 0

    made = manage("create_event_key", "shop", **site)
    again = manage("create_event_key", "shop", **site)
    empty = manage("runs", "list", "--json", **site)

    assert made.stdout.startswith("key: ")
    assert again.returncode == 1
    assert "Traceback" not in again.stderr
    assert (empty.returncode, empty.stdout.strip()) == (0, "[]")
