"""Expressions over events: keys, tags, conditions and priorities, as text that is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from workflows.definitions.cel.evaluation import Evaluate, Scope, compile_tree, constant_path
from workflows.definitions.cel.functions import to_text
from workflows.definitions.cel.syntax import (
    Index,
    Literal,
    Name,
    Node,
    Operation,
    parse,
    require_text,
)
from workflows.definitions.cel.values import EvaluationFailed
from workflows.errors import InvalidExpression

EVENT = ("event",)
EVENT_AND_ASYNC = ("event", "async")
ENVELOPE = ("data", "id", "name", "ts", "user", "v")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; its values are JSON's.

    Attributes:
        text: what was compiled.
        variables: the variables that it may name.
        equalities: equalities of the two events that must hold for it to be true.
    """

    text: str
    variables: tuple[str, ...]
    equalities: tuple[Equality, ...] = field(repr=False, compare=False)
    _evaluate: Evaluate = field(repr=False, compare=False)

    def evaluate(self, *, event: dict[str, Any], async_: dict[str, Any] | None = None) -> Any:
        """Give the value, or null where there is none (`null > 3`, `1 / 0`, too much work).

        Args:
            event: the run's event in wire form.
            async_: the arriving event in wire form, in waits and cancel rules.
        """
        return _value(self._evaluate, {"event": event, "async": async_})

    def truth(self, *, event: dict[str, Any], async_: dict[str, Any] | None = None) -> bool:
        """Say whether the value is true; null and everything else is not."""
        return self.evaluate(event=event, async_=async_) is True


@dataclass(frozen=True, slots=True)
class Equality:
    """`event... == async.path`: one that must hold for a whole expression to be true.

    An index can find by it the waits that an arriving event may end. Those found are candidates:
    the whole expression decides.

    Attributes:
        path: the keys that lead to the arriving event's side.
    """

    path: tuple[str, ...]
    _own: Evaluate = field(repr=False, compare=False)

    def own_key(self, event: dict[str, Any]) -> str:
        """Give the key of the run's own side; without a value it is null's."""
        return key_text(_value(self._own, {"event": event}))

    def arriving_key(self, async_: dict[str, Any]) -> str:
        """Give the key of the arriving event's side; equal values have equal keys."""
        return arriving_key(self.path, async_)


def compile_expression(
    text: str, *, variables: tuple[str, ...] = EVENT, argument: str = ""
) -> Expression:
    """Compile an expression; the same text is compiled once.

    Args:
        text: the expression.
        variables: the variables that it may name.
        argument: what the message calls the expression.

    Raises:
        InvalidExpression: the text breaks the grammar, or names an unknown variable or function.
    """
    try:
        return _compiled(require_text(text), variables)
    except InvalidExpression as error:
        raise InvalidExpression(f"{argument}: {error}" if argument else str(error)) from None


def match_expression(path: str) -> str:
    """Give the expression that `match=` is short for; a missing path matches nothing.

    Raises:
        InvalidExpression: the path is no dotted path into an event.
    """
    if not _PATH.fullmatch(str(path)):
        raise InvalidExpression(
            f"{path!r} is no path for match: write the keys from the event on, with dots, "
            f'as in "data.parentId".'
        )
    return f"event.{path} == async.{path} && event.{path} != null"


def key_text(value: Any) -> str:
    """Give a key's value as text that is equal exactly where the values are.

    It is JSON with sorted names: `"1"` in quotes is a text, `1` a number (1.0 too), `null` null.
    """
    if value is None or isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(_canonical(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def arriving_key(path: tuple[str, ...], async_: dict[str, Any]) -> str:
    """Give the key of what stands at a path of an event; a missing one is null's."""
    value: Any = async_
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return key_text(value)


_PATH = re.compile(rf"(?:{'|'.join(ENVELOPE)})(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)


@lru_cache(maxsize=4096)
def _compiled(text: str, variables: tuple[str, ...]) -> Expression:
    tree = parse(text)
    evaluate = compile_tree(text, tree, variables)
    return Expression(text, variables, tuple(_equalities(text, tree)), evaluate)


def _equalities(text: str, tree: Node) -> Iterator[Equality]:
    match tree:
        case Operation("&&", operands):
            for operand in operands:
                yield from _equalities(text, operand)
        case Operation("==", (left, right)):
            for arriving, own in ((left, right), (right, left)):
                path = constant_path(arriving)
                if path and path[0] == "async" and _names_keys(path[1]) and _is_own(own):
                    yield Equality(path[1], compile_tree(text, own, EVENT))


def _names_keys(keys: tuple[Any, ...]) -> bool:
    return all(isinstance(key, str) for key in keys)


def _is_own(tree: Node) -> bool:
    """Say whether a side is a plain path of the run's own event, or a constant."""
    match tree:
        case Name(name):
            return name == "event"
        case Index(target, key):
            return _is_own(target) and _is_own(key)
        case _:
            return isinstance(tree, Literal)


def _value(evaluate: Evaluate, variables: dict[str, Any]) -> Any:
    try:
        return _as_json(evaluate(Scope(variables)))
    except EvaluationFailed:
        return None


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime | timedelta):
        return to_text(value)
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return value


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**63:
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value
