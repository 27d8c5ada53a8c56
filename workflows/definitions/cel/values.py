"""How values of an expression compare and calculate: JSON's types, moments and durations."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

LARGEST = 2**63 - 1
SMALLEST = -(2**63)

# Takes from the work that is left to an evaluation, and fails where there is not as much.
Spend = Callable[[int], None]


class EvaluationFailed(Exception):  # noqa: N818 - never leaves the evaluation
    """The expression has no value for these variables."""


def is_number(value: Any) -> bool:
    """Say whether the value is an int or a float; a bool is neither."""
    return type(value) is int or type(value) is float


def work_of(value: Any) -> int:
    """Estimate the work of going through a value once, without what its parts hold."""
    if isinstance(value, str):
        return 1 + len(value) // 64
    return 1 + len(value) if isinstance(value, list | dict) else 1


def equal(left: Any, right: Any, spend: Spend) -> bool:
    """Compare deeply: 1 equals 1.0, and nothing else equals a value of another type."""
    spend(work_of(left))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            equal(*items, spend) for items in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal(left[key], right[key], spend) for key in left
        )
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Make `<` and its like refuse operands of different types, and null."""

    def compared(left: Any, right: Any) -> bool:
        if is_number(left) and is_number(right):
            return compare(left, right)
        if type(left) is type(right) and isinstance(left, str | bool | datetime | timedelta):
            return compare(left, right)
        raise EvaluationFailed

    return compared


def contains(item: Any, container: Any, spend: Spend) -> bool:
    """Say whether a list has the item, or a map the key."""
    if isinstance(container, list):
        return any(equal(item, other, spend) for other in container)
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    raise EvaluationFailed


def add(left: Any, right: Any, spend: Spend) -> Any:
    """Add numbers, durations and moments; join texts and lists."""
    if is_number(left) and is_number(right):
        return checked(left + right)
    if type(left) is type(right) and isinstance(left, str | list):
        spend(work_of(left) + work_of(right))
        return left + right
    if {type(left), type(right)} in ({datetime, timedelta}, {timedelta}):
        return within_time(operator.add, left, right)
    raise EvaluationFailed


def subtract(left: Any, right: Any) -> Any:
    """Subtract numbers, durations and moments."""
    if is_number(left) and is_number(right):
        return checked(left - right)
    if isinstance(left, datetime | timedelta) and type(right) in (type(left), timedelta):
        return within_time(operator.sub, left, right)
    raise EvaluationFailed


def multiply(left: Any, right: Any) -> Any:
    """Multiply numbers."""
    require_numbers(left, right)
    return checked(left * right)


def divide(left: Any, right: Any) -> Any:
    """Divide numbers; two ints give an int, cut towards zero."""
    require_numbers(left, right)
    if right == 0:
        raise EvaluationFailed
    if type(left) is int and type(right) is int:
        quotient = abs(left) // abs(right)
        return checked(quotient if (left < 0) == (right < 0) else -quotient)
    return checked(left / right)


def remainder(left: Any, right: Any) -> Any:
    """Give the remainder of two ints, with the sign of the first."""
    if type(left) is not int or type(right) is not int or right == 0:
        raise EvaluationFailed
    return int(math.copysign(1, left)) * (abs(left) % abs(right))


def negate(value: Any) -> Any:
    """Change the sign of a number or a duration."""
    if isinstance(value, timedelta):
        return -value
    require_numbers(value)
    return checked(-value)


def checked(number: Any) -> Any:
    """Give the number back if JSON and 64 bits can hold it."""
    if type(number) is float and not math.isfinite(number):
        raise EvaluationFailed
    if type(number) is int and not SMALLEST <= number <= LARGEST:
        raise EvaluationFailed
    return number


def require_numbers(*values: Any) -> None:
    """Fail unless all values are numbers."""
    if not all(map(is_number, values)):
        raise EvaluationFailed


def within_time(calculate: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Calculate with moments and durations, and fail where Python's calendar ends."""
    try:
        return calculate(left, right)
    except OverflowError as error:
        raise EvaluationFailed from error
