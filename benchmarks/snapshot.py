"""A snapshot that stays open elsewhere in the database: `python -m benchmarks.snapshot`.

On the PostgreSQL that DATABASE_URL names a cluster works off batches of a workload. In each round
that is measured without a snapshot, and then while a REPEATABLE READ transaction has been open for
a while and the batches' dead rows pile up. Prints both rates, and what the snapshot leaves.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django

from benchmarks.__main__ import manage, running_cluster
from benchmarks.databases import environment, fresh_database

EVENTS = ("bench/three-step", "bench/limited")
WARM_UP = 500  # runs


def main() -> None:
    """Make a database, and measure in a process that knows only that."""
    options = parse_options()
    if options.here:
        measure(options)
        return
    given = os.environ.get("DATABASE_URL", "")
    if not given.startswith("postgres"):
        sys.exit("Name a PostgreSQL in DATABASE_URL: SQLite keeps no rows for old snapshots.")
    with fresh_database(given, suffix="snapshot") as url:
        command = [sys.executable, "-m", "benchmarks.snapshot", "--here", *sys.argv[1:]]
        subprocess.run(command, env={**environment(url), "DJANGO_LOG_LEVEL": "WARNING"}, check=True)  # noqa: S603  this very program


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.snapshot")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60, help="that a snapshot stays open")
    parser.add_argument("--batch", type=int, default=1000, help="runs that are sent together")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    """Print a line for each workload."""
    django.setup()
    from benchmarks.workloads import send_many  # noqa: PLC0415  needs Django set up

    manage("migrate", "--verbosity", "0")
    print(f"{'event':<18} {'without':>8} {'open':>8} {'at its end':>11}   runs/s")
    with running_cluster():
        for event in EVENTS:
            send_many(event, WARM_UP)
            rounds = [measure_round(event, options) for _ in range(options.rounds)]
            without, during, at_end = (
                statistics.median(rates) for rates in zip(*rounds, strict=True)
            )
            print(
                f"{event:<18} {without:>8,.0f} {during:>8,.0f} {at_end:>11,.0f}   "
                f"{during / without:.0%} are left, {at_end / without:.0%} at its end",
                flush=True,
            )


def measure_round(event: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Return the rates without a snapshot, with one, and at that one's end."""
    without = rates(event, seconds=options.seconds / 4, batch=options.batch)
    with open_snapshot():
        during = rates(event, seconds=options.seconds, batch=options.batch)
    last = during[-max(1, len(during) // 5) :]
    return statistics.median(without), statistics.median(during), statistics.median(last)


def rates(event: str, *, seconds: float, batch: int) -> list[float]:
    """Send batch after batch for a while; return the rate of each."""
    from benchmarks.workloads import send_many  # noqa: PLC0415  needs Django set up

    found = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        send_many(event, batch)
        found.append(batch / (time.perf_counter() - began))
    return found


@contextmanager
def open_snapshot() -> Iterator[None]:
    """Hold a snapshot of the database open, as a forgotten session or a long report does."""
    import psycopg  # noqa: PLC0415  SQLite needs no driver

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM workflows_worker")
        yield
        connection.rollback()


if __name__ == "__main__":
    main()
