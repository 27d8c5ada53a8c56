"""Disturb real processes: `make chaos`, or `python -m tests.chaos [KIND ...] [--times N]`.

For each kind a cluster is started on a database of its own; work is sent, something is done to
the cluster or the server, and all runs must end well. Prints a line for each kind, and what broke.
Exits with 1 where a promise was broken.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.databases import fresh_database
from tests.chaos.journal import VARIABLE
from tests.chaos.names import ALL, POSTGRESQL_ONLY, WITH_A_SERVER
from tests.chaos.server import own_server

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    """Try each kind, each in a process of its own, on a database of its own."""
    options = parse_options()
    codes = []
    for database in DATABASES if options.database == "both" else (options.database,):
        for kind in options.kinds or ALL:
            if database == "sqlite" and kind in POSTGRESQL_ONLY:
                continue
            codes.append(try_kind(kind, database, options))
    return max(codes, default=0)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    url = os.environ.get("DATABASE_URL", "")
    parser = argparse.ArgumentParser(prog="tests.chaos")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(ALL)}; or all")
    parser.add_argument("--times", type=int, default=3, help="how often each (20 takes an hour)")
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; 0: another each time")
    parser.add_argument(
        "--url",
        default=url if url.startswith("postgres") else "",
        help="PostgreSQL's; without one, and where the server is to be stopped, one is started",
    )
    options = parser.parse_args()
    unknown = set(options.kinds) - set(ALL)
    if unknown:
        parser.error(f"there is no kind {', '.join(sorted(unknown))}: choose of {', '.join(ALL)}")
    return options


def try_kind(kind: str, database: str, options: argparse.Namespace) -> int:
    """Try one kind in a process that knows only its own database."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"chaos-{kind}-"))
        environment = {
            **os.environ,
            "DEBUG": "1",
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            VARIABLE: str(Path(folder) / "journal"),
        }
        command = [sys.executable, "-m", "tests.chaos.scene", kind, folder]
        command += ["--times", str(options.times), "--seed", str(options.seed)]
        if database == "postgresql" and (kind in WITH_A_SERVER or not options.url):
            server = stack.enter_context(own_server())
            environment["DATABASE_URL"] = server.url
            command += ["--server", server.folder]
        else:
            given = "sqlite" if database == "sqlite" else options.url
            url = stack.enter_context(fresh_database(given, suffix=f"chaos_{kind}"))
            environment["DATABASE_URL"] = url
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
