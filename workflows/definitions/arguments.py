"""What each argument of `workflow(...)` takes, and what cannot go together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from workflows.definitions.expressions import compile_expression
from workflows.definitions.flow_control import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from workflows.definitions.triggers import checked_triggers
from workflows.errors import InvalidWorkflow, WorkflowsError

DEFAULT_RETRIES = 4
MOST_RETRIES = 20
MOST_CONCURRENCIES = 2
MOST_CANCEL_RULES = 5
MOST_TAGS = 5
LONGEST_ID = 200
NOT_WITH_BATCH = ("debounce", "singleton", "priority", "cancel_on")

Check = Callable[[Any], Any]


def checked_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments with classes as names, text as `timedelta`s, and single ones as tuples.

    Raises:
        InvalidWorkflow: one is wrong, or two cannot go together; the message names them.
    """
    checked = {}
    for argument, check in _CHECKS.items():
        with naming(argument):
            checked[argument] = check(given[argument])
    for argument in NOT_WITH_BATCH:
        if checked["batch"] and checked[argument]:
            raise InvalidWorkflow(f"batch cannot go together with {argument}.")
    return checked


def checked_argument(argument: str, value: Any) -> Any:
    """Give one argument as `checked_arguments` does.

    Raises:
        InvalidWorkflow: it is wrong.
    """
    return _CHECKS[argument](value)


def require_known(unknown: Mapping[str, Any]) -> None:
    """Make sure that no argument is left that `workflow(...)` does not have.

    Raises:
        InvalidWorkflow: there is one; the message names the nearest that it has.
    """
    for argument in unknown:
        close = get_close_matches(argument, [*_CHECKS, "on_failure"], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise InvalidWorkflow(f"there is no argument {argument!r}{hint}")


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Put the argument's name before what is wrong with it."""
    try:
        yield
    except WorkflowsError as error:
        raise InvalidWorkflow(f"{argument}: {error}") from error


def require_id(value: object) -> str:
    """Give back a workflow's id, or its name.

    Raises:
        InvalidWorkflow: it is too long or empty, or some character cannot be printed.
    """
    printable = isinstance(value, str) and value.isprintable() and value == value.strip()
    if not printable or not 1 <= len(str(value)) <= LONGEST_ID:
        raise InvalidWorkflow(
            f"write 1 to {LONGEST_ID} printable characters without spaces at the ends, "
            f"not {value!r}."
        )
    return str(value)


def require_retries(value: object) -> int:
    """Give back a number of extra attempts.

    Raises:
        InvalidWorkflow: it is no whole number, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_RETRIES:
        raise InvalidWorkflow(f"write a whole number from 0 to {MOST_RETRIES}, not {value!r}.")
    return value


def _require_queue(value: object) -> str:
    if not isinstance(value, str) or not _QUEUE.fullmatch(value):
        raise InvalidWorkflow(f"write letters, digits, '.', '_' and '-', not {value!r}.")
    return value


def _require_tags(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidWorkflow(f'write {{"name": "expression"}}, not {value!r}.')
    if len(value) > MOST_TAGS:
        raise InvalidWorkflow(f"{len(value)} are too many: {MOST_TAGS} are allowed.")
    for tag, expression in value.items():
        if not isinstance(tag, str) or not _TAG.fullmatch(tag):
            raise InvalidWorkflow(f"the name {tag!r} must be letters, digits, '.', '_' and '-'.")
        compile_expression(expression, argument=tag)
    return dict(sorted(value.items()))


def _one(wanted: type[Any]) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise InvalidWorkflow(f"write {wanted.__name__}(...), not {value!r}.")
        return value.checked()

    return check


def _up_to(most: int, wanted: type[Any]) -> Check:
    def check(value: Any) -> tuple[Any, ...]:
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > most:
            raise InvalidWorkflow(f"{len(values)} are too many: {most} are allowed.")
        return tuple(_one(wanted)(each) for each in values)

    return check


def _idempotency(value: Any) -> Any:
    return _one(Idempotency)(Idempotency(value) if isinstance(value, str) else value)


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


_QUEUE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TAG = re.compile(r"[A-Za-z0-9._-]{1,50}")
_CHECKS: dict[str, Check] = {
    "id": require_id,
    "trigger": checked_triggers,
    "name": _optional(require_id),
    "queue": _require_queue,
    "tags": lambda value: _require_tags({} if value is None else value),
    "retries": require_retries,
    "concurrency": _up_to(MOST_CONCURRENCIES, Concurrency),
    "throttle": _optional(_one(Throttle)),
    "rate_limit": _optional(_one(RateLimit)),
    "debounce": _optional(_one(Debounce)),
    "priority": _optional(_one(Priority)),
    "batch": _optional(_one(Batch)),
    "singleton": _optional(_one(Singleton)),
    "idempotency": _optional(_idempotency),
    "cancel_on": _up_to(MOST_CANCEL_RULES, CancelOn),
    "timeouts": _optional(_one(Timeouts)),
}
