"""No promise breaks in any history, the faults bite, and no planted bug survives."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.conftest import SIMULATED
from tests.simulation.faults import Odds
from tests.simulation.simulation import BrokenHistory, simulate

SOURCES = [Path("workflows/client.py"), *Path("workflows/engine").glob("*.py")]
GROUPS = 4
SEEDS_OF_A_GROUP = 10
RUNS_OF_A_HISTORY = 35  # on average, at least
# Found a flaw of the engine, or of an early draft of it, once.
SEEDS_THAT_FAILED_ONCE = (1, 3, 5, 7, 12, 33, 91)
SEED_OF_A_RETURN = 54  # of a workflow that no worker knew for a while
SEEDS_FOR_A_BUG = 40
# A planted bug must be caught soon; so more goes wrong than usual.
WILD = Odds(kill=6, pause=12, lost_answer=8, statement_error=8)

# What must have happened somewhere: where it never does, the histories are too tame.
SOMETIMES = (
    "a body was repeated",
    "a body began after its run was cancelled",
    "a process was killed",
    "a process was paused",
    "a process was stopped",
    "a run was replaced at once",
    "a run was skipped for a rate limit",
    "a run was skipped for a singleton",
    "a run was skipped for idempotency",
    "a signal was taken",
    "a statement failed",
    "a workflow was paused",
    "the answer of a commit was lost",
    "the clock jumped",
    "a write was refused",
)
SLICE_POINTS = {"before_body", "after_body", "after_store", "before_finish"}
# What no history has: operators' doings beside cancel, retry and replay, HTTP, housekeeping.
OTHER_MODULES = {"bulk.py", "operator_schedules.py", "prune.py", "roll_up.py"}
WITHOUT_A_MOVE = {
    "count request",
    "create event key",
    "create key",
    "forget lanes",
    "invoke",
    "note key use",
    "override",
    "prune by hand",
    "receive",
    "resend",
    "retire",
    "revoke event key",
    "revoke key",
    "send by hand",
    "write meters",
}


@pytest.fixture(autouse=True)
def _own_database(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The simulator brings its database along."""
    with django_db_blocker.unblock():
        yield


@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", range(GROUPS))
def test_no_promise_breaks_in_any_history(
    group: int, record_property: Callable[[str, object], None]
) -> None:
    first = 1000 + group * SEEDS_OF_A_GROUP

    runs: Counter[str] = Counter()
    for seed in range(first, first + SEEDS_OF_A_GROUP):
        runs += simulate(seed).runs

    record_property(SIMULATED, runs.total())
    assert runs.total() >= RUNS_OF_A_HISTORY * SEEDS_OF_A_GROUP
    assert runs["completed"] > 10 * SEEDS_OF_A_GROUP
    assert runs["cancelled"] > 0
    assert runs["failed"] > 0
    assert runs["skipped"] > 0


@pytest.mark.timeout(300)
def test_seeds_that_failed_once_pass_and_between_them_everything_goes_wrong() -> None:
    histories = [simulate(seed) for seed in SEEDS_THAT_FAILED_ONCE]
    histories += [simulate(seed, odds=WILD) for seed in SEEDS_THAT_FAILED_ONCE]
    histories.append(simulate(SEED_OF_A_RETURN))

    happened = {what for history in histories for what in history.happened}
    passed = {point for history in histories for point in history.passed}
    assert set(SOMETIMES) - happened == set()
    assert expected_points() - passed == set()


def test_the_same_seed_gives_the_same_history() -> None:
    first, other, again = simulate(5), simulate(6), simulate(5)

    assert first == again
    assert first.digest != other.digest


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    code = (
        "import django; django.setup()\n"
        "from tests.simulation.simulation import simulate; print(simulate(5).digest)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "fsa_platform.settings_for_tests"}

    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }

    assert digests == {simulate(5).digest}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_does_not_survive(bug: Bug) -> None:
    caught_by = None
    for seed in range(1, SEEDS_FOR_A_BUG + 1):
        try:
            with bug():
                simulate(seed, odds=WILD)
        except BrokenHistory:
            caught_by = seed
            break

    assert caught_by is not None, f"{bug.__name__} survived {SEEDS_FOR_A_BUG} histories"
    passes_without_a_bug(caught_by)  # it is the bug that was caught, and nothing else


@cache
def passes_without_a_bug(seed: int) -> None:
    """Play a history once, however many bugs it has caught."""
    simulate(seed, odds=WILD)


def expected_points() -> set[str]:
    """Return the names of all crash points, as the engine's source has them."""
    sources = [path for path in SOURCES if path.name not in OTHER_MODULES]
    every = {name for path in sources for name in names_of_transactions(path)}
    assert every >= WITHOUT_A_MOVE, f"no transactions any more: {WITHOUT_A_MOVE - every}"
    names = every - WITHOUT_A_MOVE
    return SLICE_POINTS | {f"{when} {name}" for name in names for when in ("before", "after")}


def names_of_transactions(path: Path) -> set[str]:
    """Return the names in calls of `transaction(name)`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "transaction"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }
