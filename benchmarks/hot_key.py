"""One hot key with a backlog, and many cold ones: `python -m benchmarks.hot_key [--hot N]`.

On the database that DATABASE_URL names a cluster works off a hot key under its limit of five.
Then an event comes for each of 1,000 other keys: how long until the last of them has started?
"""

import argparse
import os
import subprocess
import sys
import time
from datetime import datetime
from itertools import accumulate

import django

from benchmarks.__main__ import manage, running_cluster
from benchmarks.databases import environment, fresh_database

SEND_AT_ONCE = 1000  # events


def main() -> None:
    """Make a database, and measure in a process that knows only that."""
    parser = argparse.ArgumentParser(prog="benchmarks.hot_key")
    parser.add_argument("--hot", type=int, default=100_000, help="runs of the hot key")
    parser.add_argument("--cold", type=int, default=1000, help="other keys")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.hot, options.cold)
        return
    with fresh_database(os.environ.get("DATABASE_URL", "sqlite"), suffix="hot_key") as url:
        subprocess.run(  # noqa: S603  this very program
            [sys.executable, "-m", "benchmarks.hot_key", "--here", *sys.argv[1:]],
            env={**environment(url), "DJANGO_LOG_LEVEL": "WARNING"},
            check=True,
        )


def measure(hot: int, cold: int) -> None:
    """Fill the hot key, start the cluster, send for the cold ones, and print."""
    django.setup()
    manage("migrate", "--verbosity", "0")
    from django.db import connection  # noqa: PLC0415  needs Django set up

    from workflows.models import Event, Run  # noqa: PLC0415

    with running_cluster():
        for start in range(0, hot, SEND_AT_ONCE):
            send_for(["hot"] * min(SEND_AT_ONCE, hot - start))
        while Event.objects.unrouted().exists():
            time.sleep(0.1)
        waiting = Run.objects.in_line().count()
        newest = Run.objects.latest("id").pk
        sent_at = send_for([f"cold-{number}" for number in range(cold)])
        started = wait_for_starts(cold, after=newest)
        seconds = sorted((at - sent_at).total_seconds() for at in started)
        print(
            f"{connection.vendor}: {waiting:,} runs waited for the hot key; {cold:,} cold keys "
            f"started within {seconds[len(seconds) // 2]:.2f} s (median), {seconds[-1]:.2f} s (all)"
            f"; at most {most_at_once(up_to=newest)} of the hot key's bodies ran at once"
        )


def send_for(keys: list[str]) -> datetime:
    """Send an event for each key; return when that was committed, by the database's clock."""
    from workflows import Event, send  # noqa: PLC0415  needs Django set up
    from workflows.clock import clock  # noqa: PLC0415

    send([Event(name="bench/hot-key", data={"key": key}) for key in keys])
    return clock.now()


def most_at_once(*, up_to: str) -> int:
    """Return how many bodies of the hot key, whose runs are older than a run, ran at once."""
    from workflows.models import Step  # noqa: PLC0415  needs Django set up

    steps = Step.objects.filter(run_id__lte=up_to, ended_at__isnull=False)
    times = steps.values_list("started_at", "ended_at")
    changes = sorted([(end, -1) for _, end in times] + [(start, 1) for start, _ in times])
    return max(accumulate(change for _, change in changes))


def wait_for_starts(cold: int, *, after: str) -> list[datetime]:
    """Wait until so many runs that are newer than a run have started; return when.

    They are found by an index: whoever measures is not to read what waits for the hot key.
    """
    from workflows.models import Run  # noqa: PLC0415  needs Django set up

    new = Run.objects.filter(workflow="bench-hot-key", id__gt=after, started_at__isnull=False)
    while True:
        found = new.values_list("started_at", flat=True)
        if len(found) >= cold:
            return [at for at in found if at is not None]
        time.sleep(0.05)


if __name__ == "__main__":
    main()
