"""Debounce: one run, with the latest event, after a time of quiet."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflows import CancelOn, Debounce, Event, Idempotency, RateLimit, Step, Timeouts, workflow
from workflows.models import GatheredEvent, Run, Wait
from workflows.testing import Workflows


def declare(debounce: Debounce, **options: Any) -> None:
    @workflow(id="quiet", trigger="go", debounce=debounce, **options)
    def quiet(event: Event[Any], step: Step) -> Any:
        return event.data.get("n")


def outputs(workflows: Workflows) -> list[Any]:
    return [run.output for run in workflows.runs("quiet")]


def test_one_run_starts_with_the_latest_event_after_the_quiet(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    ids = []
    for n in range(3):
        ids += workflows.send("go", {"n": n})
        workflows.advance("9s")
    assert [run.status for run in workflows.runs("quiet")] == ["queued"]
    last_sent = workflows.now() - timedelta(seconds=9)

    workflows.advance("1s")

    [run] = workflows.runs("quiet")
    assert (run.status, run.output, run.event_ids) == ("completed", 2, [ids[2]])
    assert run.started_at == last_sent + timedelta(seconds=10)


def test_a_run_that_gathers_says_so_and_until_when(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {})

    workflows.drain()

    [run] = workflows.runs("quiet")
    assert run.due_at == workflows.now() + timedelta(seconds=10)
    assert (run.status, run.started_at) == ("queued", None)
    assert run.reason == f"gathers events until {run.due_at:%Y-%m-%d %H:%M:%S} UTC (debounce)"


def test_what_became_of_each_event_is_found_by_it(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    ids = [workflows.send("go", {"n": n})[0] for n in range(3)]

    workflows.advance("10s")

    [run] = workflows.runs("quiet")
    assert [[found.id for found in workflows.runs(event_id=id_)] for id_ in ids] == [[run.id]] * 3


def test_the_latest_event_is_so_by_its_ts(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    now = workflows.now()
    for n, age in enumerate((30, 10, 20)):
        workflows.send("go", {"n": n}, ts=now - timedelta(seconds=age))
        workflows.drain()

    workflows.advance("10s")

    assert outputs(workflows) == [1]


def test_an_event_that_happened_earlier_prolongs_the_quiet_all_the_same(
    workflows: Workflows,
) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {"n": 0})
    workflows.advance("5s")
    workflows.send("go", {"n": 1}, ts=workflows.now() - timedelta(seconds=60))

    workflows.advance("9s")
    assert outputs(workflows) == [None]
    workflows.advance("1s")

    assert outputs(workflows) == [0]


def test_each_value_of_the_key_has_a_window_of_its_own(workflows: Workflows) -> None:
    declare(Debounce("10s", key="event.data.user"))
    for n, user in enumerate("ABAB"):
        workflows.send("go", {"n": n, "user": user})

    workflows.advance("10s")

    assert outputs(workflows) == [2, 3]


def test_the_timeout_caps_the_delay_counted_from_the_first_event(workflows: Workflows) -> None:
    declare(Debounce("10s", timeout="25s"))
    first = workflows.now()
    for n in range(5):
        workflows.send("go", {"n": n})
        workflows.advance("8s")

    run, following = workflows.runs("quiet")
    assert (run.output, run.started_at) == (3, first + timedelta(seconds=25))
    assert following.status == "queued"


def test_an_event_at_the_moment_of_closing_opens_the_next_window(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {"n": 0})
    workflows.drain()
    workflows.send("go", {"n": 1}, ts=workflows.now() + timedelta(seconds=10))

    workflows.advance("30s")

    assert outputs(workflows) == [0, 1]


def test_cancelling_a_run_that_gathers_ends_its_window(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {"n": 0})
    workflows.drain()

    workflows.cancel(workflows.runs("quiet")[0].id)
    workflows.send("go", {"n": 1})
    workflows.advance("10s")

    assert [(run.status, run.output) for run in workflows.runs("quiet")] == [
        ("cancelled", None),
        ("completed", 1),
    ]


def test_a_cancel_rule_sees_the_latest_event(workflows: Workflows) -> None:
    declare(Debounce("10s"), cancel_on=CancelOn("stop", match="data.n"))
    workflows.send("go", {"n": 0})
    workflows.drain()
    workflows.send("go", {"n": 1})
    workflows.drain()

    workflows.send("stop", {"n": 0})
    workflows.drain()
    assert [run.status for run in workflows.runs("quiet")] == ["queued"]
    workflows.send("stop", {"n": 1})
    workflows.drain()

    assert [run.status for run in workflows.runs("quiet")] == ["cancelled"]
    assert not Wait.objects.exists()


def test_the_tags_are_the_latest_events(workflows: Workflows) -> None:
    declare(Debounce("10s"), tags={"n": "event.data.n"})
    for n in range(2):
        workflows.send("go", {"n": n})
        workflows.drain()

    workflows.advance("10s")

    [run] = Run.objects.filter(tag_rows__name="n", tag_rows__value="1")
    assert run.tags == {"n": "1"}
    assert not Run.objects.filter(tag_rows__value="0").exists()


def test_the_start_timeout_counts_from_when_the_window_closed(workflows: Workflows) -> None:
    declare(Debounce("10s"), timeouts=Timeouts(start="5s"))
    workflows.send("go", {"n": 0})

    workflows.advance("10s")

    assert outputs(workflows) == [0]


def test_the_start_timeout_does_not_run_while_the_workflow_is_paused(workflows: Workflows) -> None:
    declare(Debounce("10s"), timeouts=Timeouts(start="5s"))
    workflows.drain()
    workflows.pause("quiet")
    workflows.send("go", {"n": 0})
    workflows.advance("1h")
    assert [run.status for run in workflows.runs("quiet")] == ["queued"]

    workflows.resume("quiet")
    workflows.drain()

    assert outputs(workflows) == [0]


def test_a_window_goes_on_gathering_when_its_workflow_is_paused_meanwhile(
    workflows: Workflows,
) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {"n": 0})
    workflows.drain()
    workflows.pause("quiet")
    workflows.send("go", {"n": 1})
    workflows.advance("5s")
    assert [run.status for run in workflows.runs("quiet")] == ["queued"]

    workflows.resume("quiet")
    workflows.advance("4s")
    assert outputs(workflows) == [None]
    workflows.advance("1s")

    assert outputs(workflows) == [1]


def test_a_debounced_callee_answers_all_its_callers(workflows: Workflows) -> None:
    declare(Debounce("10s"))

    @workflow(id="caller", trigger="call")
    def caller(event: Event[Any], step: Step) -> Any:
        return step.invoke("call-quiet", "quiet", {"n": event.data["n"]})

    for n in range(3):
        workflows.send("call", {"n": n})
        workflows.drain()

    workflows.advance("10s")

    assert [run.output for run in workflows.runs("caller")] == [2, 2, 2]
    assert len(workflows.runs("quiet")) == 1


def test_a_repeat_is_skipped_and_prolongs_no_quiet(workflows: Workflows) -> None:
    declare(Debounce("10s"), idempotency=Idempotency("event.data.n"))
    workflows.send("go", {"n": 0})
    workflows.advance("5s")
    workflows.send("go", {"n": 0})

    workflows.advance("5s")

    gathered, repeat = workflows.runs("quiet")
    assert (gathered.output, repeat.status) == (0, "skipped")
    assert repeat.reason == f"idempotency: repeats run {gathered.id} for event.data.n = 0"


def test_the_rate_limit_counts_gathered_events(workflows: Workflows) -> None:
    declare(Debounce("10s"), rate_limit=RateLimit(2, "1m"))
    for n in range(3):
        workflows.send("go", {"n": n})

    workflows.advance("10s")

    assert [(run.status, run.output) for run in workflows.runs("quiet")] == [
        ("completed", 1),
        ("skipped", None),
    ]


def test_a_replay_starts_at_once(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {"n": 0})
    workflows.advance("10s")

    workflows.replay(workflows.runs("quiet")[0].id)
    workflows.drain()

    assert outputs(workflows) == [0, 0]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    waits=st.lists(st.sampled_from([0, 1, 500, 999, 1000, 1001, 2500]), min_size=1, max_size=15),
    timeout=st.sampled_from([None, 400, 1000, 1500, 3000]),
)
def test_runs_start_exactly_when_a_model_says(
    workflows: Workflows, waits: list[int], timeout: int | None
) -> None:
    id_ = f"quiet.{uuid4()}"  # each example has a workflow of its own
    cap = None if timeout is None else timedelta(milliseconds=timeout)

    @workflow(id=id_, trigger=id_, debounce=Debounce("1s", timeout=cap))
    def quiet(event: Event[Any], step: Step) -> Any:
        return event.data["n"]

    begins = workflows.now()
    expected: list[tuple[int, int]] = []
    at, window = 0, None
    for n, wait in enumerate(waits):
        if window is not None and window[1] <= at:
            expected.append((window[2], window[1]))
            window = None
        opened = at if window is None else window[0]
        closes = at + 1000 if timeout is None else min(at + 1000, opened + timeout)
        window = (opened, closes, n)
        workflows.send(id_, {"n": n})
        workflows.advance(timedelta(milliseconds=wait))
        at += wait
    assert window is not None
    expected.append((window[2], window[1]))

    workflows.advance("5s")

    started = [
        (run.output, run.started_at - begins) for run in workflows.runs(id_) if run.started_at
    ]
    assert [(n, after / timedelta(milliseconds=1)) for n, after in started] == expected


def test_the_database_refuses_a_gathering_run_that_may_be_taken(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {})
    workflows.drain()

    with pytest.raises(IntegrityError, match="run_gathers_events_only"), transaction.atomic():
        Run.objects.update(admitted=True)
    with pytest.raises(IntegrityError, match="run_gathers_events_only"), transaction.atomic():
        Run.objects.update(due_at=None)

    assert Run.objects.filter(gathering__isnull=False).count() == 1


def test_the_database_refuses_two_windows_of_one_key(workflows: Workflows) -> None:
    declare(Debounce("10s", key="event.data.user"))
    for user in "AB":
        workflows.send("go", {"user": user})
    workflows.drain()
    first, second = Run.objects.order_by("id")

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=second.pk).update(gathering=first.gathering)


def test_the_database_refuses_to_gather_an_event_twice(workflows: Workflows) -> None:
    declare(Debounce("10s"))
    workflows.send("go", {})
    workflows.drain()
    row = GatheredEvent.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        GatheredEvent.objects.create(run_id=row.run_id, event_id=row.event_id)


def test_a_window_that_is_overdue_takes_no_event_though_others_are_closed_first(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.engine.gather.CLOSED_AT_ONCE", 1)
    declare(Debounce("10s", key="event.data.user"))
    for n, user in enumerate("AB"):
        workflows.send("go", {"n": n, "user": user})
    workflows.drain()
    workflows.send("go", {"n": 2, "user": "B"}, ts=workflows.now() + timedelta(seconds=10))

    workflows.advance("20s")

    assert outputs(workflows) == [0, 1, 2]
