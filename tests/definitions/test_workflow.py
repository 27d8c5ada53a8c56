"""The decorator: what it makes, what it refuses with which words, and what is stored of it."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest

from workflows.definitions.events import Event, EventData
from workflows.definitions.flow_control import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from workflows.definitions.registry import isolated_registry, registry
from workflows.definitions.triggers import Cron, EventTrigger
from workflows.definitions.workflow import Workflow, workflow
from workflows.errors import InvalidWorkflow


class Placed(EventData, name="test.workflow.placed"):
    """An order exists."""

    order_id: str


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    with isolated_registry():
        yield


def ship(event: Any, step: Any) -> dict[str, int]:
    return {"shipped": event.data["n"]}


def compensate(event: Any, error: Any, step: Any) -> None:
    pass


def refusal(function: Any = ship, **arguments: Any) -> str:
    """The message with which a declaration is refused."""
    before = registry.ids()
    with pytest.raises(InvalidWorkflow) as caught:
        workflow(**{"id": "ship", **arguments})(function)
    assert registry.ids() == before
    return str(caught.value)


def test_the_shortest_declaration_has_these_defaults() -> None:
    declared = workflow(id="ship")(ship)

    assert isinstance(declared, Workflow)
    assert (declared.id, declared.name, declared.queue) == ("ship", "ship", "default")
    assert (declared.retries, declared.max_attempts) == (4, 5)
    assert (declared.triggers, declared.concurrency, declared.cancel_on) == ((), (), ())
    assert (declared.is_async, declared.failure_workflow, declared.failure_of) == (
        False,
        None,
        None,
    )
    assert declared.output_type == dict[str, int]
    assert declared.place == f"{__name__}.ship"


def test_a_workflow_is_called_as_its_function() -> None:
    declared = workflow(id="ship")(ship)

    assert declared(Event("x", {"n": 3}), None) == {"shipped": 3}


def test_a_workflow_is_registered() -> None:
    declared = workflow(id="ship")(ship)

    assert registry.get("ship") is declared


def test_a_workflow_cannot_be_changed_and_has_slots() -> None:
    declared = workflow(id="ship")(ship)

    with pytest.raises(FrozenInstanceError):
        declared.retries = 7  # type: ignore[misc]
    assert not hasattr(declared, "__dict__")


def test_an_async_function_is_known_as_one() -> None:
    @workflow(id="async")
    async def declared(event: Any, step: Any) -> int:
        return 7

    assert (declared.is_async, declared.output_type) == (True, int)
    coroutine = declared(None, None)
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


def test_every_argument_is_normalised() -> None:
    declared = workflow(
        id="ship",
        trigger=[Placed, Cron("0 9 * * *")],
        name="Ship an order",
        queue="cpu",
        tags={"order": "event.data.orderId", "a": "event.name"},
        retries=0,
        concurrency=Concurrency(limit=5),
        throttle=Throttle(1, "1m"),
        rate_limit=RateLimit(1, "1m"),
        debounce=Debounce("5s"),
        priority=Priority("event.data.vip ? 120 : 0"),
        singleton=Singleton(),
        idempotency="event.data.orderId",
        cancel_on=[CancelOn(Placed, match="data.orderId")],
        timeouts=Timeouts(finish="1h"),
    )(ship)

    assert declared.name == "Ship an order"
    assert declared.triggers == (EventTrigger("test.workflow.placed"), Cron("0 9 * * *"))
    assert list(declared.tags) == ["a", "order"]
    assert declared.max_attempts == 1
    assert declared.concurrency == (Concurrency(5),)
    assert declared.throttle == Throttle(1, timedelta(minutes=1))
    assert declared.idempotency == Idempotency("event.data.orderId", timedelta(days=1))
    assert declared.cancel_on == (CancelOn("test.workflow.placed", match="data.orderId"),)
    assert declared.timeouts == Timeouts(finish=timedelta(hours=1))


def test_a_batch_workflow_takes_a_list_of_events() -> None:
    @workflow(id="gather", batch=Batch(10, "1s"))
    def declared(events: Any, step: Any) -> None:
        pass

    assert declared.batch == Batch(10, timedelta(seconds=1))


def test_on_failure_makes_a_workflow_of_its_own() -> None:
    tags = {"order": "event.data.orderId"}
    declared = workflow(id="ship", queue="cpu", tags=tags, retries=0, on_failure=compensate)(ship)

    handler = registry.get("ship/on-failure")

    assert declared.failure_workflow is handler
    assert (handler.function, handler.failure_of, handler.triggers) == (compensate, "ship", ())
    assert (handler.queue, handler.tags, handler.retries) == ("cpu", tags, 4)


def test_a_workflow_that_fails_may_share_its_handler_with_another() -> None:
    workflow(id="a", on_failure=compensate)(ship)
    workflow(id="b", on_failure=compensate)(lambda event, step: None)

    assert registry.ids() == ["a", "a/on-failure", "b", "b/on-failure"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"id": ""}, "id: write 1 to 200 printable characters"),
        ({"id": " a"}, "id: "),
        ({"id": "a\0b"}, "id: "),
        ({"id": "x" * 201}, "id: "),
        ({"id": 7}, "id: "),
        ({"name": ""}, "name: "),
        ({"trigger": "a*"}, "trigger: 'a*' is no pattern"),
        ({"trigger": EventTrigger("a", if_="evnt")}, "trigger: if_: The expression 'evnt'"),
        ({"trigger": Cron("0 9")}, "trigger: '0 9' is no cron line"),
        ({"trigger": Cron("0 9 * * *", tz="Mars")}, "trigger: 'Mars' is no time zone"),
        ({"queue": "a b"}, "queue: write letters"),
        ({"tags": ["a"]}, 'tags: write {"name": "expression"}'),
        ({"tags": {f"t{n}": "1" for n in range(6)}}, "tags: 6 are too many: 5 are allowed"),
        ({"tags": {"a:b": "1"}}, "tags: the name 'a:b'"),
        ({"tags": {"a": "1 +"}}, "tags: a: The expression '1 +'"),
        ({"retries": 21}, "retries: write a whole number from 0 to 20, not 21"),
        ({"retries": -1}, "retries: "),
        ({"retries": True}, "retries: "),
        ({"retries": "3"}, "retries: "),
        ({"concurrency": 5}, "concurrency: write Concurrency(...), not 5"),
        ({"concurrency": [Concurrency(1)] * 3}, "concurrency: 3 are too many: 2 are allowed"),
        ({"concurrency": Concurrency(1, key="(")}, "concurrency: key: The expression '('"),
        ({"throttle": RateLimit(1, "1m")}, "throttle: write Throttle(...)"),
        ({"throttle": Throttle(1, 60)}, "throttle: period: the bare number 60"),  # type: ignore[arg-type]
        ({"rate_limit": RateLimit(0, "1m")}, "rate_limit: limit must be"),
        ({"debounce": Debounce("0s")}, "debounce: period: "),
        ({"priority": "1"}, "priority: write Priority(...)"),
        ({"priority": Priority("1 +")}, "priority: run: The expression"),
        ({"batch": Batch(0, "1s")}, "batch: max_size must be"),
        ({"singleton": Singleton(key="(")}, "singleton: key: "),
        ({"idempotency": "("}, "idempotency: key: The expression '('"),
        ({"idempotency": 7}, "idempotency: write Idempotency(...)"),
        ({"cancel_on": "order.cancelled"}, "cancel_on: write CancelOn(...)"),
        ({"cancel_on": [CancelOn("a")] * 6}, "cancel_on: 6 are too many: 5 are allowed"),
        ({"cancel_on": CancelOn("a", match="x")}, "cancel_on: 'x' is no path for match"),
        ({"timeouts": Timeouts(start=5)}, "timeouts: start: the bare number"),  # type: ignore[arg-type]
        ({"on_failure": ship}, "on_failure: it must take (event, error, step)"),
        ({"on_failure": 7}, "on_failure: 7 is no function"),
        ({"on_failure": compensate, "id": "x" * 195}, "on_failure: write 1 to 200"),
        ({"retires": 3}, "there is no argument 'retires'; did you mean 'retries'?"),
        ({"onfailure": compensate}, "there is no argument 'onfailure'; did you mean 'on_failure'?"),
    ],
)
def test_a_wrong_argument_is_refused_naming_it_and_the_workflow(
    arguments: dict[str, Any], fault: str
) -> None:
    message = refusal(**arguments)

    id = arguments.get("id", "ship")  # noqa: A001
    assert message.startswith(f"Workflow {id!r} ({__name__}.ship): {fault}")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("debounce", Debounce("1s")),
        ("singleton", Singleton()),
        ("priority", Priority("1")),
        ("cancel_on", CancelOn("a")),
    ],
)
def test_batch_goes_not_together_with(argument: str, value: Any) -> None:
    message = refusal(batch=Batch(10, "1s"), **{argument: value})

    assert message == (
        f"Workflow 'ship' ({__name__}.ship): batch cannot go together with {argument}."
    )


def test_batch_goes_together_with_limits() -> None:
    workflow(
        id="ship",
        batch=Batch(10, "1s"),
        concurrency=Concurrency(1),
        throttle=Throttle(1, "1s"),
        rate_limit=RateLimit(1, "1s"),
        idempotency="event.id",
    )(ship)


@pytest.mark.parametrize("function", [lambda event: None, lambda: None, 7, None])
def test_a_wrong_function_is_refused(function: Any) -> None:
    assert "'ship'" in refusal(function)
    assert "function: " in refusal(function)


def test_two_workflows_with_one_id_are_refused_naming_both() -> None:
    workflow(id="twice")(ship)

    message = refusal(compensate_again, id="twice")

    assert f"Workflow 'twice' ({__name__}.compensate_again): id: " in message
    assert f"{__name__}.ship" in message


def compensate_again(event: Any, step: Any) -> None:
    pass


def test_everything_that_routing_needs_is_declared() -> None:
    declared = workflow(
        id="ship",
        trigger=EventTrigger("shop/*", if_="event.data.x > 3"),
        tags={"b": "2", "a": "1"},
        concurrency=Concurrency(5),
        idempotency="event.data.orderId",
        cancel_on=CancelOn("stop", match="data.id"),
        on_failure=compensate,
    )(ship)

    assert declared.declaration() == {
        "batch": None,
        "cancel_on": [
            {
                "event": "stop",
                "if": "event.data.id == async.data.id && event.data.id != null",
                "timeout_ms": None,
            }
        ],
        "concurrency": [
            {"limit": 5, "key": None, "scope": "workflow", "counts": "executing"},
        ],
        "debounce": None,
        "failure_of": None,
        "failure_workflow": "ship/on-failure",
        "id": "ship",
        "idempotency": {"key": "event.data.orderId", "period_ms": 86_400_000},
        "name": "ship",
        "priority": None,
        "queue": "default",
        "rate_limit": None,
        "retries": 4,
        "singleton": None,
        "tags": {"a": "1", "b": "2"},
        "throttle": None,
        "timeouts": None,
        "triggers": [{"kind": "event", "event": "shop/*", "if": "event.data.x > 3"}],
    }


def test_equal_declarations_are_equal_as_text() -> None:
    first = workflow(id="ship", tags={"a": "1", "b": "2"}, throttle=Throttle(1, "60s"))(ship)
    second = workflow(id="ship", tags={"b": "2", "a": "1"}, throttle=Throttle(1, "1m"))(ship)

    assert json.dumps(first.declaration()) == json.dumps(second.declaration())
