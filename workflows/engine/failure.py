"""Errors as they are stored and shown: name, message, traceback."""

import json
import traceback
from typing import TypedDict

from workflows.errors import InvokeTimeout, RunCancelled, RunSkipped, StepError

MAX_MESSAGE = 10_000  # characters
MAX_TRACEBACK = 20_000  # characters; the end of it tells most

INVOCATION_ERRORS: dict[str, type[StepError]] = {
    kind.__name__: kind for kind in (InvokeTimeout, RunCancelled, RunSkipped)
}


class Failure(TypedDict):
    """An error as JSON."""

    name: str
    message: str
    traceback: str


def describe(error: BaseException) -> Failure:
    """Return the name, message and traceback of an error, fit to be stored.

    A `StepError` shows the error that made its step fail.
    """
    if isinstance(error, StepError):
        return Failure(name=error.name, message=error.message, traceback=error.traceback)
    return Failure(
        name=type(error).__name__,
        message=storable(_message(error))[:MAX_MESSAGE],
        traceback=storable(_traceback(error))[-MAX_TRACEBACK:],
    )


def as_text(failure: Failure) -> str:
    """Write a failure as it is stored."""
    return json.dumps(failure)


def read_failure(text: str) -> Failure:
    """Read a failure as it was stored."""
    failure: Failure = json.loads(text)
    return failure


def step_error(step_id: str, failure: Failure) -> StepError:
    """Return the error that tells a workflow that one of its steps has failed for good."""
    kind = INVOCATION_ERRORS.get(failure["name"], StepError)
    return kind(
        failure["message"],
        step_id=step_id,
        name=failure["name"],
        traceback=failure["traceback"],
    )


def storable(text: str) -> str:
    """Replace what a database cannot hold: NUL characters and lone surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _message(error: BaseException) -> str:
    """Return the error's own words, though its `__str__` be broken."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001  the author's own code
        return f"<its message cannot be shown: {type(broken).__name__}>"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as broken:  # noqa: BLE001  the message may be the author's own code
        return f"<its traceback cannot be shown: {type(broken).__name__}>"
