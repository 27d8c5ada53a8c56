"""A real browser at a live server; each page is watched for errors, violations and strangers."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)
from playwright.sync_api import Error as BrowserError
from pytest_django.live_server_helper import LiveServer

from workflows.testing import Workflows
from workflows.testing.kit import running_workflows

make_groups = import_module("workflows.migrations.0003_groups").make_groups

PROGRAM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage",),
]
PATIENCE = 30_000  # milliseconds; a busy machine is slow, and no test fails for that


@dataclass
class Watch:
    """What must not happen on any page."""

    host: str
    troubles: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"console: {message.text}")

    def error(self, error: BrowserError) -> None:
        self.troubles.append(f"script: {error}")

    def request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != self.host:
            self.troubles.append(f"a request to {address.netloc}")

    def pages_of(self, context: BrowserContext) -> None:
        context.on("console", self.console)
        context.on("weberror", lambda error: self.error(error.error))
        context.on("request", self.request)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Debian's Chromium: for each test, because Playwright's event loop is on the tests' thread."""
    # Django would take the test for async code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    if not os.path.exists(PROGRAM):  # noqa: PTH110  before any page, so as to say why
        pytest.skip(f"There is no Chromium at {PROGRAM}: `make browser` installs it.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def workflows(transactional_db: None) -> Iterator[Workflows]:
    """The engine, in a database that the live server's threads see too."""
    make_groups(apps, None)  # the last such test has emptied all tables
    with running_workflows() as kit:
        yield kit


@pytest.fixture
def signed_in(
    workflows: Workflows,
    browser: Browser,
    live_server: LiveServer,
    settings: Any,
) -> Iterator[Callable[..., Page]]:
    """Give a function that opens a browser in which somebody of a group is signed in."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.browser.policy.strict_policy"]
    watches: list[Watch] = []
    contexts: list[BrowserContext] = []

    def open_browser(group: str = "Admin", **options: Any) -> Page:
        user = User.objects.create_user(f"ana-{len(contexts)}", password="secret", is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        session = client.cookies["sessionid"]
        context = browser.new_context(base_url=live_server.url, **options)
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": "sessionid", "value": session.value, "url": live_server.url}])
        watch = Watch(urlsplit(live_server.url).netloc)
        watch.pages_of(context)
        watches.append(watch)
        contexts.append(context)
        return context.new_page()

    yield open_browser
    for context in contexts:
        context.close()
    assert [trouble for watch in watches for trouble in watch.troubles] == []
