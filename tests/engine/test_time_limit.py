"""A step's timeout: a body that outlives it is interrupted, and has failed."""

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Event, StepError
from workflows.engine.time_limit import TimeLimit
from workflows.errors import LeaseLost, StepTimeout, TimeIsUp
from workflows.testing import Workflows


def work_for_ever() -> None:
    while True:
        sum(range(100))


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def swallow_everything() -> str:
    try:
        work_for_ever()
    except BaseException:  # noqa: BLE001  what a careless author writes
        return "went on"
    return "never"


async def swallow_cancellation() -> str:
    try:
        await wait_for_ever()
    except asyncio.CancelledError:
        return "went on"
    return "never"


@pytest.mark.parametrize(
    "body", [work_for_ever, wait_for_ever, swallow_everything, swallow_cancellation]
)
@both_forms
def test_a_body_that_outlives_its_timeout_has_failed(
    workflows: Workflows, form: str, body: Any
) -> None:
    async def code(event: Event[Any], step: Any) -> str:
        try:
            await step.with_options(timeout="20ms", retries=1).run("a", body)
        except StepError as error:
            return f"{error.name}: {error.message}"
        return "no error"

    declare(form, code)
    workflows.send("go")
    workflows.advance("1m")

    [run] = workflows.runs()
    assert run.output == "StepTimeout: The body was not done within 20ms."
    assert run.steps[0].attempts == 2


@both_forms
def test_a_body_that_ends_in_time_is_left_alone(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        stepping = step.with_options(timeout="1m")
        return [await stepping.run(f"a{n}", lambda: 1) for n in range(3)]

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].output == [1, 1, 1]


@both_forms
def test_a_transaction_that_outlives_its_timeout_leaves_no_writes(
    workflows: Workflows, form: str
) -> None:
    def body() -> None:
        Group.objects.create(name="made")
        work_for_ever()

    async def code(event: Event[Any], step: Any) -> None:
        await step.with_options(timeout="20ms").transaction("a", body)

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].error["name"] == "StepTimeout"
    assert not Group.objects.filter(name="made").exists()


@both_forms
def test_on_sqlite_a_transaction_has_a_third_of_the_lease(
    workflows: Workflows, form: str, settings: Any
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has one write lock")
    settings.WORKFLOWS = {**settings.WORKFLOWS, "LEASE": "90ms"}

    async def code(event: Event[Any], step: Any) -> None:
        await step.with_options(timeout="1h").transaction("a", work_for_ever)

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].error["message"] == "The body was not done within 30ms."


def test_whoever_interrupts_at_the_very_end_interrupts_nothing_else() -> None:
    outcomes = Journal()

    def body() -> int:
        return sum(range(2000))

    for microseconds in range(0, 400, 2):
        limit = TimeLimit(timedelta(microseconds=microseconds), overran=None)
        try:
            outcomes.note(limit.call(body))
        except StepTimeout:
            outcomes.note("timeout")

    for _ in range(1000):
        sum(range(100))  # an exception that was left over would be raised here
    assert len(outcomes) == 200
    assert set(outcomes) <= {1999000, "timeout"}


def test_a_body_that_heeds_nothing_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.engine.time_limit.OVERTIME", 0.02)
    is_given_up, told = threading.Event(), Journal()

    def given_up(error: StepTimeout) -> None:
        told.note(str(error))
        is_given_up.set()

    def heedless() -> None:
        while not is_given_up.is_set():
            try:
                time.sleep(0.001)
            except TimeIsUp:
                continue

    limit = TimeLimit(timedelta(milliseconds=5), overran=given_up)
    with pytest.raises(LeaseLost):
        limit.call(heedless)

    assert told == ["The body was not done within 5ms."]
