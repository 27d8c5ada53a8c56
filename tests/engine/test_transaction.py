"""`step.transaction`: a body's writes and its stored result, in one transaction."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from tests.support.forms import CRASH_POINTS, both_forms, declare
from tests.support.journal import Journal
from workflows import Event, StepError
from workflows.testing import Workflows


def create_group(name: str) -> Group:
    return Group.objects.create(name=name)


def made() -> list[str]:
    return list(Group.objects.filter(name__startswith="made").values_list("name", flat=True))


@pytest.mark.parametrize("database", ["db", "transactional_db"])
@pytest.mark.parametrize("point", CRASH_POINTS)
@both_forms
def test_its_effects_happen_exactly_once_at_every_crash(
    request: pytest.FixtureRequest, form: str, point: str, database: str
) -> None:
    request.getfixturevalue(database)
    workflows: Workflows = request.getfixturevalue("workflows")

    async def code(event: Event[Any], step: Any) -> Any:
        group = await step.transaction("create", create_group, name="once")
        await step.run("next", lambda: None)
        return group.name

    declare(form, code, retries=0)
    workflows.crash_at(point)
    workflows.send("go")
    workflows.advance("31s")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", "once")
    assert Group.objects.filter(name="once").count() == 1


@both_forms
def test_a_failing_body_leaves_no_writes_and_is_tried_again(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    def body() -> int:
        Group.objects.create(name=f"made {len(journal)}")
        journal.note("try")
        if len(journal) == 1:
            raise ValueError("once")
        return 7

    async def code(event: Event[Any], step: Any) -> Any:
        return await step.transaction("a", body)

    declare(form, code)
    workflows.send("go")
    workflows.advance("1m")

    [run] = workflows.runs()
    assert (run.status, run.output, run.steps[0].attempts) == ("completed", 7, 2)
    assert made() == ["made 1"]


@both_forms
def test_a_result_that_cannot_be_stored_takes_the_writes_along(
    workflows: Workflows, form: str
) -> None:
    def body() -> object:
        Group.objects.create(name="made")
        return object()

    async def code(event: Event[Any], step: Any) -> Any:
        await step.transaction("a", body)

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "StepResultNotStorable")
    assert "'a'" in run.error["message"]
    assert "object" in run.error["message"]
    assert made() == []


@both_forms
def test_it_takes_no_coroutine_function(workflows: Workflows, form: str) -> None:
    async def body() -> None:
        return None

    async def code(event: Event[Any], step: Any) -> str:
        try:
            await step.transaction("a", body)
        except StepError as error:
            return error.name
        return "no error"

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].output == "NonRetriableError"


@pytest.mark.django_db(transaction=True)
@both_forms
def test_an_error_after_the_commit_undoes_nothing(workflows: Workflows, form: str) -> None:
    journal = Journal()

    def body() -> int:
        Group.objects.create(name="made")
        transaction.on_commit(lambda: journal.fail("after", ValueError("too late")))
        return 7

    async def code(event: Event[Any], step: Any) -> Any:
        value = await step.transaction("a", body)
        await step.sleep("nap", "1m")
        return [value, await step.run("b", lambda: 8)]

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.advance("1m")

    assert (workflows.runs()[0].output, journal) == ([7, 8], ["after"])
    assert made() == ["made"]


def test_a_step_inside_the_workflows_own_transaction_is_refused(workflows: Workflows) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        with transaction.atomic():
            await step.run("a", journal.note, "a")

    declare("sync", code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], journal) == ("failed", "WorkflowsError", [])
    assert "atomic" in run.error["message"]


def test_branches_inside_the_workflows_own_transaction_are_refused(workflows: Workflows) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        async def branch() -> None:
            await step.run("a", journal.note, "a")

        with transaction.atomic():
            await step.parallel(branch)

    declare("sync", code)
    workflows.send("go")
    workflows.drain()

    assert (workflows.runs()[0].status, journal) == ("failed", [])
