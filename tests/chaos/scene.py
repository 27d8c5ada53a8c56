"""Play one kind of chaos several times on one database, and print what the journal says."""

import argparse
import json
import os
import random
import sys
from contextlib import suppress
from pathlib import Path

import django

from tests.chaos.journal import VARIABLE, read_journal
from tests.chaos.server import Server
from tests.chaos.verdict import Verdict, judge

LONGEST_TAKE_OVER = 2.0  # seconds, where the cluster itself is alive
LINES_OF_THE_LOG = 60


def main() -> int:
    """Play, and judge; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="tests.chaos.scene")
    parser.add_argument("kind")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server", default="")
    options = parser.parse_args()
    options.seed = options.seed or random.randrange(1, 1_000_000)
    random.seed(options.seed)
    django.setup()
    verdict, slowest_stop = play(options)
    report(options, verdict, slowest_stop)
    return 1 if verdict.broken else 0


def play(options: argparse.Namespace) -> tuple[Verdict, float]:
    """Do to a cluster what the kind says, so many times; return what is left of it."""
    from django.core.management import call_command  # noqa: PLC0415  needs Django set up

    from tests.chaos import kinds  # noqa: PLC0415  as above
    from tests.chaos.stage import LONGEST_STOP, Stage  # noqa: PLC0415  as above
    from tests.chaos.workflows import (  # noqa: PLC0415  as above
        STEPS,
        TRANSACTIONS,
        make_table,
        read_effects,
    )

    call_command("migrate", verbosity=0)
    make_table()
    stage = Stage(options.folder, server_of(options.server))
    failure = ""
    try:
        for _ in range(options.times):
            getattr(kinds, options.kind)(stage)
            stage.wait_for_rest()
        stage.stop()
    except TimeoutError as error:
        failure = str(error)
    finally:
        stage.cluster.end()
    lines = read_journal(os.environ[VARIABLE])
    verdict = judge(lines, effects=read_effects(), steps=STEPS, transactions=TRANSACTIONS)
    if failure:
        verdict.broken.insert(0, failure)
    if stage.slowest_stop > LONGEST_STOP:
        verdict.broken.append(f"A stop took {stage.slowest_stop:.1f} s.")
    if options.kind in kinds.AT_ONCE and verdict.slowest_take_over > LONGEST_TAKE_OVER:
        verdict.broken.append(f"A run went on only after {verdict.slowest_take_over:.2f} s.")
    verdict.broken += states_that_are_wrong()
    return verdict, stage.slowest_stop


def server_of(folder: str) -> Server | None:
    """Return the server in a folder, on whose database this program works."""
    from django.db import connection  # noqa: PLC0415  needs Django set up

    return Server(folder, int(connection.settings_dict["PORT"])) if folder else None


def states_that_are_wrong() -> list[str]:
    """Compare with the engine's own word, and with what django-q2 has stored."""
    from django_q.models import OrmQ, Task  # noqa: PLC0415  needs Django set up

    from workflows.models import Run, RunStatus, Worker  # noqa: PLC0415  as above

    poison = Run.objects.filter(
        workflow="poison", status=RunStatus.FAILED, error__contains="WorkerLost"
    )
    wrong = [
        f"Run {run.pk} of {run.workflow} is {run.status}: {run.error or run.reason}"
        for run in Run.objects.exclude(status=RunStatus.COMPLETED).exclude(pk__in=poison)
    ]
    if Worker.objects.exists():
        wrong.append("A worker that has stopped still has a lease.")
    if OrmQ.objects.exists() or Task.objects.exists():
        wrong.append("django-q2's tables are not empty.")
    return wrong


def report(options: argparse.Namespace, verdict: Verdict, slowest_stop: float) -> None:
    """Print one line, and where something broke all that helps to understand it."""
    line = {
        "kind": options.kind,
        "database": os.environ["DATABASE_URL"].partition(":")[0],
        "times": options.times,
        "seed": options.seed,
        "runs": f"{verdict.finished} of {verdict.sent}",
        "bodies": verdict.bodies,
        "repeated": verdict.repeated,
        "slowest take-over": round(verdict.slowest_take_over, 2),
        "slowest stop": round(slowest_stop, 2),
        "broken": verdict.broken[:20],
    }
    print(json.dumps(line), flush=True)
    if not verdict.broken:
        return
    with suppress(OSError):
        log = (options.folder / "cluster.log").read_text(errors="replace").splitlines()
        print(f"The cluster's last {LINES_OF_THE_LOG} lines:", file=sys.stderr)
        print("\n".join(log[-LINES_OF_THE_LOG:]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
