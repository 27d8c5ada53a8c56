"""`step.run`: done once, given back, tried again, failed for good."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.forms import CRASH_POINTS, both_forms, declare
from tests.support.journal import Journal
from workflows import Event, NonRetriableError, RetryAfterError, StepError
from workflows.testing import Workflows


@both_forms
def test_a_result_is_given_back_and_the_body_does_not_run_again(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        first = await step.run("a", journal.note, "a", returns=1)
        await step.sleep("nap", "1h")
        again = await step.run("a", journal.note, "a again", returns=2)
        return [first, again]

    declare(form, code)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output, journal) == ("completed", [1, 2], ["a", "a again"])
    assert [(one.id, one.index, one.op, one.status, one.attempts) for one in run.steps] == [
        ("a", 0, "run", "completed", 1),
        ("nap", 0, "sleep", "completed", 0),
        ("a", 1, "run", "completed", 1),
    ]


@both_forms
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_repeats_only_a_body_whose_result_was_not_stored(
    workflows: Workflows, form: str, point: str
) -> None:
    journal = Journal()

    async def coroutine_body() -> None:
        journal.note("b")

    async def code(event: Event[Any], step: Any) -> int:
        await step.run("a", journal.note, "a")
        await step.run("b", coroutine_body)
        return 1

    declare(form, code, retries=0)
    workflows.crash_at(point)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "running"
    workflows.advance("31s")

    [run] = workflows.runs()
    assert (run.status, run.output, run.attempt) == ("completed", 1, 0)
    assert journal == (["a", "a", "b"] if point == "after_body" else ["a", "b"])
    assert [step.attempts for step in run.steps] == [1, 1]


@both_forms
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_uses_up_no_attempt_and_repeats_no_failure_that_was_stored(
    workflows: Workflows, form: str, point: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        await step.with_options(backoff="1m").run("a", journal.fail, "try", ValueError("no"))

    declare(form, code, retries=1)
    workflows.crash_at(point)
    workflows.send("go")
    workflows.advance("10m")

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.attempt) == ("failed", "ValueError", 2)
    assert (run.steps[0].attempts, len(journal)) == (2, 2)


@both_forms
def test_a_run_that_kills_its_workers_ends_as_failed(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", lambda: None)

    declare(form, code)
    workflows.crash_at("before_body", times=100)
    workflows.send("go")
    for _ in range(10):
        workflows.advance("31s")

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.attempt) == ("failed", "WorkerLost", 0)


@both_forms
@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("odd")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_body_raises_is_its_failure(
    workflows: Workflows, form: str, error: BaseException
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        try:
            await step.run("a", journal.fail, "try", error)
        except StepError as failed:
            return f"{failed.step_id} {failed.name}"
        return "no error"

    declare(form, code, retries=1)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", f"a {type(error).__name__}")
    assert journal == ["try", "try"]


@both_forms
@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_whatever_the_code_between_steps_raises_is_a_failed_attempt(
    workflows: Workflows, form: str, error: BaseException
) -> None:
    def raise_it() -> None:
        raise error

    async def code(event: Event[Any], step: Any) -> None:
        raise_it()

    if form == "async" and isinstance(error, KeyboardInterrupt):
        pytest.skip("asyncio itself stops its loop for that")
    declare(form, code, retries=0)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", type(error).__name__)


@both_forms
def test_the_last_attempt_is_followed_by_a_step_error_that_can_be_caught(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        try:
            await step.run("charge", journal.fail, "charge", ValueError("declined"))
        except StepError as error:
            await step.sleep("pause", "1m")
            return [error.step_id, error.name, error.message, await step.run("undo", lambda: 7)]

    declare(form, code, retries=1)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", ["charge", "ValueError", "declined", 7])
    assert journal == ["charge", "charge"]
    assert run.steps[0].status == "failed"
    assert "ValueError: declined" in run.steps[0].error["traceback"]


@both_forms
def test_an_uncaught_step_error_shows_the_original_error(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.run("charge", Journal().fail, "charge", ValueError("declined"))

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.error["message"]) == (
        "failed",
        "ValueError",
        "declined",
    )


@both_forms
def test_code_after_a_caught_step_error_has_retries_of_its_own(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        try:
            await step.with_options(retries=0).run("a", journal.fail, "body", ValueError("no"))
        except StepError:
            journal.note("code")
            if journal.count("code") < 3:
                raise RuntimeError("between") from None
        return "done"

    declare(form, code, retries=2)
    workflows.send("go")
    workflows.drain()
    assert (workflows.runs()[0].status, workflows.runs()[0].attempt) == ("sleeping", 1)
    workflows.advance("10m")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", "done")
    assert journal == ["body", "code", "code", "code"]


@both_forms
def test_attempts_of_code_begin_anew_once_a_further_step_has_ended(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        journal.note("first")
        if journal.count("first") == 1:
            raise RuntimeError("first")
        await step.run("a", journal.note, "a")
        journal.note("second")
        if journal.count("second") == 1:
            raise RuntimeError("second")
        return "done"

    declare(form, code, retries=1)
    workflows.send("go")
    workflows.advance("10m")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", "done")
    assert journal == ["first", "first", "a", "second", "first", "second"]


@both_forms
def test_the_default_waits_grow_and_are_spread(workflows: Workflows, form: str) -> None:
    tries: list[datetime] = []

    def body() -> None:
        tries.append(workflows.now())
        raise ValueError("always")

    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", body)

    declare(form, code)
    workflows.send("go")
    workflows.advance("1h")

    waits = [(tries[n + 1] - tries[n]).total_seconds() for n in range(len(tries) - 1)]
    assert len(waits) == 4
    assert all(
        least <= wait <= least + 30 for wait, least in zip(waits, (15, 30, 60, 120), strict=True)
    )


@both_forms
@pytest.mark.parametrize("after", ["2h", timedelta(hours=2), "moment"], ids=str)
def test_retry_after_decides_when(workflows: Workflows, form: str, after: Any) -> None:
    tries: list[datetime] = []
    moment = workflows.now() + timedelta(hours=2)

    def body() -> None:
        tries.append(workflows.now())
        if len(tries) == 1:
            raise RetryAfterError("busy", moment if after == "moment" else after)

    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", body)

    declare(form, code)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].due_at == moment
    workflows.advance("2h")

    assert tries[1] == moment
    assert workflows.runs()[0].status == "completed"


@both_forms
@pytest.mark.parametrize("after", [5, "soon", datetime(2030, 1, 1)], ids=str)  # noqa: DTZ001
def test_a_retry_after_that_says_no_time_fails_the_step(
    workflows: Workflows, form: str, after: Any
) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", Journal().fail, "a", RetryAfterError("busy", after))

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.steps[0].attempts) == (
        "failed",
        "InvalidDuration",
        1,
    )


@both_forms
def test_a_non_retriable_error_fails_at_once(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", Journal().fail, "a", NonRetriableError("no use"))

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["message"], run.steps[0].attempts) == ("failed", "no use", 1)


@both_forms
@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("10s", [10, 10, 10]),
        (["10s", timedelta(seconds=20)], [10, 20, 20]),
        (lambda failed: timedelta(minutes=failed), [60, 120, 180]),
    ],
    ids=["duration", "list", "callable"],
)
def test_a_steps_own_backoff(
    workflows: Workflows, form: str, backoff: Any, expected: list[int]
) -> None:
    tries: list[datetime] = []

    def body() -> None:
        tries.append(workflows.now())
        raise ValueError("always")

    async def code(event: Event[Any], step: Any) -> None:
        await step.with_options(retries=3, backoff=backoff).run("a", body)

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.advance("1h")

    waits = [(tries[n + 1] - tries[n]).total_seconds() for n in range(len(tries) - 1)]
    assert waits == expected
    assert workflows.runs()[0].status == "failed"


@both_forms
def test_a_backoff_that_raises_fails_the_step_with_its_error(
    workflows: Workflows, form: str
) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        stepping = step.with_options(backoff=lambda failed: timedelta(1 / 0))
        await stepping.run("a", Journal().fail, "a", ValueError("no"))

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "ZeroDivisionError")


@both_forms
@pytest.mark.parametrize(
    "options", [{"retries": 21}, {"retries": -1}, {"timeout": 5}, {"backoff": []}], ids=str
)
def test_wrong_options_fail_the_run_at_once(
    workflows: Workflows, form: str, options: dict[str, Any]
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        await step.with_options(**options).run("a", journal.note, "a")

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert (workflows.runs()[0].status, journal) == ("failed", [])


@both_forms
def test_options_are_inherited_and_the_first_step_keeps_its_own(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        patient = step.with_options(backoff="1s").with_options(retries=1)
        for stepping, name in ((patient, "patient"), (step, "plain")):
            try:
                await stepping.run(name, journal.fail, name, ValueError("no"))
            except StepError:
                journal.note("caught")

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.advance("1s")

    assert workflows.runs()[0].status == "completed"
    assert journal.count("patient") == 2
    assert journal.count("plain") == 1


@both_forms
def test_a_nested_step_fails_the_run_and_nothing_is_done_after_it(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        def body() -> str:
            inner = step.run("inner", journal.note, "inner")
            if hasattr(inner, "send"):
                inner.send(None)
            return "ran"

        try:
            await step.run("outer", body)
        except BaseException:  # noqa: BLE001  what a careless author writes
            journal.note("swallowed")
        try:
            await step.run("later", journal.note, "later")
        except BaseException:  # noqa: BLE001  as above
            return "swallowed again"
        return "done"

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "NestedStepError")
    assert "later" not in journal
    assert "inner" not in journal


@both_forms
@pytest.mark.parametrize("step_id", ["", "x" * 257, 5, None, "a\0b"], ids=repr)
def test_what_is_no_id_fails_the_run_at_once(workflows: Workflows, form: str, step_id: Any) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        await step.run(step_id, journal.note, "a")

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], journal) == ("failed", "NonRetriableError", [])


@pytest.mark.parametrize("kind", ["coroutine function", "lambda", "callable object"])
@both_forms
def test_a_body_may_be_anything_that_gives_a_coroutine(
    workflows: Workflows, form: str, kind: str
) -> None:
    async def body() -> int:
        await asyncio.sleep(0)
        return 7

    class Callable:
        async def __call__(self) -> int:
            return await body()

    bodies: dict[str, Any] = {
        "coroutine function": body,
        "lambda": lambda: body(),  # noqa: PLW0108  no coroutine function itself
        "callable object": Callable(),
    }

    async def code(event: Event[Any], step: Any) -> Any:
        return await step.run("a", bodies[kind])

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].output == 7


def test_an_aware_datetime_comes_back_as_one(workflows: Workflows) -> None:
    seen = Journal()

    def when() -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)

    async def code(event: Event[Any], step: Any) -> None:
        seen.note(await step.run("when", when))
        await step.sleep("nap", "1m")

    declare("async", code)
    workflows.send("go")
    workflows.advance("1m")

    assert seen == [datetime(2030, 1, 1, tzinfo=UTC)] * 2
