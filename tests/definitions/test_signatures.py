"""What is read off an author's function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from workflows.definitions.signatures import is_async, place_of, require_takes, return_type
from workflows.errors import InvalidWorkflow

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]


class Receipt:
    """Something that a function returns."""


def returns_a_receipt(event: Unknown, step: Unknown) -> Receipt:
    return Receipt()


def returns_nothing(event: Any, step: Any) -> None:
    pass


def says_nothing(event, step):  # type: ignore[no-untyped-def]
    pass


def returns_the_unknown(event: Any, step: Any) -> Unknown:
    pass


@functools.wraps(returns_a_receipt)
def wrapped(*args: Any) -> Any:
    return returns_a_receipt(*args)


@pytest.mark.parametrize(
    ("function", "type_"),
    [
        (returns_a_receipt, Receipt),
        (wrapped, Receipt),
        (returns_nothing, type(None)),
        (says_nothing, None),
        (returns_the_unknown, None),
        (functools.partial(returns_nothing), None),
    ],
)
def test_the_return_type_is_that_of_the_annotation(function: Any, type_: Any) -> None:
    assert return_type(function) is type_


def test_a_return_type_of_the_enclosing_function_is_found_where_the_body_uses_it() -> None:
    class Local:
        pass

    def local(event: Any, step: Any) -> Local:
        return Local()

    assert return_type(local) is Local


@pytest.mark.parametrize(
    "function",
    [
        returns_nothing,
        lambda e, s: None,
        lambda *args: None,
        lambda event, step, extra=1: None,
        functools.partial(lambda tenant, event, step: None, "acme"),
    ],
)
def test_a_function_of_two_arguments_passes(function: Callable[..., Any]) -> None:
    require_takes(function, ("event", "step"))


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (lambda: None, "it must take (event, step), not ()."),
        (lambda event: None, "not (event)."),
        (lambda event, step, more: None, "not (event, step, more)."),
        (lambda *, event, step: None, "not (*, event, step)."),
        (lambda step, event: None, "in this order"),
        (lambda event, step: (yield), "must not yield"),
        (Receipt, "is no function"),
        (7, "7 is no function"),
        (None, "None is no function"),
    ],
)
def test_another_function_is_refused(function: Any, fault: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        require_takes(function, ("event", "step"))

    assert fault in str(caught.value)


async def asynchronous(event: Any, step: Any) -> None:
    pass


def test_a_coroutine_function_is_async() -> None:
    assert (is_async(asynchronous), is_async(returns_nothing)) == (True, False)


def test_a_function_of_a_module_is_placed_by_its_name() -> None:
    assert place_of(returns_nothing) == f"{__name__}.returns_nothing"


def test_two_local_functions_of_one_name_have_two_places() -> None:
    def local(event: Any, step: Any) -> None:
        pass

    first = place_of(local)

    def local(event: Any, step: Any) -> None:  # type: ignore[no-redef]
        pass

    assert place_of(local) != first
