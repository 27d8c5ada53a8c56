"""What the contract says of step tools and their corners, a test a sentence."""

import asyncio
import contextlib
import dataclasses
import enum
import itertools
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from pydantic import BaseModel

from workflows import (
    Event,
    EventData,
    NonRetriableError,
    RetryAfterError,
    Step,
    StepError,
    current_run,
    send_signal,
    workflow,
)
from workflows.testing import Workflows


class Paid(EventData, name="acceptance.paid"):
    """An order is paid."""

    order_id: str


def the_run(workflows: Workflows, id_: str = "it") -> Any:
    """Return the one run of a workflow, with its steps."""
    [run] = workflows.runs(id_)
    return workflows.run(run.id)


def test_each_tool_has_its_name_as_op(workflows: Workflows) -> None:
    @workflow(id="callee")
    def callee(event: Event[Any], step: Step) -> int:
        return 1

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        step.run("a", lambda: 1)
        step.transaction("b", lambda: 2)
        step.send_event("c", Event(name="told", data={}))
        step.sleep("d", "1s")
        step.sleep_until("e", datetime(2020, 1, 1, tzinfo=UTC))
        step.wait_for_event("f", event="never", timeout="1s")
        step.wait_for_signal("g", signal="never", timeout="1s")
        step.invoke("h", callee)

    workflows.send("go")
    workflows.advance("1m")

    steps = the_run(workflows).steps
    assert [(s.id, s.op) for s in steps] == [
        ("a", "run"),
        ("b", "transaction"),
        ("c", "send_event"),
        ("d", "sleep"),
        ("e", "sleep"),
        ("f", "wait_for_event"),
        ("g", "wait_for_signal"),
        ("h", "invoke"),
    ]
    assert {(s.status, s.index, s.error) for s in steps} == {("completed", 0, None)}
    assert [s.output for s in steps][:2] == [1, 2]
    assert all(s.ended_at is not None and s.started_at is not None for s in steps)
    assert steps[0].attempts == 1


def test_the_same_id_again_is_its_next_occurrence(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> list[int]:
        found = [step.run("a", int, n) for n in range(3)]
        step.sleep("nap", "1s")
        return [*found, step.run("a", lambda: 9)]

    workflows.send("go")
    workflows.advance("1m")

    run = the_run(workflows)
    assert run.output == [0, 1, 2, 9]
    assert [(s.id, s.index) for s in run.steps if s.op == "run"] == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("a", 3),
    ]


def test_default_waits(workflows: Workflows) -> None:
    tries: list[datetime] = []

    @workflow(id="it", trigger="go", retries=11)
    def it(event: Event[Any], step: Step) -> None:
        def body() -> None:
            tries.append(workflows.now())
            raise ValueError("no")

        step.run("a", body)

    workflows.send("go")
    workflows.advance("24h")

    waits = [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 7200]
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(tries)]
    assert len(gaps) == 11
    assert all(w <= gap <= w + 30.01 for w, gap in zip(waits, gaps, strict=True))
    run = the_run(workflows)
    assert run.status == "failed"
    assert run.error["name"] == "ValueError"
    assert run.error["message"] == "no"
    assert "body" in run.error["traceback"]
    assert set(run.error) == {"name", "message", "traceback"}
    assert (run.steps[0].status, run.steps[0].attempts) == ("failed", 12)


