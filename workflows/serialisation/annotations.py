"""What a function says it returns: the type by which its stored result is rebuilt."""

import contextlib
import functools
import inspect
import typing
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from weakref import WeakKeyDictionary

NO_ANNOTATION = Any

_known: "WeakKeyDictionary[Any, Any]" = WeakKeyDictionary()


def return_annotation(fn: Callable[..., Any]) -> Any:
    """Return a function's return annotation; `Any` where it has none that can be resolved.

    Of a coroutine function it is what awaiting it gives; a partial has its function's.
    """
    fn = _unwrapped(fn)
    try:
        return _known[fn]
    except (KeyError, TypeError):
        annotation = _resolved(fn)
    with contextlib.suppress(TypeError):  # a built-in, or a callable without a hash
        _known[fn] = annotation
    return annotation


def _unwrapped(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__func__", fn)


def _resolved(fn: Any) -> Any:
    target = fn if inspect.isroutine(fn) else type(fn).__call__
    if inspect.isclass(fn):
        return fn
    try:
        annotation = typing.get_type_hints(target, include_extras=True).get("return", NO_ANNOTATION)
    except (NameError, TypeError, AttributeError):
        return NO_ANNOTATION
    return _awaited(annotation)


def _awaited(annotation: Any) -> Any:
    """Return what `Awaitable[X]` or `Coroutine[..., X]` gives when it is awaited."""
    if typing.get_origin(annotation) in (Awaitable, Coroutine):
        return typing.get_args(annotation)[-1]
    return annotation
