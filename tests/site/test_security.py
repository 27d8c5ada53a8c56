"""What guards the site: headers, cookies, secrets, and django-q2's own pages."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client

from fsa_platform.environment import DEBUG_SECRET_KEY

SECRET = "s3cret-" * 8 + "and-some-more"


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call manage.py as an installation of its own would: without what this test run has set."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_for_deployment_finds_nothing() -> None:
    checked = manage("check", "--deploy", SECRET_KEY=SECRET, ALLOWED_HOSTS="example.org")

    assert checked.returncode == 0
    assert "WARNINGS" not in checked.stderr + checked.stdout


@pytest.mark.parametrize("key", ["", DEBUG_SECRET_KEY])
def test_outside_debugging_nothing_starts_without_a_secret_of_its_own(key: str) -> None:
    checked = manage("check", SECRET_KEY=key, ALLOWED_HOSTS="example.org")

    assert checked.returncode != 0
    assert "SECRET_KEY is" in checked.stderr


def test_https_is_for_all_but_the_health_paths() -> None:
    asked = (
        "from django.test import Client; c = Client(headers={'host': 'example.org'});"
        "print([c.get(p).status_code for p in ('/admin/', '/healthz')],"
        " c.get('/healthz', secure=True)['Strict-Transport-Security'])"
    )

    answer = manage("shell", "-c", asked, SECRET_KEY=SECRET, ALLOWED_HOSTS="example.org")

    assert answer.stdout.splitlines()[-1] == "[301, 200] max-age=31536000"


def test_cookies_are_for_https_and_not_for_scripts() -> None:
    asked = (
        "from django.conf import settings as s;"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY)"
    )

    over_https = manage("shell", "-c", asked, SECRET_KEY=SECRET, ALLOWED_HOSTS="example.org")
    without = manage("shell", "-c", asked, SECRET_KEY=SECRET, HTTPS="0")

    assert over_https.stdout.splitlines()[-1] == "True True True"
    assert without.stdout.splitlines()[-1] == "False False True"


@pytest.mark.parametrize(
    "path", ["/admin/login/", "/api/docs", "/api/schema", "/healthz", "/api/v1/runs", "/nowhere"]
)
def test_every_answer_says_where_pages_may_load_from(client: Client, db: None, path: str) -> None:
    headers = client.get(path).headers

    policy = headers["Content-Security-Policy"].split("; ")
    assert policy[:2] == ["default-src 'self'", "img-src 'self' data:"]
    assert not any("unsafe" in part for part in policy)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"


def test_the_page_of_the_api_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs").content.decode()

    assert "<style" not in page
    assert "<script>" not in page
    assert "//" not in page.replace("<!DOCTYPE", "")


DjangoQPage = Callable[[Client], Any]


@pytest.mark.parametrize("page", ["ormq", "success", "failure", "schedule"])
def test_django_q2s_own_pages_are_for_superusers(db: None, page: str) -> None:
    superuser = User.objects.create_superuser("root")
    member = User.objects.create_user("member", is_staff=True)
    member.user_permissions.set(Permission.objects.all())

    answers = []
    for user in (superuser, member):
        client = Client()
        client.force_login(user)
        answers.append(client.get(f"/admin/django_q/{page}/").status_code)

    assert answers == [200, 403]


def test_who_is_no_superuser_sees_nothing_of_django_q2_in_the_menu(db: None) -> None:
    member = User.objects.create_user("member", is_staff=True)
    member.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(member)

    assert "/admin/django_q/" not in client.get("/admin/").content.decode()


def test_static_files_have_names_that_say_what_is_in_them(tmp_path: Path) -> None:
    collect = (
        "from django.test import override_settings; from django.core.management import call_command"
        f"\nwith override_settings(STATIC_ROOT={str(tmp_path)!r}):"
        "\n    call_command('collectstatic', interactive=False, verbosity=0)"
    )

    collected = manage("shell", "-c", collect, SECRET_KEY=SECRET)

    assert collected.returncode == 0, collected.stderr
    [script] = (tmp_path / "workflows").glob("api_docs.*.js")
    assert (tmp_path / "staticfiles.json").exists()
    assert script.with_suffix(".js.gz").exists() or script.stat().st_size < 1000