def test_between_two_attempts_a_run_is_sleeping_and_its_step_retrying(
    workflows: Workflows,
) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        step.run("a", lambda: 1 // 0)

    workflows.send("go")
    workflows.drain()

    run = the_run(workflows)
    assert (run.status, run.attempt, run.steps[0].status) == ("sleeping", 1, "retrying")
    assert run.due_at > workflows.now()
    assert run.steps[0].error["name"] == "ZeroDivisionError"


def test_non_retriable_fails_now_and_retry_after_takes_a_duration_or_a_datetime(
    workflows: Workflows,
) -> None:
    tries: list[datetime] = []

    @workflow(id="it", trigger="go", retries=2)
    def it(event: Event[Any], step: Step) -> None:
        def body() -> None:
            tries.append(workflows.now())
            if len(tries) == 1:
                raise RetryAfterError("later", "3h")
            if len(tries) == 2:
                raise RetryAfterError("later", tries[0] + timedelta(hours=10))
            raise NonRetriableError("never")

        step.run("a", body)

    workflows.send("go")
    workflows.advance("1d")

    assert tries[1] - tries[0] == timedelta(hours=3)
    assert tries[2] - tries[0] == timedelta(hours=10)
    run = the_run(workflows)
    assert (run.error["name"], run.error["message"]) == ("NonRetriableError", "never")


def test_a_step_error_has_step_id_name_and_message(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> dict[str, str]:
        try:
            step.run("a", {"here": 1}.__getitem__, "missing")
        except StepError as error:
            return {"id": error.step_id, "name": error.name, "message": error.message}
        return {}

    workflows.send("go")
    workflows.drain()

    run = the_run(workflows)
    assert run.output == {"id": "a", "name": "KeyError", "message": "'missing'"}
    assert (run.status, run.error) == ("completed", None)


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    when: datetime


class Model(BaseModel):
    """A pydantic model."""

    id: uuid.UUID
    price: Decimal
    points: list[Point]


def test_results_are_rebuilt_by_the_return_annotation(  # noqa: C901  one function a type
    workflows: Workflows,
) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    id_ = uuid.uuid4()
    passes: list[list[Any]] = []

    def model() -> Model:
        return Model(id=id_, price=Decimal("1.10"), points=[Point(1, moment)])

    def a_tuple() -> tuple[int, str]:
        return (1, "a")

    def a_set() -> set[int]:
        return {3, 1}

    def colour() -> Colour:
        return Colour.RED

    def a_date() -> date:
        return date(2026, 1, 2)

    def delta() -> timedelta:
        return timedelta(seconds=90)

    def by_key() -> dict[int, Decimal]:
        return {1: Decimal("2.50")}

    def maybe() -> Point | None:
        return Point(2, moment)

    def untyped():  # type: ignore[no-untyped-def]
        return (1, {"a": (2, 3)})

    def data() -> Paid:
        return Paid(order_id="1")

    bodies = [
        model,
        a_tuple,
        a_set,
        colour,
        a_date,
        delta,
        by_key,
        maybe,
        untyped,
        data,
    ]

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        passes.append([step.run(body.__name__, body) for body in bodies])
        step.sleep("nap", "1s")

    workflows.send("go")
    workflows.advance("1m")

    assert the_run(workflows).status == "completed", the_run(workflows).error
    assert passes[0] == passes[1]
    assert [type(a) for a in passes[0]] == [type(b) for b in passes[1]]
    assert passes[0][0] == model()
    assert passes[0][3] is Colour.RED


def test_model_instances_may_stand_inside_lists_dicts_dataclasses_and_models(
    workflows: Workflows,
) -> None:
    passes: list[Any] = []

    @dataclasses.dataclass
    class Holder:
        group: Group
        name: str

    class Container(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        groups: list[Group]

    def one() -> Group:
        return Group.objects.get_or_create(name="one")[0]

    def many() -> list[Group]:
        return [one(), one()]

    def by_name() -> dict[str, Group]:
        return {"one": one()}

    def held() -> Holder:
        return Holder(one(), "x")

    def contained() -> Container:
        return Container(groups=[one()])

    def untyped():  # type: ignore[no-untyped-def]
        return {"a": [one()]}

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        passes.append(
            [
                step.run(body.__name__, body)
                for body in (one, many, by_name, held, contained, untyped)
            ]
        )
        step.sleep("nap", "1s")

    workflows.send("go")
    workflows.advance("1m")

    assert the_run(workflows).status == "completed", the_run(workflows).error
    assert passes[0] == passes[1]


def test_what_cannot_be_stored_fails_the_step_at_once_naming_step_and_type(
    workflows: Workflows,
) -> None:
    tries: list[int] = []

    class Odd:
        pass

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        def body() -> object:
            tries.append(1)
            return Odd()

        step.run("strange", body)

    workflows.send("go")
    workflows.advance("1h")

    run = the_run(workflows)
    assert (run.status, run.error["name"], len(tries)) == ("failed", "StepResultNotStorable", 1)
    assert "strange" in run.error["message"]
    assert "Odd" in run.error["message"]


def test_wait_takes_classes_names_and_lists_and_gives_the_event(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        got = step.wait_for_event(
            "wait",
            event=[Paid, "refused"],
            if_="async.data.orderId == event.data.orderId",
            timeout="1d",
        )
        assert isinstance(got, Event)
        assert isinstance(got.data, Paid)
        assert got.ts is not None
        assert got.ts.tzinfo is not None
        return [got.name, got.data.order_id]

    workflows.send("go", {"orderId": "7"})
    workflows.drain()
    assert the_run(workflows).status == "waiting"
    assert the_run(workflows).steps[0].status == "waiting"
    workflows.send(Paid(order_id="8"))
    workflows.send(Paid(order_id="7"))
    workflows.drain()

    assert the_run(workflows).output == ["acceptance.paid", "7"]


def test_match_of_a_missing_path_matches_nothing(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        got = step.wait_for_event("wait", event="paid", match="data.orderId", timeout="1h")
        return got is None

    workflows.send("go", {})
    workflows.drain()
    workflows.send("paid", {})
    workflows.send("paid", {"orderId": None})
    workflows.advance("2h")

    assert the_run(workflows).output is True


def test_a_wait_s_timeout_is_required(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Any) -> Any:
        step.wait_for_event("wait", event="paid")

    workflows.send("go")
    workflows.drain()

    run = the_run(workflows)
    assert run.status == "failed"
    assert "timeout" in run.error["message"]


@pytest.mark.parametrize("lookback", [True, False])
def test_look_back_counts_what_came_after_the_run_s_own_event(
    workflows: Workflows, lookback: bool
) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        step.sleep("nap", "1m")
        got = step.wait_for_event("wait", event="paid", timeout="1h", lookback=lookback)
        return got and got.data["n"]

    workflows.send("paid", {"n": 0})
    workflows.send("go")
    workflows.send("paid", {"n": 1})
    workflows.send("paid", {"n": 2})
    workflows.advance("2h")

    assert the_run(workflows).output == (1 if lookback else None)


def test_one_event_ends_at_most_one_wait_of_a_run(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        first = step.wait_for_event("wait", event="paid", timeout="1h")
        second = step.wait_for_event("wait", event="paid", timeout="1h")
        return [first and first.data["n"], second and second.data["n"]]

    workflows.send("go")
    workflows.send("paid", {"n": 1})
    workflows.drain()
    assert the_run(workflows).status == "waiting"
    workflows.send("paid", {"n": 2})
    workflows.drain()

    assert the_run(workflows).output == [1, 2]


def test_the_run_s_own_event_does_not_end_its_wait(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return step.wait_for_event("wait", event="go", timeout="1h") is None

    workflows.send("go")
    workflows.advance("61m")

    assert the_run(workflows).output is True


def test_a_bad_expression_fails_the_wait_at_once(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        try:
            step.wait_for_event("wait", event="paid", if_="async.data. ==", timeout="1h")
        except StepError as error:
            return error.step_id

    workflows.send("go")
    workflows.drain()

    assert the_run(workflows).output == "wait"


def test_signals(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return step.wait_for_signal("wait", signal="approve/1", timeout="1h")

    assert send_signal("approve/1", {"ok": True}) is False
    workflows.send("go")
    workflows.drain()
    first = the_run(workflows)
    assert send_signal("approve/1", {"ok": True}) is True
    assert send_signal("approve/1", {"ok": False}) is False
    workflows.drain()

    assert first.status == "waiting"
    assert the_run(workflows).output == {"ok": True}


def test_a_second_waiter_for_a_signal_fails_with_signal_taken(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> Any:
        return step.wait_for_signal("wait", signal="s", timeout="1h")

    workflows.send("go")
    workflows.send("go")
    workflows.advance("2h")

    first, second = workflows.runs("it")
    assert (first.status, first.output) == ("completed", None)
    assert (second.status, second.error["name"]) == ("failed", "SignalTaken")


def test_invoke_gives_the_output_rebuilt_by_its_annotation(workflows: Workflows) -> None:
    @workflow(id="callee")
    def callee(event: Event[Any], step: Step) -> Point:
        step.sleep("nap", "1s")
        return Point(event.data["x"], datetime(2026, 1, 1, tzinfo=UTC))

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        by_object = step.invoke("one", callee, {"x": 1})
        by_id = step.invoke("two", "callee", data={"x": 2}, timeout="1h")
        assert isinstance(by_object, Point)
        assert isinstance(by_id, Point)
        return by_object.x + by_id.x

    workflows.send("go")
    workflows.advance("1m")

    run = the_run(workflows)
    assert run.output == 3, run.error
    one, two = workflows.runs(callee)
    assert (one.parent, two.parent) == (run.id, run.id)


@pytest.mark.parametrize("case", ["error", "timeout", "cancelled", "unknown", "skipped"])
def test_invoke_raises_step_error_named_after_what_happened(  # noqa: C901  five cases
    workflows: Workflows, case: str
) -> None:
    @workflow(id="callee", retries=0, idempotency="'one'" if case == "skipped" else None)
    def callee(event: Event[Any], step: Step) -> None:
        if case == "error":
            raise LookupError("nothing")
        if case != "skipped":
            step.sleep("nap", "2h")

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        try:
            if case == "skipped":
                step.invoke("first", callee)
            step.invoke("call", callee if case != "unknown" else "nobody", timeout="1h")
        except StepError as error:
            return [error.step_id, error.name, error.message]

    workflows.send("go")
    workflows.drain()
    if case == "cancelled":
        workflows.cancel(workflows.runs("callee")[0].id)
    workflows.advance("70m")

    expected = {
        "error": "LookupError",
        "timeout": "InvokeTimeout",
        "cancelled": "RunCancelled",
        "unknown": "UnknownWorkflow",
        "skipped": "RunSkipped",
    }
    run = the_run(workflows)
    assert run.output[:2] == ["call", expected[case]], run
    if case == "timeout":
        assert workflows.runs("callee")[0].status == "sleeping"
        workflows.advance("2h")
        assert workflows.runs("callee")[0].status == "completed"
    if case == "skipped":
        assert "idempotency" in run.output[2]


def test_parallel_gives_a_tuple_in_order_and_raises_the_first_branch_s_error(
    workflows: Workflows,
) -> None:
    done: list[str] = []

    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> Any:
        def slow() -> str:
            step.sleep("nap", "1h")
            step.run("slow", done.append, "slow")
            return "s"

        def fails() -> None:
            step.run("bad", lambda: 1 // 0)

        assert step.parallel(lambda: step.run("x", lambda: 1), lambda: 2) == (1, 2)
        try:
            step.parallel(slow, fails, slow)
        except StepError as error:
            return [error.name, done]

    workflows.send("go")
    workflows.drain()
    assert the_run(workflows).status == "sleeping"
    workflows.advance("2h")

    assert the_run(workflows).output == ["ZeroDivisionError", ["slow", "slow"]]


def test_a_run_is_waiting_where_one_branch_sleeps_and_another_waits(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    async def it(event: Event[Any], step: Any) -> Any:
        await asyncio.gather(
            step.sleep("nap", "1h"),
            step.wait_for_event("wait", event="paid", timeout="2h"),
        )

    workflows.send("go")
    workflows.drain()

    run = the_run(workflows)
    assert run.status == "waiting"
    assert {s.status for s in run.steps} == {"sleeping", "waiting"}


def test_with_options(workflows: Workflows) -> None:
    tries: list[datetime] = []

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        def body() -> None:
            tries.append(workflows.now())
            raise ValueError

        step.with_options(retries=3, backoff=["1s", timedelta(minutes=1)]).run("a", body)

    workflows.send("go")
    workflows.advance("1h")

    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(tries)]
    assert gaps == [1, 60, 60]


def test_a_callable_backoff_gets_the_failed_attempts_so_far(workflows: Workflows) -> None:
    asked: list[int] = []

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        def backoff(failed: int) -> timedelta:
            asked.append(failed)
            return timedelta(seconds=failed)

        step.with_options(retries=2, backoff=backoff).run("a", lambda: 1 // 0)

    workflows.send("go")
    workflows.advance("1h")

    assert asked == [1, 2]


def test_code_after_a_caught_step_error_has_retries_of_its_own(workflows: Workflows) -> None:
    passes: list[int] = []

    @workflow(id="it", trigger="go", retries=1)
    def it(event: Event[Any], step: Step) -> str:
        try:
            step.run("a", lambda: 1 // 0)
        except StepError:
            passes.append(1)
            if len(passes) == 1:
                raise OSError("once") from None
        return "done"

    workflows.send("go")
    workflows.advance("1h")

    assert the_run(workflows).output == "done"


def test_nested_steps_fail_the_run_whatever_user_code_catches(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> str:
        def body() -> None:
            with contextlib.suppress(BaseException):
                step.run("inner", lambda: 1)

        with contextlib.suppress(Exception):
            step.run("outer", body)
        return "fine"

    workflows.send("go")
    workflows.advance("1h")

    run = the_run(workflows)
    assert (run.status, run.error["name"]) == ("failed", "NestedStepError")


def test_current_run_has_what_the_contract_lists(workflows: Workflows) -> None:
    keys: list[Any] = []

    @workflow(id="it", trigger="go", retries=1)
    def it(event: Event[Any], step: Step) -> Any:
        outside = current_run()
        assert (outside.step_id, outside.idempotency_key, outside.workflow_id) == (None, None, "it")

        def body() -> None:
            run = current_run()
            run.logger.info("said")
            keys.append((run.id, run.attempt, run.max_attempts, run.step_id, run.idempotency_key))
            assert run.cancel_requested is False
            raise ValueError

        step.run("a", body)

    workflows.send("go")
    workflows.advance("1h")

    run = the_run(workflows)
    assert [key[:4] for key in keys] == [(run.id, 0, 2, "a"), (run.id, 1, 2, "a")]
    assert keys[0][4] == keys[1][4]


def test_on_failure_is_a_durable_run_of_its_own(workflows: Workflows) -> None:
    seen: list[Any] = []

    def clean_up(event: Event[Any], error: Any, step: Step) -> str:
        seen.append(
            (event.name, event.data, error.name, error.message, "LookupError" in error.traceback)
        )
        return step.run("clean", lambda: "cleaned")

    @workflow(id="it", trigger="go", retries=0, on_failure=clean_up)
    def it(event: Event[Any], step: Step) -> None:
        if event.data["fail"]:
            raise LookupError("gone")
        step.sleep("nap", "1h")

    workflows.send("go", {"fail": True})
    workflows.send("go", {"fail": False})
    workflows.drain()
    workflows.cancel(workflows.runs("it")[1].id)
    workflows.drain()

    assert seen[0] == ("go", {"fail": True}, "LookupError", "gone", True)
    [run] = workflows.runs("it/on-failure")
    assert (run.status, run.output) == ("completed", "cleaned")


def test_system_events(workflows: Workflows) -> None:
    seen: list[Any] = []

    @workflow(
        id="watch",
        trigger=["workflows/run.finished", "workflows/run.failed", "workflows/run.cancelled"],
    )
    def watch(event: Event[Any], step: Step) -> None:
        seen.append((event.name, event.data))

    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> Any:
        if event.data["how"] == "fails":
            raise LookupError("gone")
        if event.data["how"] == "sleeps":
            step.sleep("nap", "1h")
        return {"fine": 1}

    for how in ("completes", "fails", "sleeps"):
        workflows.send("go", {"how": how})
    workflows.drain()
    runs = workflows.runs("it")
    workflows.cancel(runs[2].id)
    workflows.drain()

    finished = {data["runId"]: data for name, data in seen if name == "workflows/run.finished"}
    assert set(finished) == {run.id for run in runs}
    assert all(
        set(data) == {"runId", "workflow", "status", "output", "error", "event"}
        for data in finished.values()
    )
    assert finished[runs[0].id]["output"] == {"fine": 1}
    assert finished[runs[0].id]["event"]["data"] == {"how": "completes"}
    assert finished[runs[1].id]["error"]["name"] == "LookupError"
    assert [d["runId"] for n, d in seen if n == "workflows/run.failed"] == [runs[1].id]
    assert [d["runId"] for n, d in seen if n == "workflows/run.cancelled"] == [runs[2].id]


def test_a_wait_may_be_for_a_system_event(workflows: Workflows) -> None:
    @workflow(id="other", trigger="other")
    def other(event: Event[Any], step: Step) -> int:
        return 5

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        got = step.wait_for_event(
            "wait",
            event="workflows/run.finished",
            if_="async.data.workflow == 'other'",
            timeout="1h",
        )
        return got and got.data["output"]

    workflows.send("go")
    workflows.drain()
    workflows.send("other")
    workflows.drain()

    assert the_run(workflows).output == 5


def test_a_transaction_takes_no_coroutine_function(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go", retries=0)
    async def it(event: Event[Any], step: Any) -> Any:
        async def body() -> None: ...

        await step.transaction("a", body)

    workflows.send("go")
    workflows.drain()

    run = the_run(workflows)
    assert run.status == "failed"
    assert "coroutine" in run.error["message"]
    assert "a" in run.error["message"]


def test_a_third_kind_of_async_body_is_awaited_in_a_sync_workflow(workflows: Workflows) -> None:
    async def body(n: int, *, more: int = 0) -> int:
        await asyncio.sleep(0)
        return n + more

    @workflow(id="it", trigger="go")
    async def it(event: Event[Any], step: Any) -> Any:
        first, second = await asyncio.gather(
            step.run("parallel-1", body, 1), step.run("parallel-2", body, 2, more=1)
        )
        return [first, second]

    workflows.send("go")
    workflows.drain()

    assert the_run(workflows).output == [1, 3]


def test_send_event_gives_the_ids_and_sends_exactly_once(workflows: Workflows) -> None:
    got: list[Any] = []

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        ids = step.send_event("emit", [Paid(order_id="1"), Event(name="told", data={}, id="own")])
        step.sleep("nap", "1s")
        return ids

    @workflow(id="hears", trigger=[Paid, "told"])
    def hears(event: Event[Any], step: Step) -> None:
        got.append(event.id)

    workflows.crash_at("after_body")
    workflows.crash_at("after_store")
    workflows.send("go")
    workflows.advance("1h")

    run = the_run(workflows)
    assert run.status == "completed"
    assert got == run.output == run.steps[0].output


def test_send_event_refuses_a_reserved_name(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        step.send_event("emit", Event(name="workflows/mine", data={}))

    workflows.send("go")
    workflows.drain()

    run = the_run(workflows)
    assert (run.status, run.error["name"]) == ("failed", "InvalidEvent")


def test_a_result_larger_than_allowed_and_more_steps_than_allowed_fail_the_run(
    workflows: Workflows, settings: Any
) -> None:
    settings.WORKFLOWS = {"MAX_STEPS": 5, "MAX_RESULT_BYTES": 1000}

    @workflow(id="big", trigger="go", retries=0)
    def big(event: Event[Any], step: Step) -> Any:
        step.run("big", lambda: "x" * 1001)

    @workflow(id="many", trigger="go", retries=0)
    def many(event: Event[Any], step: Step) -> Any:
        for _ in range(6):
            step.run("one", lambda: 1)

    workflows.send("go")
    workflows.drain()

    assert the_run(workflows, "big").status == "failed"
    assert "big" in the_run(workflows, "big").error["message"]
    run = the_run(workflows, "many")
    assert (run.status, len(run.steps)) == ("failed", 5)
    assert "MAX_STEPS" in run.error["message"]
