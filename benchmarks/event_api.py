"""Large requests beside small ones: `python -m benchmarks.event_api [--requests N]`.

On the database that DATABASE_URL names, gunicorn takes requests of 5,000 events and, beside them,
single events, while a cluster executes the runs that they start. How long does each take?
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import django

from benchmarks.__main__ import manage, running_cluster
from benchmarks.databases import environment, fresh_database

EVENTS = 5000  # in a large request
ADDRESS = "127.0.0.1:8765"
BETWEEN_SINGLES = 0.05  # seconds


def main() -> None:
    """Make a database, and measure in a process that knows only that."""
    parser = argparse.ArgumentParser(prog="benchmarks.event_api")
    parser.add_argument("--requests", type=int, default=10, help="large ones")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.requests)
        return
    with fresh_database(os.environ.get("DATABASE_URL", "sqlite"), suffix="event_api") as url:
        subprocess.run(  # noqa: S603  this very program
            [sys.executable, "-m", "benchmarks.event_api", "--here", *sys.argv[1:]],
            env={**environment(url), "BIND": ADDRESS},
            check=True,
        )


def measure(requests: int) -> None:
    """Start web and workers, send, and print."""
    django.setup()
    manage("migrate", "--verbosity", "0")
    from django.db import connection  # noqa: PLC0415  needs Django set up

    from workflows.engine.keys import create_event_key  # noqa: PLC0415
    from workflows.models import Run, RunStatus  # noqa: PLC0415

    key = create_event_key("benchmark").secret
    connection.close()
    with running_cluster(), running_web():
        post(key, [event(0)] * 100)
        with singles_beside(key) as singles:
            large = [post(key, [event(n) for n in range(EVENTS)]) for _ in range(requests)]
        done = Run.objects.filter(status=RunStatus.COMPLETED).count()
        print(
            f"{connection.vendor}: {requests} requests of {EVENTS:,} events, each up to "
            f"{max(large):.2f} s (median {middle(large):.2f} s); {len(singles)} single events "
            f"beside them, each up to {1000 * max(singles):.0f} ms "
            f"(median {1000 * middle(singles):.0f} ms); {done:,} runs were completed meanwhile"
        )


@contextmanager
def singles_beside(key: str) -> Iterator[list[float]]:
    """Send single events all the while; give how long each took."""
    took: list[float] = []
    stopped = threading.Event()

    def send_singles() -> None:
        while not stopped.wait(BETWEEN_SINGLES):
            took.append(post(key, event(0)))

    sender = threading.Thread(target=send_singles)
    sender.start()
    try:
        yield took
    finally:
        stopped.set()
        sender.join()


@contextmanager
def running_web() -> Iterator[None]:
    """Start gunicorn, as in production, and stop it at the end."""
    command = [sys.executable, "-m", "gunicorn", "--access-logfile", "/dev/null"]
    with subprocess.Popen(command) as web:  # noqa: S603  this project's own server
        try:
            while not answers():
                time.sleep(0.1)
            yield
        finally:
            web.terminate()
            web.wait(40)


def answers() -> bool:
    """Tell whether the web process answers."""
    try:
        with urllib.request.urlopen(f"http://{ADDRESS}/healthz", timeout=5):
            return True
    except OSError:
        return False


def post(key: str, body: object) -> float:
    """Send one request; return how many seconds it took."""
    request = urllib.request.Request(
        f"http://{ADDRESS}/e/{key}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  our own address
        answer.read()
    return time.perf_counter() - began


def event(number: int) -> dict[str, object]:
    """Return an event that starts a run of one step."""
    return {"name": "bench/noop", "data": {"number": number, "customer": {"id": str(number)}}}


def middle(numbers: list[float]) -> float:
    """Return the median."""
    return sorted(numbers)[len(numbers) // 2]


if __name__ == "__main__":
    main()
