"""The workflows that are executed: together they use every tool, and fail in every way.

Each returns what its steps gave it, by the step's name, so that what a workflow saw can be
compared with what is stored. A body gives a number that nothing else has ever given.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection

from tests.simulation.cooperation import World
from tests.simulation.journal import Journal
from workflows import (
    Batch,
    CancelOn,
    Concurrency,
    Cron,
    Debounce,
    Event,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Step,
    StepError,
    Throttle,
    Timeouts,
    current_run,
    workflow,
)

MOST_LIMITED = 2  # runs that may bear a worker's id
MOST_ACTIVE = 1  # runs of a group between their start and their end
HEAD_START = 3  # seconds, for each order above 0
STARTS_AT_ONCE, STARTS_EVERY = 2, timedelta(seconds=4)
MOST_RATED, RATED_PERIOD = 2, timedelta(seconds=30)
ONCE_PERIOD = timedelta(seconds=40)
QUIET, LONGEST_DEBOUNCE = timedelta(seconds=5), timedelta(seconds=12)
MOST_BATCHED, BATCH_TIME = 3, timedelta(seconds=10)
WAIT = "40s"
NAP = "20s"
Seen = dict[str, Any]

# By the event that starts them: what a history sends.
STARTS = (
    "chain",
    "flaky",
    "waiter",
    "signalled",
    "caller",
    "fan",
    "stoppable",
    "between",
    "limited",
    "limited",
    "active",
    "active",
    "rated",
    "once",
    "bounced",
    "batched",
    "sole",
    "newest",
)
# Each of their events is gathered for a run.
GATHERING = ("bounced", "batched")
# What operators pause meanwhile: with lanes and without, gated and not.
PAUSED_NOW_AND_THEN = ("chain", "told", "limited", "active", "batched", "sole")


def declare(journal: Journal, world: World) -> None:  # noqa: C901, PLR0915  a list
    """Declare them all, for one history."""

    def body(*, fails: int = 0) -> int:
        """Take some time, fail as often as was asked for, and give a new number."""
        journal.body_begins()
        value = journal.new_value()
        world.wait(lambda: False, value % 3)
        if current_run().attempt < fails:
            raise ValueError("on purpose")
        return value

    def effect(*, fails: int = 0) -> int:
        """Write a row, which must be there exactly where the step's result is."""
        key = journal.body_begins()
        value = journal.new_value()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO simulation_effect (run_id, step_key, value) VALUES (%s, %s, %s)",
                [current_run().id, key, value],
            )
        if current_run().attempt < fails:
            raise ValueError("on purpose")
        return value

    def told(event: Event[Any], name: str) -> Event[Any]:
        """Return an event that says which step has sent it."""
        return Event(name="told", data={"by": current_run().id, "step": name})

    def catching(name: str, call: Callable[[], Any]) -> Any:
        """Return what a tool gave, or the error's name: a failed step is no reason to give up."""
        try:
            return journal.gave(name, call())
        except StepError as error:
            return journal.gave(name, f"StepError {error.name}")

    @workflow(id="chain", trigger="chain", retries=3)
    def chain(event: Event[Any], step: Step) -> Seen:
        gave = journal.gave
        seen = {"a": gave("a", step.run("a", body))}
        seen["b"] = gave("b", step.transaction("b", effect))
        seen["c"] = gave("c", step.send_event("c", [told(event, "c"), told(event, "c again")]))
        step.sleep("d", NAP)
        for _ in range(2):
            seen["e"] = gave("e", step.run("e", body))
        return seen

    @workflow(id="told", trigger="told", retries=3)
    def told_(event: Event[Any], step: Step) -> Seen:
        return {"a": journal.gave("a", step.transaction("a", effect))}

    @workflow(id="flaky", trigger="flaky", retries=3)
    def flaky(event: Event[Any], step: Step) -> Seen:
        quick = step.with_options(retries=2, backoff=["2s", "9s"])
        fails = event.data["fails"]
        seen = {"a": catching("a", lambda: quick.run("a", body, fails=fails))}
        seen["b"] = journal.gave("b", quick.transaction("b", effect, fails=fails - 1))
        seen["c"] = journal.gave("c", step.run("c", body))
        return seen

    @workflow(id="waiter", trigger="waiter", retries=3)
    def waiter(event: Event[Any], step: Step) -> Seen:
        seen = {}
        for name in ("a", "b"):
            found = step.wait_for_event(
                name, event=["paid", "refunded"], match="data.order", timeout=WAIT
            )
            seen[name] = journal.gave(name, found and found.id)
            seen[f"{name}2"] = journal.gave(f"{name}2", step.run(f"{name}2", body))
        return seen

    @workflow(id="signalled", trigger="signalled", retries=3)
    def signalled(event: Event[Any], step: Step) -> Seen:
        name = f"signal-{event.data['order'] % 3}"
        seen = {
            "a": catching("a", lambda: step.wait_for_signal("a", signal=name, timeout=WAIT)),
        }
        seen["b"] = journal.gave("b", step.run("b", body))
        return seen

    @workflow(id="callee", retries=0)
    def callee(event: Event[Any], step: Step) -> Seen:
        if event.data["naps"]:
            step.sleep("nap", NAP)
        return {"a": journal.gave("a", step.transaction("a", effect, fails=event.data["fails"]))}

    @workflow(id="caller", trigger="caller", retries=3)
    def caller(event: Event[Any], step: Step) -> Seen:
        data = {"fails": event.data["fails"] % 2, "naps": event.data["order"] % 2}
        seen = {"a": catching("a", lambda: step.invoke("a", callee, data, timeout=WAIT))}
        seen["b"] = journal.gave("b", step.run("b", body))
        return seen

    @workflow(id="fan", trigger="fan", retries=3)
    def fan(event: Event[Any], step: Step) -> Seen:
        def working() -> Any:
            return [step.run("same", body), step.transaction("w", effect), step.run("same", body)]

        def sleeping() -> Any:
            first = step.run("same", body)
            step.sleep("nap", NAP)
            return [first, step.run("same", body)]

        def waiting() -> Any:
            found = step.wait_for_event("p", event="paid", match="data.order", timeout=WAIT)
            return [found and found.id, step.run("same", body)]

        return {"all": list(step.parallel(working, sleeping, waiting))}

    @workflow(
        id="stoppable",
        trigger="stoppable",
        cancel_on=CancelOn("stop", match="data.order"),
        timeouts=Timeouts(finish="50s"),
    )
    def stoppable(event: Event[Any], step: Step) -> Seen:
        seen = {"a": journal.gave("a", step.run("a", body))}
        step.sleep("nap", WAIT)
        seen["b"] = journal.gave("b", step.run("b", body))
        return seen

    @workflow(
        id="limited",
        trigger="limited",
        concurrency=Concurrency(limit=MOST_LIMITED),
        throttle=Throttle(limit=1, period=STARTS_EVERY, burst=STARTS_AT_ONCE - 1),
    )
    def limited(event: Event[Any], step: Step) -> Seen:
        seen = {"a": journal.gave("a", step.run("a", body))}
        step.sleep("nap", "5s")
        seen["b"] = journal.gave("b", step.transaction("b", effect))
        return seen

    @workflow(
        id="active",
        trigger="active",
        concurrency=Concurrency(limit=MOST_ACTIVE, key="event.data.group", counts="active"),
        priority=Priority(run=f"event.data.order * {HEAD_START}"),
    )
    def active(event: Event[Any], step: Step) -> Seen:
        seen = {"a": journal.gave("a", step.run("a", body))}
        step.sleep("nap", "8s")
        seen["b"] = journal.gave("b", step.run("b", body))
        return seen

    @workflow(
        id="rated",
        trigger="rated",
        rate_limit=RateLimit(limit=MOST_RATED, period=RATED_PERIOD, key="event.data.group"),
    )
    def rated(event: Event[Any], step: Step) -> Seen:
        return {"a": journal.gave("a", step.run("a", body))}

    @workflow(
        id="once",
        trigger="once",
        idempotency=Idempotency(key="event.data.order", period=ONCE_PERIOD),
    )
    def once(event: Event[Any], step: Step) -> Seen:
        return {"a": journal.gave("a", step.run("a", body))}

    @workflow(
        id="bounced",
        trigger="bounced",
        debounce=Debounce(period=QUIET, key="event.data.group", timeout=LONGEST_DEBOUNCE),
    )
    def bounced(event: Event[Any], step: Step) -> Seen:
        journal.numbers[current_run().id] = [event.data["number"]]
        return {"a": journal.gave("a", step.transaction("a", effect))}

    @workflow(
        id="batched",
        trigger="batched",
        batch=Batch(max_size=MOST_BATCHED, timeout=BATCH_TIME, key="event.data.group"),
    )
    def batched(events: list[Event[Any]], step: Step) -> Seen:
        journal.numbers[current_run().id] = [event.data["number"] for event in events]
        return {"a": journal.gave("a", step.transaction("a", effect))}

    def singly(event: Event[Any], step: Step) -> Seen:
        seen = {"a": journal.gave("a", step.run("a", body))}
        step.sleep("nap", "15s")
        seen["b"] = journal.gave("b", step.run("b", body, fails=event.data["fails"] - 1))
        return seen

    by_group = "event.data.group"
    workflow(id="sole", trigger="sole", retries=0, singleton=Singleton(key=by_group))(singly)
    newest = Singleton(key=by_group, mode="cancel")
    workflow(id="newest", trigger="newest", retries=0, singleton=newest)(singly)

    def after_failure(event: Event[Any], error: Any, step: Step) -> Seen:
        return {"a": journal.gave("a", step.run("a", body))}

    @workflow(id="between", trigger="between", retries=2, on_failure=after_failure)
    def between(event: Event[Any], step: Step) -> Seen:
        seen = {"a": journal.gave("a", step.run("a", body))}
        if current_run().attempt < event.data["fails"]:
            raise ValueError("on purpose, between steps")
        seen["b"] = journal.gave("b", step.run("b", body))
        return seen

    @workflow(id="ends", trigger="workflows/run.cancelled", retries=3)
    def ends(event: Event[Any], step: Step) -> Seen:
        return {"a": journal.gave("a", step.transaction("a", effect))}

    @workflow(id="clockwork", trigger=Cron("* * * * *"), retries=3)
    def clockwork(event: Event[Any], step: Step) -> Seen:
        return {"a": journal.gave("a", step.transaction("a", effect))}
