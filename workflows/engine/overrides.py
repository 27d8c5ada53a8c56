"""Operators' overrides of a workflow: checked as at import, and put in the place of the code's own.

They are kept as they were given: `{"concurrency": [{"limit": 5}], "throttle": null, "retries": 2}`.
None means that there is none; what is absent is the code's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

from workflows.definitions.arguments import checked_argument, naming
from workflows.definitions.flow_control import Concurrency, Throttle
from workflows.definitions.workflow import Workflow
from workflows.errors import InvalidWorkflow


def overridden(declaration: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a declaration with the overrides in it.

    Raises:
        InvalidWorkflow: one is wrong; the message names it, as at import.
    """
    merged = dict(declaration)
    for name, value in overrides.items():
        merged[name] = _declared(name, value)
    return merged


def with_retries(workflow: Workflow, retries: int | None) -> Workflow:
    """Return a workflow whose retries operators have overridden; None: they have not."""
    if retries is None or retries == workflow.retries:
        return workflow
    return replace(workflow, retries=retries, max_attempts=retries + 1)


def require_overrides(workflow: str, overrides: object) -> dict[str, Any]:
    """Give back overrides that could be declared.

    Raises:
        InvalidWorkflow: one could not; the message names the workflow and the argument.
    """
    if not isinstance(overrides, Mapping):
        message = f'Workflow {workflow!r}: write {{"concurrency": [...]}}, not {overrides!r}.'
        raise InvalidWorkflow(message)
    try:
        overridden({}, overrides)
    except InvalidWorkflow as error:
        raise InvalidWorkflow(f"Workflow {workflow!r}: {error}") from error
    return dict(overrides)


def _declared(name: str, value: Any) -> Any:
    if name not in _READ:
        close = get_close_matches(str(name), _READ, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f": only {', '.join(_READ)} can be."
        raise InvalidWorkflow(f"{name!r} cannot be overridden{hint}")
    with naming(name):
        return _READ[name](value)


def _concurrency(value: Any) -> list[dict[str, Any]]:
    given = [] if value is None else value
    if not isinstance(given, list):
        raise InvalidWorkflow(f'write a list such as [{{"limit": 5}}], not {value!r}.')
    rules = [_rule(Concurrency, each) for each in given]
    return [rule.declaration() for rule in checked_argument("concurrency", rules)]


def _throttle(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    throttle: Throttle = checked_argument("throttle", _rule(Throttle, value))
    return throttle.declaration()


def _retries(value: Any) -> int:
    retries: int = checked_argument("retries", 0 if value is None else value)
    return retries


_READ: dict[str, Callable[[Any], Any]] = {
    "concurrency": _concurrency,
    "throttle": _throttle,
    "retries": _retries,
}


def _rule(kind: type[Any], given: Any) -> Any:
    """Make a rule of the JSON object that an operator wrote."""
    names = [field.name for field in fields(kind)]
    if not isinstance(given, Mapping):
        raise InvalidWorkflow(f"write an object with {', '.join(names)}, not {given!r}.")
    for name in given:
        if name not in names:
            raise InvalidWorkflow(f"there is no {name!r}: there are {', '.join(names)}.")
    try:
        return kind(**given)
    except TypeError as error:
        raise InvalidWorkflow(f"{given!r} lacks something: {error}.") from error
