"""The settings that an installation's environment makes, and the values that are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fsa_platform.environment import EnvironmentValueError, count, flag, origins, words

PROJECT = Path(__file__).parents[2]
PRODUCTION = {"SECRET_KEY": "a-long-random-text"}


def test_a_site_that_is_given_a_secret_only_is_closed_and_on_https() -> None:
    settings = settings_under(PRODUCTION)

    assert settings["DEBUG"] is False
    assert settings["ALLOWED_HOSTS"] == []
    assert settings["SECURE_SSL_REDIRECT"] is True
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["CSRF_COOKIE_SECURE"] is True
    assert settings["SECURE_HSTS_SECONDS"] == 31_536_000
    assert settings["SECURE_PROXY_SSL_HEADER"] is None


def test_https_can_be_turned_off() -> None:
    settings = settings_under({**PRODUCTION, "HTTPS": "0"})

    assert settings["SECURE_SSL_REDIRECT"] is False
    assert settings["SESSION_COOKIE_SECURE"] is False
    assert settings["CSRF_COOKIE_SECURE"] is False
    assert settings["SECURE_HSTS_SECONDS"] == 0


def test_debugging_is_on_http_and_needs_no_secret() -> None:
    settings = settings_under({"DEBUG": "1"})

    assert settings["DEBUG"] is True
    assert settings["SECURE_SSL_REDIRECT"] is False


def test_a_trusted_proxy_says_whether_a_request_came_by_https() -> None:
    settings = settings_under({**PRODUCTION, "TRUSTED_PROXY": "1"})

    assert settings["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]


def test_without_a_database_the_site_has_one_file_that_is_safe_to_share() -> None:
    settings = settings_under(PRODUCTION)

    database = settings["DATABASES"]["default"]
    assert database["NAME"] == str(PROJECT / "db.sqlite3")
    assert database["OPTIONS"] == {
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
    assert (settings["WORKFLOWS_WORKERS"], settings["WORKFLOWS_THREADS"]) == (1, 64)


def test_an_absolute_sqlite_path_is_taken_as_it_is() -> None:
    settings = settings_under({**PRODUCTION, "DATABASE_URL": "sqlite:////srv/platform.sqlite3"})

    assert settings["DATABASES"]["default"]["NAME"] == "/srv/platform.sqlite3"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_on_postgresql_threads_share_a_bounded_pool(scheme: str) -> None:
    settings = settings_under({**PRODUCTION, "DATABASE_URL": f"{scheme}://ada:p%40ss@db:5433/site"})

    database = settings["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert [database[part] for part in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        "ada",
        "p@ss",
        "db",
        5433,
        "site",
    ]
    assert database["OPTIONS"]["pool"] == {
        "min_size": 0,
        "max_size": 16,
        "reconnect_timeout": 5.0,
    }
    assert database["CONN_MAX_AGE"] == 0
    assert settings["WORKFLOWS_WORKERS"] == 2


def test_few_threads_need_few_connections() -> None:
    settings = settings_under(
        {**PRODUCTION, "DATABASE_URL": "postgresql://db/site", "WORKFLOWS_THREADS": "2"}
    )

    assert settings["DATABASES"]["default"]["OPTIONS"]["pool"]["max_size"] == 2


def test_what_django_q2_would_keep_or_repeat_is_off() -> None:
    settings = settings_under({**PRODUCTION, "WORKFLOWS_WORKERS": "3"})

    cluster = settings["Q_CLUSTER"]
    assert cluster["workers"] == 3
    assert cluster["save_limit"] == -1
    assert cluster["retry"] > cluster["timeout"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {},
            "SECRET_KEY is not set. Set it to a long random text that all hosts share "
            "(DEBUG=1 starts without one, for development only).",
        ),
        ({"DEBUG": "yes"}, "DEBUG must be 0 or 1, not 'yes'."),
        ({"DEBUG": "1", "HTTPS": "on"}, "HTTPS must be 0 or 1, not 'on'."),
        (
            {"DEBUG": "1", "WORKFLOWS_WORKERS": "0"},
            "WORKFLOWS_WORKERS must be a whole number from 1 to 64, not '0'.",
        ),
        (
            {"DEBUG": "1", "DATABASE_URL": "mysql://ada:secret@db/site"},
            "DATABASE_URL must be sqlite:///path or postgresql://user:password@host:port/name, "
            "and not begin with 'mysql'.",
        ),
        (
            {"DEBUG": "1", "DATABASE_URL": "sqlite:///:memory:"},
            "DATABASE_URL must name a file: processes cannot share memory.",
        ),
        (
            {"DEBUG": "1", "DATABASE_URL": "postgresql://db"},
            "DATABASE_URL names no database: it must be sqlite:///path or "
            "postgresql://user:password@host:port/name.",
        ),
        (
            {"DEBUG": "1", "DATABASE_URL": "postgresql://ada:secret@[db/site"},
            "DATABASE_URL cannot be read as a URL "
            "(sqlite:///path or postgresql://user:password@host:port/name); "
            "characters such as @ or / in a password are written as %40 or %2F.",
        ),
    ],
)
def test_the_command_line_refuses_a_wrong_environment_in_one_line(
    environment: dict[str, str], message: str
) -> None:
    refused = python(environment, "manage.py", "check")

    assert refused.returncode == 1
    assert refused.stderr == f"manage.py: {message}\n"


def test_an_unset_or_empty_variable_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")

    assert flag("EMPTY", default=True) is True
    assert count("EMPTY", default=3, at_most=9) == 3
    assert words("EMPTY") == []
    assert origins("UNSET") == []


def test_words_are_separated_by_commas_with_or_without_blanks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "example.org, www.example.org,")

    assert words("ALLOWED_HOSTS") == ["example.org", "www.example.org"]


@pytest.mark.parametrize("wrong", ["example.org", "ftp://example.org", "https://example.org/path"])
def test_an_origin_is_a_scheme_and_a_host(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("CSRF_TRUSTED_ORIGINS", f"https://good.example.org,{wrong}")

    with pytest.raises(EnvironmentValueError) as refused:
        origins("CSRF_TRUSTED_ORIGINS")

    assert str(refused.value) == (
        f"CSRF_TRUSTED_ORIGINS must list origins such as https://example.org, not {wrong!r}."
    )


@pytest.mark.parametrize("wrong", ["-1", "1.5", "many", "10", "²"])
def test_a_count_is_a_whole_number_within_its_bounds(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("WORKERS", wrong)

    with pytest.raises(EnvironmentValueError) as refused:
        count("WORKERS", default=3, at_most=9)

    assert str(refused.value) == f"WORKERS must be a whole number from 1 to 9, not {wrong!r}."


def settings_under(environment: dict[str, str]) -> dict[str, Any]:
    """Give the settings that a new process has under the environment."""
    program = (
        "import json; from fsa_platform import settings;"
        "print(json.dumps({k: v for k, v in vars(settings).items() if k.isupper()}, default=str))"
    )
    done = python(environment, "-c", program)
    assert done.returncode == 0, done.stderr
    settings: dict[str, Any] = json.loads(done.stdout)
    return settings


def python(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project's directory, under this environment and no other settings."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
