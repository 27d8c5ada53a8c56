"""What history costs: `python -m benchmarks.growth [--ended 1000000 --asleep 100000]`.

A cluster works off runs under limits that do not bind, on an empty database; then again beside a
million runs that have ended and 100,000 that sleep, under the same workflow's limits. Prints both
rates and the CPU a run: admission, like all the rest, is to cost the same.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

import django

from benchmarks.__main__ import Measurement, manage, measure, print_row, running_cluster
from benchmarks.databases import environment, fresh_database

RUNS = 2000
COPIED = """
    INSERT INTO workflows_run ({columns})
    WITH RECURSIVE number(n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count}),
        pattern AS (SELECT * FROM workflows_run WHERE workflow = 'bench-limited' LIMIT 1)
    SELECT {values} FROM pattern CROSS JOIN number
"""


def main() -> None:
    """Make a database, and measure in a process that knows only that."""
    parser = argparse.ArgumentParser(prog="benchmarks.growth")
    parser.add_argument("--ended", type=int, default=1_000_000)
    parser.add_argument("--asleep", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        compare(options)
        return
    with fresh_database(os.environ.get("DATABASE_URL", "sqlite"), suffix="growth") as url:
        command = [sys.executable, "-m", "benchmarks.growth", "--here", *sys.argv[1:]]
        subprocess.run(command, env={**environment(url), "DJANGO_LOG_LEVEL": "WARNING"}, check=True)  # noqa: S603  this very program


def compare(options: argparse.Namespace) -> None:
    """Measure before and after there is a history."""
    django.setup()
    from benchmarks.workloads import send_many  # noqa: PLC0415  needs Django set up

    def work() -> int:
        return send_many("bench/limited", RUNS)

    manage("migrate", "--verbosity", "0")
    print(
        f"{'runs that are there':<32} {'runs/s':>8} {'CPU ms a run: workers':>22} {'database':>9}"
    )
    with running_cluster() as cluster:
        work()
        print_row("none", rounds_of(work, cluster.pid, options.rounds))
        add_history(options.ended, status="completed")
        add_history(options.asleep, status="sleeping")
        work()
        name = f"{options.ended:,} ended, {options.asleep:,} asleep"
        print_row(name, rounds_of(work, cluster.pid, options.rounds))


def rounds_of(work: Callable[[], int], cluster: int, rounds: int) -> list[Measurement]:
    """Measure so many times."""
    return [measure(work, cluster) for _ in range(rounds)]


def add_history(count: int, *, status: str) -> None:
    """Copy an ended run of the workload so many times, as ended runs or as sleeping ones."""
    from django.db import connection  # noqa: PLC0415  needs Django set up

    from workflows.models import Run  # noqa: PLC0415

    names = [str(field.column) for field in Run._meta.concrete_fields]  # noqa: SLF001
    columns = dict(zip(names, names, strict=True))
    columns["id"] = f"'00{status[0]}' || n"  # before all real ones, as older runs are
    columns["status"] = f"'{status}'"
    if status == "sleeping":
        columns |= {"ended_at": "NULL", "due_at": "'2999-01-01 00:00:00+00:00'"}
        if connection.vendor == "postgresql":
            columns["due_at"] += "::timestamptz"
    statement = COPIED.format(
        columns=", ".join(columns), values=", ".join(columns.values()), count=count
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)


if __name__ == "__main__":
    main()
