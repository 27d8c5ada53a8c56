"""Run the benchmarks: `make bench`, or `python -m benchmarks [--rounds N] [--only WORD]`.

A database of its own is made on SQLite, and beside the one that DATABASE_URL names; a real
cluster is started on it, and each workload runs several times. The table shows medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import django

from benchmarks.databases import environment, fresh_database


@dataclass(frozen=True, slots=True)
class Measurement:
    """One workload, once: how fast, and the CPU that workers and database spent on each run."""

    runs_per_second: float
    worker_ms: float
    database_ms: float


def main() -> None:
    """Measure on each database in a process of its own, because Django knows only one."""
    options = parse_options()
    if options.database:
        measure_database(options)
        return
    for url in database_urls():
        arguments = [a for a in sys.argv[1:] if a]
        subprocess.run(  # noqa: S603  this very program
            [sys.executable, "-m", "benchmarks", "--database", url, *arguments], check=True
        )


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only workloads whose name contains this")
    parser.add_argument("--database", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def database_urls() -> list[str]:
    """Return SQLite, and PostgreSQL where DATABASE_URL names it."""
    given = os.environ.get("DATABASE_URL", "")
    return ["sqlite", *([given] if given.startswith("postgres") else [])]


def measure_database(options: argparse.Namespace) -> None:
    """Make a database, start a cluster on it, and print the table."""
    with fresh_database(options.database) as url:
        os.environ.update(environment(url))
        os.environ.setdefault("DJANGO_LOG_LEVEL", "WARNING")
        django.setup()
        manage("migrate", "--verbosity", "0")
        with running_cluster() as cluster:
            print_table(options, cluster.pid)


@contextmanager
def running_cluster() -> Iterator["subprocess.Popen[bytes]"]:
    """Start a cluster, as an operator would, and stop it at the end."""
    from workflows.models import Worker  # noqa: PLC0415  needs Django set up

    with subprocess.Popen([sys.executable, "manage.py", "qcluster"]) as cluster:
        try:
            while not Worker.objects.exists():
                time.sleep(0.05)
            time.sleep(1.0)
            yield cluster
        finally:
            cluster.terminate()
            cluster.wait(30)


def manage(*arguments: str) -> None:
    """Call a management command."""
    subprocess.run([sys.executable, "manage.py", *arguments], check=True)  # noqa: S603


def print_table(options: argparse.Namespace, cluster: int) -> None:
    """Run each workload several times, once before that to warm up, and print the medians."""
    from django.db import connection  # noqa: PLC0415  needs Django set up

    from benchmarks.processes import memory_megabytes, tree_of  # noqa: PLC0415
    from benchmarks.workloads import WORKLOADS, latencies  # noqa: PLC0415

    print(f"\n{connection.vendor}, {os.cpu_count()} CPUs, median of {options.rounds} rounds")
    print(f"{'workload':<32} {'runs/s':>8} {'CPU ms a run: workers':>22} {'database':>9}")
    for workload in WORKLOADS:
        if options.only in workload.name:
            workload.work()
            rounds = [measure(workload.work, cluster) for _ in range(options.rounds)]
            print_row(workload.name, rounds)
    if options.only in "latency":
        p50, p95 = latencies()
        print(f"{'latency, idle: send to body':<32} p50 {p50:.1f} ms, p95 {p95:.1f} ms")
    print(f"{'memory of all cluster processes':<32} {memory_megabytes(tree_of(cluster)):.0f} MiB")


def measure(work: "object", cluster: int) -> Measurement:
    """Run a workload once."""
    from benchmarks.processes import cpu_seconds, database_processes, tree_of  # noqa: PLC0415

    workers_before = cpu_seconds(tree_of(cluster))
    database_before = cpu_seconds(database_processes())
    began = time.perf_counter()
    runs = work()  # type: ignore[operator]
    seconds = time.perf_counter() - began
    return Measurement(
        runs_per_second=runs / seconds,
        worker_ms=1000 * (cpu_seconds(tree_of(cluster)) - workers_before) / runs,
        database_ms=1000 * (cpu_seconds(database_processes()) - database_before) / runs,
    )


def print_row(name: str, rounds: list[Measurement]) -> None:
    """Print the medians of a workload's rounds."""
    rate = statistics.median(one.runs_per_second for one in rounds)
    workers = statistics.median(one.worker_ms for one in rounds)
    database = statistics.median(one.database_ms for one in rounds)
    print(f"{name:<32} {rate:>8,.0f} {workers:>22.2f} {database:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
