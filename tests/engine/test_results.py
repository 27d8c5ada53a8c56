"""Results: equal on the first pass and on every replay, model instances inside them too."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from pydantic import BaseModel, ConfigDict

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Event, workflow
from workflows.testing import Workflows


class Colour(Enum):
    RED = "red"


@dataclass
class Pair:
    group: Group
    number: int


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    group: Group
    others: list[Group]


def group() -> Group:
    return Group.objects.get_or_create(name="made")[0]


def one() -> Group:
    return group()


def listed() -> list[Group]:
    return [group(), group()]


def keyed() -> dict[str, Group]:
    return {"a": group()}


def paired() -> Pair:
    return Pair(group=group(), number=3)


def held() -> Holder:
    return Holder(group=group(), others=[group()])


def unannotated():  # type: ignore[no-untyped-def]
    return {"groups": [group()], "n": 1, "$model": "mine"}


def plain() -> tuple[Decimal, UUID, Colour, timedelta, set[int]]:
    return (Decimal("1.10"), UUID(int=5), Colour.RED, timedelta(hours=1), {1, 2})


@pytest.mark.parametrize("tool", ["run", "transaction"])
@pytest.mark.parametrize("body", [one, listed, keyed, paired, held, unannotated, plain])
@both_forms
def test_every_pass_sees_equal_values(
    workflows: Workflows, form: str, tool: str, body: Any
) -> None:
    seen = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        seen.note(await getattr(step, tool)("a", body))
        await step.sleep("nap", "1m")

    declare(form, code)
    workflows.send("go")
    workflows.advance("1m")

    assert workflows.runs()[0].status == "completed"
    assert seen == [body(), body()]


@pytest.mark.parametrize(
    "result",
    [{object()}, float("nan"), "a\0b", object(), (n for n in range(3))],
    ids=["set", "nan", "nul", "object", "generator"],
)
@both_forms
def test_what_cannot_be_stored_fails_its_step_at_once(
    workflows: Workflows, form: str, result: Any
) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.run("odd", lambda: result)

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "StepResultNotStorable")
    assert "odd" in run.error["message"]
    assert run.steps[0].attempts == 1


@both_forms
def test_what_is_too_large_fails_with_its_name(
    workflows: Workflows, form: str, settings: Any
) -> None:
    settings.WORKFLOWS = {**settings.WORKFLOWS, "MAX_RESULT_BYTES": 100}

    async def code(event: Event[Any], step: Any) -> str:
        if event.data["where"] == "step":
            await step.run("large", lambda: "x" * 100)
        return "x" * 100

    declare(form, code)
    for where in ("step", "output"):
        workflows.send("go", {"where": where})
    workflows.drain()

    runs = workflows.runs()
    assert [(run.status, run.error["name"]) for run in runs] == [("failed", "OutputTooLarge")] * 2
    assert "Step 'large'" in runs[0].error["message"]
    assert "MAX_RESULT_BYTES" in runs[1].error["message"]


@both_forms
def test_an_invocations_output_is_rebuilt_by_its_functions_annotation(
    workflows: Workflows, form: str
) -> None:
    seen = Journal()

    @workflow(id="callee")
    def callee(event: Event[Any], step: Any) -> Decimal:
        return Decimal("1.10")

    async def code(event: Event[Any], step: Any) -> None:
        seen.note(await step.invoke("call", callee))
        await step.sleep("nap", "1m")

    declare(form, code)
    workflows.send("go")
    workflows.advance("1m")

    assert seen == [Decimal("1.10")] * 2
