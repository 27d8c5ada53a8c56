"""Workflows whose bodies write a journal that the engine's tables know nothing of."""

import os
import time
from typing import Any

from workflows import Event, Step, workflow

STEPS = 3


@workflow(id="journalled", trigger="crash/go")
def journalled(event: Event[Any], step: Step) -> int:
    """Run three steps that note when they begin and end."""
    for number in range(STEPS):
        step.run(f"step-{number}", noted_body, event.data["number"], number, event.data["seconds"])
    return STEPS


def noted_body(run: int, step: int, seconds: float) -> None:
    """Note the body's begin and end, and take some time between."""
    note("begin", run, step)
    time.sleep(seconds)
    note("end", run, step)


def note(what: str, run: int, step: int) -> None:
    """Append a line to the journal: one write, so that lines of many processes stay whole."""
    line = f"{what} {run} {step} {os.getpid()}\n".encode()
    file = os.open(os.environ["CRASH_JOURNAL"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(file, line)
    finally:
        os.close(file)
