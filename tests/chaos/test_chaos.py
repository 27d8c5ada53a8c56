"""Whatever is killed, paused or cut off: every run completes, and what is repeated is explained.

The journal of the bodies, which the engine knows nothing of, is judged by `verdict.py`.
"""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.chaos.journal import Line
from tests.chaos.names import ALL, ON_BOTH, WITH_A_SERVER
from tests.chaos.server import server_programs
from tests.chaos.verdict import judge

SLOW = ("stop", "stop_group", "paused", "poison_exit", "poison_segfault", *WITH_A_SERVER)
ON_POSTGRESQL = "postgresql" in settings.DATABASES["default"]["ENGINE"]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ALL if ON_POSTGRESQL else ON_BOTH)
def test_every_run_completes_whatever_is_done_to_its_cluster(kind: str) -> None:
    if kind in WITH_A_SERVER and not has_server_programs():
        pytest.skip("PostgreSQL's initdb is not installed")
    times = "1" if kind in SLOW else "2"
    database = "postgresql" if ON_POSTGRESQL else "sqlite"
    command = [sys.executable, "-m", "tests.chaos", kind, "--times", times, "--database", database]

    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"broken": []' in done.stdout


def has_server_programs() -> bool:
    try:
        return (server_programs() / "pg_ctl").exists()
    except FileNotFoundError:
        return False


def line(what: str, at: float, step: int = -1, pid: int = 1, **more: object) -> Line:
    """A line about run 0."""
    return Line(what=what, at=at, run=0, step=step, pid=pid, **more)  # type: ignore[arg-type]


GOOD = [
    line("sent", 0),
    line("begin", 1, step=0),
    line("end", 2, step=0),
    line("begin", 3, step=1),
    line("end", 4, step=1),
    line("finish", 5),
]


def judged(lines: list[Line], effects: dict[tuple[int, int], int] | None = None) -> list[str]:
    effects = {(0, 1): 1} if effects is None else effects
    return judge(lines, effects=effects, steps=2, transactions=[1]).broken


def test_a_journal_without_faults_breaks_nothing() -> None:
    assert judged(GOOD) == []


def test_a_body_that_is_repeated_for_no_reason_is_noticed() -> None:
    lines = sorted([*GOOD, line("begin", 2.5, step=0)], key=lambda line: line.at)

    broken = judged(lines)

    assert len(broken) == 1
    assert "though nothing had happened to it" in broken[0]


def test_a_body_may_be_repeated_where_its_process_was_killed_but_not_where_another_was() -> None:
    def killed(pid: int) -> list[Line]:
        kill = Line(what="fault", at=1.5, fault="killed", victims=(pid,))
        again = line("begin", 2.5, step=0, pid=2)
        return sorted([*GOOD, kill, again], key=lambda line: line.at)

    assert judged(killed(pid=1)) == []
    assert len(judged(killed(pid=7))) == 1


def test_a_step_that_begins_after_the_next_one_is_noticed() -> None:
    kill = Line(what="fault", at=4.2, fault="killed", victims=(1,))
    lines = [*GOOD[:5], kill, line("begin", 4.5, step=0, pid=2), GOOD[5]]

    assert any("after that of step 1" in text for text in judged(lines))


def test_a_run_that_is_lost_and_effects_that_are_missing_or_doubled_are_noticed() -> None:
    assert judged(GOOD[:5]) == ["Run 0 never came to its end."]
    assert judged(GOOD, {}) == ["Run 0, step 1: the effect of its transaction is there 0 times."]
    assert judged(GOOD, {(0, 1): 2}) == [
        "Run 0, step 1: the effect of its transaction is there 2 times."
    ]


def test_a_zombie_that_begins_a_body_is_noticed() -> None:
    resumed = Line(what="fault", at=2.5, fault="resumed past the lease", victims=(1,))

    broken = judged([*GOOD[:3], resumed, *GOOD[3:]])

    assert any("had lost its lease" in text for text in broken)
