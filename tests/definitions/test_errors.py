"""Errors: one tree, messages for people, and interrupts that no `except Exception` swallows."""

import inspect
import pickle

import pytest

from workflows import errors
from workflows.errors import (
    Interrupt,
    LeaseLost,
    RetryAfterError,
    StepError,
    Suspend,
    TimeIsUp,
    WorkflowsError,
)

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]
INTERRUPTS = {Interrupt, Suspend, LeaseLost, TimeIsUp}


def test_every_error_is_a_workflows_error() -> None:
    raised = [c for c in CLASSES if issubclass(c, BaseException) and c not in INTERRUPTS]

    assert [c for c in raised if not issubclass(c, WorkflowsError)] == []


@pytest.mark.parametrize("interrupt", sorted(INTERRUPTS, key=str))
def test_an_interrupt_is_no_exception(interrupt: type[BaseException]) -> None:
    assert not issubclass(interrupt, Exception)


def test_the_tree_in_the_docstring_names_every_class() -> None:
    missing = [c.__name__ for c in CLASSES if c.__module__ == errors.__name__]

    assert [name for name in missing if f"{name} " not in (errors.__doc__ or "")] == []


def test_a_step_error_says_what_failed() -> None:
    error = StepError("no money", step_id="charge", name="CardError", traceback="Traceback ...")

    assert (error.step_id, error.name, error.message) == ("charge", "CardError", "no money")
    assert str(error) == "step 'charge' failed: CardError: no money"


def test_a_step_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(StepError("no", step_id="a", name="B", traceback="T")))

    assert (error.step_id, error.name, error.message, error.traceback) == ("a", "B", "no", "T")


def test_a_retry_after_error_keeps_its_moment() -> None:
    error = RetryAfterError("busy", "5m")

    assert (str(error), error.after) == ("busy", "5m")
