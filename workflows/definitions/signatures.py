"""What can be read off an author's function: how it is called, what it returns, where it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_type_hints

from workflows.errors import InvalidWorkflow


def require_takes(function: object, parameters: tuple[str, ...]) -> None:
    """Make sure that a function can be called with these arguments by position.

    Raises:
        InvalidWorkflow: it is no plain function or coroutine function, or takes others.
    """
    shown = ", ".join(parameters)
    if not callable(function) or isinstance(function, type):
        raise InvalidWorkflow(f"{function!r} is no function: write one that takes ({shown}).")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidWorkflow("it must not yield: write a function or an async function.")
    signature = inspect.signature(function)
    try:
        signature.bind(*parameters)
    except TypeError:
        raise InvalidWorkflow(f"it must take ({shown}), not {signature}.") from None
    if next(iter(signature.parameters)) == "step":
        raise InvalidWorkflow(f"it must take ({shown}) in this order, not {signature}.")


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling the function gives a coroutine."""
    return inspect.iscoroutinefunction(function)


def return_type(function: Callable[..., Any]) -> Any:
    """Give the type that a function's annotation says it returns.

    It is None where there is no annotation, or one that names what cannot be found, and NoneType
    where the annotation is None.
    """
    function = inspect.unwrap(function)
    annotations = getattr(function, "__annotations__", {})
    if "return" not in annotations:
        return None
    # Only this annotation: others may name what is imported for the type checker alone.
    alone = SimpleNamespace(__annotations__={"return": annotations["return"]})
    names = getattr(function, "__globals__", {})
    try:
        hints = get_type_hints(alone, names, _closed_over(function), include_extras=True)
    except NameError:
        return None
    return hints["return"]


def place_of(function: Callable[..., Any]) -> str:
    """Say where a function is defined: the same again when its module is imported again."""
    function = inspect.unwrap(function)
    name = getattr(function, "__qualname__", repr(function))
    place = f"{getattr(function, '__module__', '?')}.{name}"
    if "<locals>" in place and hasattr(function, "__code__"):
        # Two definitions in one function may bear one name, and are two all the same.
        return f"{place}:{function.__code__.co_firstlineno}"
    return place


def _closed_over(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return dict(inspect.getclosurevars(function).nonlocals)
    except TypeError:
        return {}
