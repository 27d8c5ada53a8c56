"""Poison: what a body must not do ends its run as failed, on both databases alike, and no other.

What kills the process itself is played by real ones: `poison_exit` and `poison_segfault`.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest

from workflows import Step, workflow
from workflows.testing import Workflows

MANY = 100 * 1024 * 1024


class Unspeakable(Exception):  # noqa: N818  as an author might call it
    def __str__(self) -> str:
        raise ValueError("no words")


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def endlessly() -> None:
    endlessly()


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


# What the body does, the error's name, what its message says.
POISON: dict[str, tuple[Callable[[], object], str, str]] = {
    "recursion": (endlessly, "RecursionError", "maximum recursion depth"),
    "a result of 100 MB": (lambda: "x" * MANY, "OutputTooLarge", "MAX_RESULT_BYTES"),
    "a NUL character": (lambda: "a\0b", "StepResultNotStorable", "NUL"),
    "a lone surrogate": (lambda: "\ud800", "StepResultNotStorable", "surrogate"),
    "NaN": (lambda: math.nan, "StepResultNotStorable", "NaN"),
    "depth": (lambda: deep(100_000), "StepResultNotStorable", "result"),
    "an object": (object, "StepResultNotStorable", "object"),
    "a generator": (lambda: (n for n in [1]), "StepResultNotStorable", "generator"),
    "no words": (raising(Unspeakable()), "Unspeakable", "cannot be shown"),
    "many words": (raising(ValueError("x" * MANY)), "ValueError", "xxx"),
    "NUL words": (raising(ValueError("a\0b")), "ValueError", "a\\0b"),
    "surrogate words": (raising(ValueError("\ud800")), "ValueError", "\\ud800"),
    "sys.exit": (raising(SystemExit(3)), "SystemExit", "3"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", POISON)
def test_a_poisonous_body_ends_its_run_with_a_clear_error(workflows: Workflows, name: str) -> None:
    body, error_name, words = POISON[name]

    @workflow(id="poisoned", trigger="go", retries=0)
    def poisoned(event: Any, step: Step) -> None:
        step.run("body", body)

    @workflow(id="neighbour", trigger="go")
    def neighbour(event: Any, step: Step) -> str:
        return str(step.run("body", lambda: "well"))

    workflows.send("go", {})
    workflows.drain()

    run = workflows.runs("poisoned")[0]
    assert (run.status, run.error["name"]) == ("failed", error_name)
    assert words in run.error["message"]
    assert len(run.error["message"]) <= 10_000
    assert len(run.error["traceback"]) <= 20_000
    assert workflows.runs("neighbour")[0].output == "well"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    ["a\0b", "\ud800", math.inf, object()],
    ids=["NUL", "surrogate", "infinity", "object"],
)
def test_an_output_that_cannot_be_stored_ends_the_run(workflows: Workflows, value: object) -> None:
    @workflow(id="poisoned", trigger="go", retries=0)
    def poisoned(event: Any, step: Step) -> object:
        return value

    workflows.send("go", {})
    workflows.drain()

    run = workflows.runs("poisoned")[0]
    assert (run.status, run.error["name"]) == ("failed", "StepResultNotStorable")
