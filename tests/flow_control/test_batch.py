"""Batch: events are gathered for one run, whose function takes a list of them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflows import Batch, Concurrency, Event, Idempotency, RateLimit, Step, StepError, workflow
from workflows.testing import Workflows


def declare(batch: Batch, **options: Any) -> None:
    @workflow(id="many", trigger="go", batch=batch, **options)
    def many(events: list[Event[Any]], step: Step) -> Any:
        return [event.data.get("n") for event in events]


def outputs(workflows: Workflows) -> list[Any]:
    return [run.output for run in workflows.runs("many")]


def test_a_full_batch_starts_at_once_with_all_events_in_their_order(workflows: Workflows) -> None:
    declare(Batch(3, "1m"))
    ids = [workflows.send("go", {"n": n})[0] for n in range(3)]

    workflows.drain()

    [run] = workflows.runs("many")
    assert (run.status, run.output, run.event_ids) == ("completed", [0, 1, 2], ids)


def test_a_batch_starts_a_timeout_after_its_first_event(workflows: Workflows) -> None:
    declare(Batch(3, "1m"))
    began = workflows.now()
    workflows.send("go", {"n": 0})
    workflows.advance("40s")
    workflows.send("go", {"n": 1})
    workflows.advance("19s999ms")
    [waiting] = workflows.runs("many")
    assert waiting.status == "queued"
    assert waiting.due_at == began + timedelta(minutes=1)
    assert waiting.reason == f"gathers events until {waiting.due_at:%Y-%m-%d %H:%M:%S} UTC (batch)"
    assert len(waiting.event_ids) == 2

    workflows.advance("1ms")

    [run] = workflows.runs("many")
    assert (run.output, run.started_at, run.due_at) == (
        [0, 1],
        began + timedelta(minutes=1),
        None,
    )


def test_events_that_are_routed_together_fill_as_many_batches_as_they_can(
    workflows: Workflows,
) -> None:
    declare(Batch(2, "1m"))
    for n in range(5):
        workflows.send("go", {"n": n})
    workflows.drain()
    assert outputs(workflows) == [[0, 1], [2, 3], None]

    workflows.advance("1m")

    assert outputs(workflows) == [[0, 1], [2, 3], [4]]


def test_events_may_fill_a_batch_that_was_there_and_begin_the_next(workflows: Workflows) -> None:
    declare(Batch(3, "1m"))
    for size in (2, 3):
        for n in range(size):
            workflows.send("go", {"n": n})
        workflows.drain()

    workflows.advance("1m")

    assert outputs(workflows) == [[0, 1, 0], [1, 2]]


def test_each_value_of_the_key_has_a_batch_of_its_own(workflows: Workflows) -> None:
    declare(Batch(2, "1m", key="event.data.user"))
    for n, user in enumerate("ABAB"):
        workflows.send("go", {"n": n, "user": user})

    workflows.drain()

    assert outputs(workflows) == [[0, 2], [1, 3]]


def test_events_for_which_the_condition_is_not_true_run_singly_and_at_once(
    workflows: Workflows,
) -> None:
    declare(Batch(10, "1m", if_="event.data.n > 1"))
    workflows.send("go", {"n": 2})
    workflows.send("go", {"n": 1})
    workflows.send("go", {})
    workflows.send("go", {"n": 3})
    workflows.drain()
    assert outputs(workflows) == [None, [1], [None]]

    workflows.advance("1m")

    assert outputs(workflows) == [[2, 3], [1], [None]]


def test_each_invoker_gets_the_batchs_result(workflows: Workflows) -> None:
    declare(Batch(3, "1m"))

    @workflow(id="caller", trigger="call")
    def caller(event: Event[Any], step: Step) -> Any:
        return step.invoke("call-many", "many", {"n": event.data["n"]})

    for n in range(3):
        workflows.send("call", {"n": n})

    workflows.drain()

    assert [run.output for run in workflows.runs("caller")] == [[0, 1, 2]] * 3


def test_each_invoker_learns_that_the_batch_failed(workflows: Workflows) -> None:
    @workflow(id="many", batch=Batch(2, "1m"), retries=0)
    def many(events: list[Event[Any]], step: Step) -> None:
        raise ValueError("broken")

    @workflow(id="caller", trigger="call")
    def caller(event: Event[Any], step: Step) -> Any:
        try:
            return step.invoke("call-many", many)
        except StepError as error:
            return error.name

    for _ in range(2):
        workflows.send("call", {})

    workflows.drain()

    assert [run.output for run in workflows.runs("caller")] == ["ValueError"] * 2


def test_cancelling_a_batch_that_gathers_tells_its_invokers(workflows: Workflows) -> None:
    declare(Batch(3, "1m"))

    @workflow(id="caller", trigger="call")
    def caller(event: Event[Any], step: Step) -> Any:
        try:
            return step.invoke("call-many", "many")
        except StepError as error:
            return error.name

    for _ in range(2):
        workflows.send("call", {})
    workflows.drain()

    workflows.cancel(workflows.runs("many")[0].id)
    workflows.drain()

    assert [run.output for run in workflows.runs("caller")] == ["RunCancelled"] * 2


def test_a_batch_keeps_its_events_over_a_retry_and_over_a_crash(workflows: Workflows) -> None:
    attempts = []

    @workflow(id="many", trigger="go", batch=Batch(2, "1m"))
    def many(events: list[Event[Any]], step: Step) -> Any:
        attempts.append([event.data["n"] for event in events])
        if len(attempts) == 1:
            raise ValueError("broken once")
        return step.run("sum", sum, attempts[-1])

    workflows.crash_at("after_body")
    for n in range(2):
        workflows.send("go", {"n": n + 1})

    workflows.advance("10m")

    assert outputs(workflows) == [3]
    assert set(map(tuple, attempts)) == {(1, 2)}


def test_a_replay_has_all_events_and_one_with_other_data_that_event_alone(
    workflows: Workflows,
) -> None:
    declare(Batch(2, "1m"))
    ids = [workflows.send("go", {"n": n})[0] for n in range(2)]
    workflows.drain()
    original = workflows.runs("many")[0].id

    same = workflows.replay(original)
    edited = workflows.replay(original, data={"n": 7})
    workflows.drain()

    assert (workflows.run(same.id).output, same.event_ids) == ([0, 1], ids)
    assert workflows.run(edited.id).output == [7]


def test_a_batch_is_found_by_each_of_its_events(workflows: Workflows) -> None:
    declare(Batch(2, "1m"))
    ids = [workflows.send("go", {"n": n})[0] for n in range(2)]

    workflows.drain()

    assert [len(workflows.runs(event_id=id_)) for id_ in ids] == [1, 1]


def test_the_events_of_a_batch_do_not_end_its_own_waits(workflows: Workflows) -> None:
    @workflow(id="many", trigger="go", batch=Batch(2, "1m"))
    def many(events: list[Event[Any]], step: Step) -> Any:
        found = step.wait_for_event("next", event="go", timeout="30s")
        return None if found is None else found.data["n"]

    for n in range(2):
        workflows.send("go", {"n": n})

    workflows.advance("30s")

    assert outputs(workflows) == [None]


def test_a_batch_waits_for_a_slot_like_any_run(workflows: Workflows) -> None:
    @workflow(
        id="many",
        trigger="go",
        batch=Batch(2, "1m"),
        concurrency=Concurrency(1, counts="active"),
    )
    def many(events: list[Event[Any]], step: Step) -> Any:
        step.sleep("nap", "10s")
        return [event.data["n"] for event in events]

    for n in range(4):
        workflows.send("go", {"n": n})
    workflows.drain()
    assert [run.status for run in workflows.runs("many")] == ["sleeping", "queued"]

    workflows.advance("20s")

    assert outputs(workflows) == [[0, 1], [2, 3]]


def test_repeats_and_what_the_rate_limit_refuses_are_in_no_batch(workflows: Workflows) -> None:
    declare(Batch(3, "1m"), idempotency=Idempotency("event.data.n"), rate_limit=RateLimit(3, "1h"))
    for n in (0, 0, 1, 2, 3):
        workflows.send("go", {"n": n})

    workflows.drain()

    assert [(run.status, run.output) for run in workflows.runs("many")] == [
        ("completed", [0, 1, 2]),
        ("skipped", None),
        ("skipped", None),
    ]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.integers(1, 4),
    bursts=st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 400, 1000])), max_size=8),
)
def test_batches_partition_the_events_exactly(
    workflows: Workflows, size: int, bursts: list[tuple[int, int]]
) -> None:
    id_ = f"many.{uuid4()}"  # each example has a workflow of its own

    @workflow(id=id_, trigger=id_, batch=Batch(size, "1s"))
    def many(events: list[Event[Any]], step: Step) -> Any:
        return [event.id for event in events]

    sent: list[str] = []
    for number, wait in bursts:
        for _ in range(number):
            sent += workflows.send(id_)
        workflows.drain()
        workflows.advance(timedelta(milliseconds=wait))

    workflows.advance("1s")

    runs = workflows.runs(id_)
    assert [event_id for run in runs for event_id in run.event_ids] == sent
    assert all(1 <= len(run.event_ids) <= size for run in runs)
    assert [run.output for run in runs] == [run.event_ids for run in runs]
