"""Properties: what holds for every program of steps, whatever kills its workers."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.forms import declare
from workflows import Event, StepError
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

Branch = Callable[[], Coroutine[Any, Any, Any]]


@dataclass
class Seen:
    """What the code of a program saw, over all of its passes."""

    values: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by place
    orders: list[list[str]] = field(default_factory=list)  # of each pass: places, as they ended


@pytest.mark.timeout(300)
@pytest.mark.django_db
@pytest.mark.parametrize("form", ["sync", "async", "gathered"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=PROGRAMS, crashes=CRASHES)
def test_a_program_gives_what_it_gives_without_crashes_and_the_same_on_every_pass(
    form: str, program: Any, crashes: list[str]
) -> None:
    expected, seen = outcome(form, program, crashes=[])

    found, seen_again = outcome(form, program, crashes=crashes)

    assert found == expected
    assert seen_again.values == seen.values
    assert [values for values in seen.values.values() if len(values) > 1] == []
    if form == "gathered":  # in the same order on every pass, as far as that gets
        for earlier, later in pairwise(seen_again.orders):
            shared = min(len(earlier), len(later))
            assert later[:shared] == earlier[:shared]


@given(value=JSON_VALUES)
def test_a_value_comes_back_from_storage_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


def outcome(form: str, program: Any, *, crashes: list[str]) -> tuple[Any, Seen]:
    """Execute a program; return how its run ended with its steps' results, and what code saw."""
    seen = Seen()
    with transaction.atomic(), running_workflows() as kit:
        declare_program(form, program, seen)
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
    return (run.status, run.output, steps, told), seen


def declare_program(form: str, program: Any, seen: Seen) -> None:
    """Declare the workflow that a program describes, and one that its events start."""

    async def code(event: Event[Any], step: Any) -> Any:
        return await Performance(form, step, seen).perform_all(program, ())

    async def told(event: Event[Any], step: Any) -> None:
        return None

    declare("sync" if form == "sync" else "async", code, id="program", retries=0)
    declare("sync", told, id="told", trigger="told")


class Performance:
    """One pass of a program.

    In the form "gathered" its branches are tasks, which share the ids of their steps; else they are
    branches of `step.parallel`.
    """

    def __init__(self, form: str, step: Any, seen: Seen) -> None:
        self._form = form
        self._step = step
        self._seen = seen
        self._order: list[str] = []
        seen.orders.append(self._order)

    async def perform_all(self, parts: Any, place: tuple[int, ...]) -> list[Any]:
        """Do parts one after another."""
        return [await self._perform(part, (*place, number)) for number, part in enumerate(parts)]

    async def _perform(self, part: Any, place: tuple[int, ...]) -> Any:
        if isinstance(part, list):
            branches = [partial(self.perform_all, each, (*place, n)) for n, each in enumerate(part)]
            return await self._side_by_side(branches)
        name = ".".join(map(str, place))
        given = repr(await STEPS[part](f"{part}-{place[-1] % 2}", name, self._step))
        self._seen.values[name].add(given)
        self._order.append(name)
        return given

    async def _side_by_side(self, branches: Sequence[Branch]) -> list[Any]:
        if self._form == "gathered":
            return await asyncio.gather(*(branch() for branch in branches))
        return list(await self._step.parallel(*branches))


def pair(place: str) -> Any:
    """Return what storage changes: on the first pass, too, it is as it will come back."""
    return (place, {"n": 1.5})


def number_of(place: str) -> Decimal:
    """Return what only the annotation brings back."""
    return Decimal("1.10") + len(place)


async def failing(id_: str, place: str, step: Any) -> str:
    def body() -> None:
        raise ValueError(place)

    try:
        await step.run(id_, body)
    except StepError as error:
        return error.message
    return "no error"


async def sending(id_: str, place: str, step: Any) -> int:
    return len(await step.send_event(id_, Event(name="told", data={"place": place})))


STEPS: dict[str, Any] = {
    "run": lambda id_, place, step: step.run(id_, pair, place),
    "transaction": lambda id_, place, step: step.transaction(id_, number_of, place),
    "sleep": lambda id_, place, step: step.sleep(id_, "10s"),
    "fail": failing,
    "send": sending,
}
