"""Workflows whose bodies write a journal that the engine's tables know nothing of."""

import ctypes
import os
import time
from typing import Any

from django.db import connection

from tests.chaos.journal import VARIABLE, note, read_journal
from workflows import Event, Step, workflow
from workflows.engine import context

STEPS = 4
TRANSACTIONS = (1, 3)
MOST_AFTER_THE_FIRST = 0.6  # seconds


@workflow(id="journalled", trigger="chaos/go")
def journalled(event: Event[Any], step: Step) -> int:
    """Do steps that note when they begin and end, every other one in a transaction."""
    number, seconds = event.data["number"], event.data["seconds"]
    for place in range(STEPS):
        seconds = seconds if place == 0 else min(seconds, MOST_AFTER_THE_FIRST)
        if place in TRANSACTIONS:
            step.transaction(f"step-{place}", effect, number, place, seconds)
        else:
            step.run(f"step-{place}", body, number, place, seconds)
    note("finish", run=number)
    return STEPS


def body(run: int, step: int, seconds: float) -> None:
    """Note the body's begin and end, and take some time between: long only when it is new."""
    is_repeated = seconds > MOST_AFTER_THE_FIRST and has_begun(run, step)
    note("begin", run=run, step=step, worker=worker())
    time.sleep(MOST_AFTER_THE_FIRST if is_repeated else seconds)
    note("end", run=run, step=step)


def worker() -> str:
    """Return the lease under which the run at work was taken."""
    place = context.current_place()
    assert place is not None
    return place.execution.run.worker_id


def has_begun(run: int, step: int) -> bool:
    """Tell whether a body has begun before."""
    lines = read_journal(os.environ[VARIABLE])
    return any((line.what, line.run, line.step) == ("begin", run, step) for line in lines)


def effect(run: int, step: int, seconds: float) -> None:
    """Do the same, with a row between."""
    note("begin", run=run, step=step, worker=worker())
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO chaos_effect (run, step) VALUES (%s, %s)", [run, step])
    time.sleep(seconds / 5)  # on SQLite it holds the write lock meanwhile
    note("end", run=run, step=step)


def note_ordinary_task() -> None:
    """Be a task of django-q2's own."""
    note("task")


def make_table() -> None:
    """Make the table of effects, in which nothing refuses a second one."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE chaos_effect (run integer, step integer)")


def read_effects() -> dict[tuple[int, int], int]:
    """Return how often each effect is there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT run, step, count(*) FROM chaos_effect GROUP BY run, step")
        return {(run, step): count for run, step, count in cursor.fetchall()}


@workflow(id="poison", trigger="chaos/poison", retries=0)
def poison(event: Event[Any], step: Step) -> None:
    """Kill the process in which it runs, each time."""
    step.run("before", note, "poisoned", run=-2)
    step.run("die", die, event.data["how"])


def die(how: str) -> None:
    """End the process without a word."""
    if how == "exit":
        os._exit(7)
    ctypes.string_at(0)  # a segmentation fault


@workflow(id="neighbour", trigger="chaos/neighbour", retries=0)
def neighbour(event: Event[Any], step: Step) -> str:
    """Do nothing wrong, for a while, in the poison's company."""
    step.run("work", time.sleep, 0.3)
    return "well"
