"""Kill real processes at random: `make chaos`, or `python -m tests.crash [--times N] [KIND ...]`.

For each kind a cluster is started on a database of its own; work is sent, something is killed,
and all runs must complete. Prints a JSON line for each kind; exits with 1 where a promise broke.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from benchmarks.databases import fresh_database

LONGEST_TAKE_OVER = 2.0  # seconds, where the cluster itself is alive
GRACE = 12.0  # seconds: the workers' own and a little more


def main() -> int:
    """Try each kind, each in a process of its own."""
    options = parse_options()
    if options.kind_in_this_process:
        return try_kind(options)
    codes = []
    for kind in options.kinds or KINDS:
        with fresh_database(options.database, suffix=f"crash_{kind}") as url:
            codes.append(in_a_process(kind, url, options.times))
    return max(codes)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    url = os.environ.get("DATABASE_URL", "")
    parser = argparse.ArgumentParser(prog="tests.crash")
    parser.add_argument("kinds", nargs="*", help=f"some of {', '.join(KINDS)}; all, if left out")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--database", default=url if url.startswith("postgres") else "sqlite")
    parser.add_argument("--kind-in-this-process", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process(kind: str, url: str, times: int) -> int:
    """Try one kind in a process that knows only its own database."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "DEBUG": "1",
            "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
            "CRASH_JOURNAL": f"{folder}/journal",
        }
        command = [sys.executable, "-m", "tests.crash", "--kind-in-this-process", kind]
        done = subprocess.run([*command, "--times", str(times)], env=environment, check=False)
    return done.returncode


def try_kind(options: argparse.Namespace) -> int:
    """Start a cluster, kill what the kind says so many times, and check what is left."""
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415  needs Django set up

    from tests.crash.cluster import Cluster  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    cluster = Cluster()
    kind = options.kind_in_this_process
    take_overs = [KINDS[kind](cluster) for _ in range(options.times)]
    result = {
        "kind": kind,
        "times": options.times,
        "slowest take-over": round(max(take_overs), 2),
        "stop": round(cluster.terminate(), 2),
        **journal_says(),
    }
    result["broken"] = broken_promises(kind, result)
    print(json.dumps(result), flush=True)
    return 1 if result["broken"] else 0


def broken_promises(kind: str, result: dict[str, Any]) -> list[str]:
    """Return which promises did not hold."""
    limit = 60.0 if kind in ("cluster", "parents") else LONGEST_TAKE_OVER
    broken = []
    if result["slowest take-over"] > limit:
        broken.append(f"a run went on only after {result['slowest take-over']} s")
    if result["stop"] > GRACE:
        broken.append(f"the stop took {result['stop']} s")
    if result["completed"] != result["sent"]:
        broken.append(f"{result['completed']} of {result['sent']} runs completed")
    if result["begun after the next step"]:
        broken.append("a finished step ran again")
    return broken


def journal_says() -> dict[str, int]:
    """Read the journal that the bodies wrote, and compare it with the runs."""
    from workflows.models import Event, Run, RunStatus  # noqa: PLC0415  needs Django set up

    lines = [line.split() for line in Path(os.environ["CRASH_JOURNAL"]).read_text().splitlines()]
    return {
        "sent": Event.objects.count(),
        "completed": Run.objects.filter(status=RunStatus.COMPLETED).count(),
        "bodies": sum(line[0] == "begin" for line in lines),
        "repeated": sum(n - 1 for n in begins(lines).values()),
        "begun after the next step": begun_late(lines),
    }


def begins(lines: list[list[str]]) -> Counter[tuple[str, str]]:
    """Count how often each step's body began."""
    return Counter((run, step) for what, run, step, _ in lines if what == "begin")


def begun_late(lines: list[list[str]]) -> int:
    """Count bodies that began after the next step had: their result had been stored before."""
    furthest: dict[str, int] = {}
    late = 0
    for what, run, step, _ in lines:
        if what == "begin":
            late += int(step) < furthest.get(run, 0)
            furthest[run] = max(furthest.get(run, 0), int(step))
    return late


def send_runs(count: int, *, seconds: float) -> None:
    """Send events for so many runs, whose bodies each take a while."""
    from workflows import Event, send  # noqa: PLC0415  needs Django set up
    from workflows.models import Event as StoredEvent  # noqa: PLC0415

    first = StoredEvent.objects.count()
    send(
        [
            Event(name="crash/go", data={"number": first + n, "seconds": seconds})
            for n in range(count)
        ]
    )


def all_ended() -> bool:
    """Tell whether every event was routed and every run has ended."""
    from workflows.models import Event, Run  # noqa: PLC0415  needs Django set up

    return not Event.objects.unrouted().exists() and not Run.objects.unended().exists()


def take_over(cluster: Any) -> float:
    """Wait until all runs have ended and a worker is alive; return how long the runs took."""
    from tests.crash.cluster import wait_until  # noqa: PLC0415  needs Django set up

    seconds = wait_until(all_ended, what="all runs to end")
    wait_until(lambda: bool(cluster.workers()), what="a worker")
    return seconds


def kill_idle_worker(cluster: Any) -> float:
    """Kill a worker that waits for work, then send some."""
    cluster.kill(random.choice(cluster.workers()))
    time.sleep(random.random() / 2)
    send_runs(1, seconds=0)
    return take_over(cluster)


def kill_drained_worker(cluster: Any) -> float:
    """Kill a worker at about the moment at which it has nothing left to do."""
    send_runs(1, seconds=0)
    time.sleep(random.random() * 0.03)
    cluster.kill(random.choice(cluster.workers()))
    return take_over(cluster)


def kill_busy_worker(cluster: Any) -> float:
    """Kill a worker during steps and between them."""
    send_runs(20, seconds=0.05)
    time.sleep(random.random() * 0.15)
    cluster.kill(random.choice(cluster.workers()))
    return take_over(cluster)


def kill_pusher_or_monitor(cluster: Any) -> float:
    """Kill a process that hands out tasks, or that takes their results."""
    send_runs(5, seconds=0.01)
    cluster.kill(random.choice(cluster.others()))
    return take_over(cluster)


def kill_cluster(cluster: Any) -> float:
    """Kill everything at once, and start anew: the leases must end first."""
    send_runs(10, seconds=0.05)
    time.sleep(random.random() * 0.2)
    cluster.kill_all()
    cluster.start()
    return take_over(cluster)


def kill_parents(cluster: Any) -> float:
    """Kill the cluster's parent: its orphans stop by themselves, and give back what they hold."""
    from tests.crash.cluster import is_alive, wait_until  # noqa: PLC0415  needs Django set up

    send_runs(10, seconds=0.05)
    time.sleep(random.random() * 0.2)
    orphans = cluster.kill_parents()
    wait_until(
        lambda: not any(is_alive(pid) for pid in orphans), what="orphans to stop", patience=GRACE
    )
    cluster.start()
    return take_over(cluster)


KINDS: dict[str, Callable[[Any], float]] = {
    "idle": kill_idle_worker,
    "drained": kill_drained_worker,
    "busy": kill_busy_worker,
    "pusher": kill_pusher_or_monitor,
    "cluster": kill_cluster,
    "parents": kill_parents,
}


if __name__ == "__main__":
    sys.exit(main())
