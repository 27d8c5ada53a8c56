"""Properties: what holds for every program of steps, whatever kills its workers."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflows import Event, Step, StepError, workflow
from workflows.serialisation import decode, encode
from workflows.testing.kit import CRASH_POINTS, running_workflows

LEAVES = st.sampled_from(["run", "transaction", "sleep", "fail", "send"])
PROGRAMS = st.lists(
    LEAVES | st.lists(st.lists(LEAVES, max_size=3), min_size=1, max_size=3), min_size=1, max_size=5
)
CRASHES = st.lists(st.sampled_from(CRASH_POINTS), max_size=4)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=10,
)


@pytest.mark.timeout(300)
@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=PROGRAMS, crashes=CRASHES)
def test_a_program_gives_what_it_gives_without_crashes(program: Any, crashes: list[str]) -> None:
    expected = outcome(program, crashes=[])

    found = outcome(program, crashes=crashes)

    assert found == expected


@given(value=JSON_VALUES)
def test_a_value_comes_back_from_storage_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


def outcome(program: Any, *, crashes: list[str]) -> Any:
    """Execute a program; return how its run ended, with its steps' results."""
    with transaction.atomic(), running_workflows() as kit:
        declare(program)
        for point in crashes:
            kit.crash_at(point)
        kit.send("go")
        for _ in range(len(crashes) + 2):
            kit.advance("1m")
        kit.advance("1h")
        [run] = kit.runs("program")
        steps = sorted(
            (step.id, step.index, step.op, step.status) for step in kit.run(run.id).steps
        )
        told = len(kit.runs("told"))
        transaction.set_rollback(True)
    return run.status, run.output, steps, told


def declare(program: Any) -> None:
    """Declare the workflow that a program describes."""

    @workflow(id="program", trigger="go", retries=0)
    def execute(event: Event[Any], step: Step) -> Any:
        return [perform(part, number, step) for number, part in enumerate(program)]

    @workflow(id="told", trigger="told")
    def told(event: Event[Any], step: Step) -> None:
        return None


def perform(part: Any, number: int, step: Step) -> Any:
    """Do one part of a program: a step, or branches side by side."""
    if isinstance(part, list):
        return list(step.parallel(*(branch_of(branch, step) for branch in part)))
    return STEPS[part](f"{part}-{number % 2}", number, step)


def branch_of(parts: list[str], step: Step) -> Any:
    return lambda: [perform(part, number, step) for number, part in enumerate(parts)]


def failing(id_: str, number: int, step: Step) -> str:
    def body() -> None:
        raise ValueError(str(number))

    try:
        step.run(id_, body)
    except StepError as error:
        return error.message
    return "no error"


def sending(id_: str, number: int, step: Step) -> int:
    return len(step.send_event(id_, Event(name="told", data={"n": number})))


STEPS: dict[str, Any] = {
    "run": lambda id_, number, step: step.run(id_, lambda: number),
    "transaction": lambda id_, number, step: step.transaction(id_, lambda: number),
    "sleep": lambda id_, number, step: step.sleep(id_, "10s"),
    "fail": failing,
    "send": sending,
}
