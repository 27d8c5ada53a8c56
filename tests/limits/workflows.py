"""Workflows whose bodies note when they begin and end, in a file that no table knows of."""

import os
import time
from typing import Any

from workflows import Concurrency, Event, Step, Throttle, Timeouts, current_run, workflow

KEY = "event.data.key"
SHARED = Concurrency(2, key="event.data.tenant", scope="platform")


@workflow(
    id="keyed",
    trigger="limits/keyed",
    concurrency=[Concurrency(3, key=KEY), Concurrency(8)],
    timeouts=Timeouts(finish="30s"),
)
def keyed(event: Event[Any], step: Step) -> None:
    """Two bodies and a nap: under two limits that count executing runs."""
    key = event.data["key"]
    step.run("first", noted, {"keyed": key, "all-keyed": ""}, event.data["seconds"])
    step.sleep("nap", "100ms")
    step.run("second", noted, {"keyed": key, "all-keyed": ""}, event.data["seconds"])


@workflow(id="hasty", trigger="limits/hasty", concurrency=SHARED, timeouts=Timeouts(finish="300ms"))
def hasty(event: Event[Any], step: Step) -> None:
    """A body that its run's timeout overtakes: its slot is in use until it ends."""
    step.run("only", noted, {"shared": event.data["tenant"]}, 2 * event.data["seconds"])


@workflow(id="sharing", trigger="limits/sharing", concurrency=SHARED)
def sharing(event: Event[Any], step: Step) -> None:
    """A body under a limit that another workflow shares."""
    step.run("only", noted, {"shared": event.data["tenant"]}, event.data["seconds"])


@workflow(
    id="active", trigger="limits/active", concurrency=Concurrency(4, key=KEY, counts="active")
)
def active(event: Event[Any], step: Step) -> None:
    """A run that holds its slot from its start to its end, also while it sleeps."""
    step.run("begin", note, "begin", {"active": event.data["key"]}, str(event.id))
    step.sleep("nap", "200ms")
    step.run("end", note, "end", {"active": event.data["key"]}, str(event.id))


@workflow(id="spread", trigger="limits/spread", throttle=Throttle(20, "1s", burst=5))
def spread(event: Event[Any], step: Step) -> None:
    """A start that a throttle spreads."""
    step.run("only", note, "start", {"spread": ""}, str(event.id))


def noted(limits: dict[str, str], seconds: float) -> None:
    """Note the body's begin and end under each limit, and take some time between."""
    body = f"{current_run().id}/{current_run().step_id}/{time.monotonic_ns()}"
    note("begin", limits, body)
    try:
        time.sleep(seconds)
    finally:
        note("end", limits, body)


def note(what: str, limits: dict[str, str], body: str) -> None:
    """Append lines to the journal: one write, so that lines of many processes stay whole."""
    now = time.monotonic_ns()
    lines = "".join(
        f"{now} {what} {limit}:{key} {body} {os.getpid()}\n" for limit, key in limits.items()
    )
    file = os.open(os.environ["LIMITS_JOURNAL"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(file, lines.encode())
    finally:
        os.close(file)
