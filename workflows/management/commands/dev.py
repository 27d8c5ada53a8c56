"""`manage.py dev`: web and workers together, restarted when code changes, stopped by Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.utils import autoreload

from workflows.clock import clock
from workflows.models import Worker

HOST = "127.0.0.1"
OPERATOR = "operator"
EVENT_KEY = "dev"
LOOK_EVERY = 0.5  # seconds
READY_WITHIN = 60.0  # seconds
STOP_WITHIN = 20.0  # seconds; the workers' grace time and a little more

EXAMPLE = {
    "name": "organisation.create.provisional",
    "data": {"accountId": "account-1", "name": "Example Ltd"},
}


class Command(BaseCommand):
    """Starts what a developer needs, and tells how to use it."""

    help = "Run web and workers together, restarted when code changes. For development only."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the port."""
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare the database, start both, and watch them until Ctrl-C."""
        if not settings.DEBUG:
            message = "dev is for development: set DEBUG=1, or run gunicorn and qcluster instead."
            raise CommandError(message)
        require_free_port(options["port"])
        call_command("migrate", verbosity=0)
        login = development_login()
        with stopped_by_signals() as stopping, Platform(port=options["port"]) as platform:
            platform.wait_until_ready(stopping)
            if not stopping:
                self.stdout.write(welcome(options["port"], login))
                self.stdout.flush()
            platform.watch(stopping)
        self.stdout.write("Stopped.")


class Platform:
    """The web process and the cluster of workers."""

    def __init__(self, *, port: int) -> None:
        self._port = port
        self._started_at = clock.now()
        self._commands = {
            "web": ["runserver", f"{HOST}:{port}", "--noreload"],
            "workers": ["qcluster"],
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Platform":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def wait_until_ready(self, stopping: list[int]) -> None:
        """Wait until the web answers and a worker is alive."""
        patience_ends = time.monotonic() + READY_WITHIN
        while not stopping and not self._is_ready():
            self._require_running()
            if time.monotonic() > patience_ends:
                message = (
                    f"The platform was not ready within {READY_WITHIN:.0f} s: see the lines above."
                )
                raise CommandError(message)
            time.sleep(0.1)

    def watch(self, stopping: list[int]) -> None:
        """Restart both when code changes; return when asked to stop."""
        seen = modification_times()
        while not stopping:
            time.sleep(LOOK_EVERY)
            now = modification_times()
            if now != seen:
                seen = now
                print("Code changed: restarting.", flush=True)
                self._stop()
                self._start()
            elif not stopping:
                self._require_running()

    def _start(self) -> None:
        for name, command in self._commands.items():
            # A session of its own keeps the terminal's Ctrl-C for this process alone.
            self._processes[name] = subprocess.Popen(  # noqa: S603  our own commands
                [sys.executable, "manage.py", *command],
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )

    def _stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        patience_ends = time.monotonic() + STOP_WITHIN
        for process in self._processes.values():
            try:
                process.wait(max(0.1, patience_ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{self._port}/healthz", timeout=1):
                return Worker.objects.filter(started_at__gte=self._started_at).exists()
        except (URLError, OSError):
            return False

    def _require_running(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                message = (
                    f"The {name} process ended with code {process.returncode}: see the lines above."
                )
                raise CommandError(message)


@contextmanager
def stopped_by_signals() -> Iterator[list[int]]:
    """Give a list that is no longer empty once this process was asked to stop."""
    received: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def require_free_port(port: int) -> None:
    """Refuse a port that somebody listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            message = f"Port {port} is taken: choose another one, as in `make run PORT={port + 1}`."
            raise CommandError(message) from error


def development_login() -> dict[str, str]:
    """Return an operator's login and an event key, made on the first run and kept in `var/`."""
    kept = Path(settings.BASE_DIR) / "var" / "dev.json"
    if kept.exists():
        login: dict[str, str] = json.loads(kept.read_text())
        if _is_valid(login):
            return login
    call_command("create_operator", OPERATOR, superuser=True, stdout=(operator := StringIO()))
    call_command("create_event_key", EVENT_KEY, stdout=(key := StringIO()))
    login = {**_lines(operator.getvalue()), **_lines(key.getvalue())}
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(login))
    kept.chmod(0o600)
    return login


def _is_valid(login: dict[str, str]) -> bool:
    """Tell whether the login is of this database: another one, or an emptied one, has others."""
    from django.contrib.auth import authenticate  # noqa: PLC0415  needs the apps

    from workflows.models import EventKey  # noqa: PLC0415

    is_operator = authenticate(username=OPERATOR, password=login["password"]) is not None
    return is_operator and EventKey.objects.shown(login["key"]).usable(clock.now()).exists()


def _lines(output: str) -> dict[str, str]:
    """Return the values of lines such as `key: ...`."""
    pairs = [line.split(": ", 1) for line in output.splitlines() if ": " in line]
    return {name.strip(): value.strip() for name, value in pairs}


def modification_times() -> dict[Path, float]:
    """Return when each file of the project's code was changed last."""
    root = Path(settings.BASE_DIR)
    files = [
        path for path in autoreload.iter_all_python_module_files() if path.is_relative_to(root)
    ]
    return {
        path: path.stat().st_mtime for path in files if ".venv" not in path.parts and path.exists()
    }


def welcome(port: int, login: dict[str, str]) -> str:
    """Return what a developer reads when everything runs."""
    url = f"http://{HOST}:{port}"
    return f"""
The platform runs. Ctrl-C stops it.

  Admin      {url}/admin/
  Login      {OPERATOR} / {login["password"]}
  Event key  {login["key"]}

Send an event, then watch its run in the admin under Runs:

  curl -X POST {url}/e/{login["key"]} -H 'Content-Type: application/json' -d '{json.dumps(EXAMPLE)}'
"""
