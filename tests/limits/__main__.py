"""Send work under limits to four worker processes and kill them: `python -m tests.limits`.

The bodies write a journal; a checker that knows nothing of the tables reads it. Prints a JSON
line; exits with 1 where a limit was exceeded, or a run did not end.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import django

from benchmarks.databases import fresh_database

KEYS = 6
TENANTS = 3
PATIENCE = 120.0  # seconds


def main() -> int:
    """Make a database and a journal, and run this program again in their environment."""
    options = parse_options()
    if options.here:
        return put_under_fire(options)
    with (
        fresh_database(options.database, suffix="limits") as url,
        tempfile.TemporaryDirectory() as folder,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "DEBUG": "1",
            "DJANGO_SETTINGS_MODULE": "tests.limits.settings",
            "LIMITS_JOURNAL": f"{folder}/journal",
            "WORKFLOWS_WORKERS": str(options.workers),
            "WORKFLOWS_THREADS": "16",
        }
        command = [sys.executable, "-m", "tests.limits", "--here", *sys.argv[1:]]
        return subprocess.run(command, env=environment, check=False).returncode


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    url = os.environ.get("DATABASE_URL", "")
    parser = argparse.ArgumentParser(prog="tests.limits")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill-rate", type=float, default=0.05, help="of a worker, in each round")
    parser.add_argument("--database", default=url if url.startswith("postgres") else "sqlite")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def put_under_fire(options: argparse.Namespace) -> int:
    """Send, cancel and kill for a while; wait for the end; check the journal."""
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415  needs Django set up

    from tests.chaos.cluster import Cluster, wait_until  # noqa: PLC0415
    from tests.limits.checker import check, read  # noqa: PLC0415
    from workflows.models import Event  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    cluster = Cluster()
    chance = random.Random(options.seed)
    kills = cancels = 0
    ends = time.monotonic() + options.seconds
    try:
        while time.monotonic() < ends:
            send_some(chance)
            cancels += cancel_one(chance)
            if chance.random() < options.kill_rate:
                kills += kill_one(cluster, chance)
            time.sleep(chance.random() * 0.2)
        wait_until(all_ended, what="all runs to end", patience=PATIENCE)
        sent = Event.objects.count()
    finally:
        cluster.terminate()
    verdict = check(read(Path(os.environ["LIMITS_JOURNAL"]).read_text()))
    result = {
        "events": sent,
        "bodies": verdict.bodies,
        "kills": kills,
        "cancels": cancels,
        "most at once": verdict.most,
        "exceeded": verdict.exceeded[:5],
    }
    print(json.dumps(result), flush=True)
    return 1 if verdict.exceeded else 0


def send_some(chance: random.Random) -> None:
    """Send a few events for each workflow."""
    from workflows import Event, send  # noqa: PLC0415  needs Django set up

    names = ["keyed", "hasty", "sharing", "active", "spread"]
    send(
        [
            Event(
                name=f"limits/{chance.choice(names)}",
                data={
                    # Half of all is one key's.
                    "key": chance.choice([0, chance.randrange(KEYS)]),
                    "tenant": chance.randrange(TENANTS),
                    "seconds": chance.random() * 0.3,
                },
            )
            for _ in range(chance.randrange(1, 12))
        ]
    )


def cancel_one(chance: random.Random) -> int:
    """Cancel a run, mostly one that is in a body."""
    from workflows.client import cancel_run  # noqa: PLC0415  needs Django set up
    from workflows.errors import RunStateError  # noqa: PLC0415
    from workflows.models import Run  # noqa: PLC0415

    # A run under an active limit would leave no line of its end.
    unended = Run.objects.unended().exclude(workflow="active").order_by("-status")
    ids = list(unended.values_list("id", flat=True)[:20])
    if not ids or chance.random() < 0.7:
        return 0
    try:
        cancel_run(chance.choice(ids))
    except RunStateError:
        return 0
    return 1


def kill_one(cluster: Any, chance: random.Random) -> int:
    """Kill a worker, and say so in the journal once it is dead."""
    from tests.chaos.cluster import is_alive, wait_until  # noqa: PLC0415  needs Django set up

    workers = cluster.workers()
    if not workers:
        return 0
    pid = chance.choice(workers)
    cluster.kill([pid])
    wait_until(lambda: not is_alive(pid), what="a process to die")
    with Path(os.environ["LIMITS_JOURNAL"]).open("a") as journal:
        journal.write(f"{time.monotonic_ns()} kill - - {pid}\n")
    return 1


def all_ended() -> bool:
    """Tell whether every event was routed and every run has ended."""
    from workflows.models import Event, Run  # noqa: PLC0415  needs Django set up

    return not Event.objects.unrouted().exists() and not Run.objects.unended().exists()


if __name__ == "__main__":
    sys.exit(main())
