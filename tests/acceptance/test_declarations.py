"""What the contract refuses at import, by a message that names the workflow and the argument."""

from datetime import datetime, timedelta
from typing import Any

import pytest

import workflows as public
from workflows import (
    Batch,
    CancelOn,
    Concurrency,
    Cron,
    Debounce,
    Event,
    EventTrigger,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Step,
    Throttle,
    Timeouts,
    Workflow,
    WorkflowsError,
    workflow,
)
from workflows.testing import Workflows

BATCH = Batch(max_size=2, timeout="1s")


def declare(**options: Any) -> Any:
    """Declare a workflow with these arguments."""

    def code(event: Event[Any], step: Step) -> None: ...
    def batched(events: list[Event[Any]], step: Step) -> None: ...

    chosen = batched if options.get("batch") else code
    return workflow(**{"id": "it", "trigger": "go", **options})(chosen)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("trigger", ""),
        ("trigger", "workflows/mine" * 30),
        ("trigger", "*"),
        ("trigger", "a*"),
        ("trigger", "a.*.b"),
        ("trigger", 3),
        ("trigger", ["e"] * 11),
        ("trigger", EventTrigger("e", if_="event.data. ==")),
        ("trigger", Cron("61 * * * *")),
        ("trigger", Cron("0 * * * *", tz="Mars/Base")),
        ("trigger", Cron("0 * * * *", jitter=5)),  # type: ignore[arg-type]
        ("queue", ""),
        ("tags", {"a": "event.data. =="}),
        ("tags", {str(n): "event.id" for n in range(6)}),
        ("retries", 21),
        ("retries", -1),
        ("retries", "3"),
        ("retries", True),
        ("on_failure", lambda: None),
        ("concurrency", Concurrency(limit=0)),
        ("concurrency", Concurrency(limit=1, scope="platform")),
        ("concurrency", Concurrency(limit=1, scope="account")),  # type: ignore[arg-type]
        ("concurrency", Concurrency(limit=1, counts="all")),  # type: ignore[arg-type]
        ("concurrency", [Concurrency(limit=1)] * 3),
        ("concurrency", 5),
        ("throttle", Throttle(limit=1, period=60)),  # type: ignore[arg-type]
        ("throttle", Throttle(limit=0, period="1m")),
        ("throttle", Throttle(limit=1, period="1m", burst=-1)),
        ("rate_limit", RateLimit(limit=1, period="0s")),
        ("debounce", Debounce(period=10)),  # type: ignore[arg-type]
        ("debounce", Debounce(period="1m", key="((")),
        ("priority", Priority(run="event.data.vip ?")),
        ("batch", Batch(max_size=0, timeout="1s")),
        ("batch", Batch(max_size=2, timeout=1)),  # type: ignore[arg-type]
        ("singleton", Singleton(mode="queue")),  # type: ignore[arg-type]
        ("idempotency", "event.data. =="),
        ("idempotency", Idempotency("event.id", period=24)),  # type: ignore[arg-type]
        ("cancel_on", [CancelOn("e")] * 6),
        ("cancel_on", CancelOn("e", if_="async.data. ==")),
        ("cancel_on", CancelOn("e", timeout=5)),  # type: ignore[arg-type]
        ("timeouts", Timeouts(start=5)),  # type: ignore[arg-type]
        ("timeouts", Timeouts(finish="never")),
        ("concurrencies", Concurrency(limit=1)),
    ],
)
def test_what_is_wrong_is_refused_naming_the_workflow_and_the_argument(
    workflows: Workflows, argument: str, value: Any
) -> None:
    with pytest.raises(WorkflowsError) as refusal:
        declare(id="my-workflow", **{argument: value})

    assert "my-workflow" in str(refusal.value)
    assert argument in str(refusal.value)


@pytest.mark.parametrize(
    "other",
    [
        {"debounce": Debounce(period="1s")},
        {"singleton": Singleton()},
        {"priority": Priority(run="1")},
        {"cancel_on": [CancelOn("stop")]},
    ],
)
def test_what_cannot_go_together_with_batch(workflows: Workflows, other: dict[str, Any]) -> None:
    with pytest.raises(WorkflowsError) as refusal:
        declare(id="my-workflow", batch=BATCH, **other)

    assert all(word in str(refusal.value) for word in ("my-workflow", "batch", *other))


def test_two_workflows_with_one_id_are_refused(workflows: Workflows) -> None:
    declare(id="my-workflow")

    with pytest.raises(WorkflowsError, match="my-workflow"):

        @workflow(id="my-workflow", trigger="go")
        def another(event: Event[Any], step: Step) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"trigger": None},
        {"trigger": ["a", Cron("0 0 * * *", tz="Europe/London", jitter="5m")]},
        {"trigger": [f"e{n}" for n in range(10)]},
        {"retries": 0},
        {"retries": 20},
        {"concurrency": [Concurrency(limit=1), Concurrency(2, key="event.data.k")]},
        {"concurrency": Concurrency(limit=1, key="'k'", scope="platform", counts="active")},
        {"throttle": Throttle(1, timedelta(minutes=1), 2, "event.data.k")},
        {"rate_limit": RateLimit(1, "1w")},
        {"debounce": Debounce("1s", "event.data.k", "1h30m")},
        {"batch": Batch(10, "500ms", "event.data.k", "event.data.n < 1"), "concurrency": ()},
        {"singleton": Singleton("event.data.k", "cancel")},
        {"idempotency": Idempotency("event.data.k")},
        {"cancel_on": CancelOn("e", "data.k", "async.data.n > event.data.n", "1d")},
        {"timeouts": Timeouts("1m", "1h")},
        {"queue": "heavy", "name": "A name", "tags": {"a": "event.data.a"}},
    ],
)
def test_what_is_right_is_taken(workflows: Workflows, options: dict[str, Any]) -> None:
    assert isinstance(declare(**options), Workflow)


def test_all_that_the_contract_names_can_be_imported() -> None:
    names = (
        "EventData Event workflow Workflow EventTrigger Cron Concurrency Throttle RateLimit "
        "Debounce Priority Batch Singleton Idempotency CancelOn Timeouts Step send asend "
        "send_signal WorkflowsError NonRetriableError RetryAfterError StepError InvalidEvent "
        "UnknownWorkflow StepResultNotStorable NestedStepError current_run"
    )

    for name in names.split():
        assert getattr(public, name) is not None
        assert name in public.__all__


def test_the_other_errors_are_under_workflows_error() -> None:
    errors = [public.NonRetriableError, public.RetryAfterError, public.StepError]
    errors += [public.InvalidEvent, public.UnknownWorkflow]
    errors += [public.StepResultNotStorable, public.NestedStepError]

    assert all(issubclass(error, WorkflowsError) for error in errors)


@pytest.mark.parametrize(
    ("moment", "tz", "line", "expected"),
    [
        ("2027-03-28T00:30:00+00:00", "Europe/London", "30 1 * * *", "2027-03-28T01:00:00+00:00"),
        ("2027-10-30T23:00:00+00:00", "Europe/London", "30 1 * * *", "2027-10-31T00:30:00+00:00"),
    ],
)
def test_on_clock_changes(
    workflows: Workflows, moment: str, tz: str, line: str, expected: str
) -> None:
    fired: list[str] = []

    workflows.advance(datetime.fromisoformat(moment) - workflows.now())

    @workflow(id="cron", trigger=Cron(line, tz=tz))
    def cron(event: Event[Any], step: Step) -> None:
        fired.append(event.data["scheduledAt"])

    workflows.advance("20h")

    assert [datetime.fromisoformat(at) for at in fired] == [datetime.fromisoformat(expected)]
