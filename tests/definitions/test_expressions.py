"""Expressions: their values, null where something is missing, bounds, refusals, and keys."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions.cel import values
from workflows.definitions.expressions import (
    EVENT_AND_ASYNC,
    arriving_key,
    compile_expression,
    key_text,
    match_expression,
)
from workflows.errors import InvalidExpression

EVENT = {
    "id": "e1",
    "name": "shop/order.placed",
    "ts": 1_767_225_600_000,
    "user": None,
    "v": None,
    "data": {
        "x": 5,
        "f": 5.0,
        "price": 2.5,
        "s": "abc",
        "none": None,
        "yes": True,
        "no": False,
        "list": [1, 2.0, "3", None],
        "map": {"a": 1, "in": 2},
        "items": [{"price": 3}, {"price": 30, "gift": True}, {}],
        "at": "2026-03-01T12:30:00Z",
        "big": 2**63 - 1,
        "odd key": 9,
    },
}


def evaluate(text: str) -> Any:
    return compile_expression(text).evaluate(event=EVENT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # paths
        ("event.data.x", 5),
        ("event['data']['odd key']", 9),
        ("event.data.list[1]", 2.0),
        ("event.data.map.in", 2),
        ("event.name", "shop/order.placed"),
        # what is missing is null, at any depth
        ("event.data.missing", None),
        ("event.data.a.b.c", None),
        ("event.data.a.b == null", True),
        ("event.data.none.a", None),
        ("event.data.s.a", None),
        ("event.data.list[9]", None),
        ("event.data.list[-1]", None),
        ("event.data.missing[0]['x']", None),
        ("event.data.map[event.data.missing]", None),
        ("event.data.missing != 'x'", True),
        ("event.data.missing in [null]", True),
        ("has(event.data.none)", True),
        ("has(event.data.missing)", False),
        ("has(event.data.a.b)", False),
        # null counts as false in logic
        ("!event.data.missing", True),
        ("event.data.vip ? 120 : 0", 0),
        ("event.data.yes ? 120 : 0", 120),
        ("event.data.missing || event.data.yes", True),
        ("event.data.missing && event.data.yes", False),
        # and makes comparisons and arithmetic fail, which what decides outweighs
        ("event.data.missing > 3", None),
        ("!(event.data.missing > 3)", None),
        ("event.data.missing > 3 || event.data.x == 5", True),
        ("event.data.x == 5 || event.data.missing > 3", True),
        ("event.data.missing > 3 && event.data.x == 6", False),
        ("event.data.missing > 3 && event.data.x == 5", None),
        ("event.data.missing + 1", None),
        # comparisons
        ("event.data.x > 3", True),
        ("event.data.x > 4.5", True),
        ("event.data.x == 5.0", True),
        ("event.data.f == 5", True),
        ("event.data.x == '5'", False),
        ("event.data.yes == 1", False),
        ("event.data.x != 5", False),
        ("event.data.s < 'abd'", True),
        ("event.data.s < 1", None),
        ("event.data.list == [1.0, 2, '3', null]", True),
        ("event.data.map == {'a': 1.0, 'in': 2}", True),
        ("[true] == [1]", False),
        ("2 in event.data.list", True),
        ("'a' in event.data.map", True),
        ("'z' in event.data.map", False),
        ("1 in event.data.missing", None),
        # arithmetic
        ("1 + 2 * 3 - 4", 3),
        ("(1 + 2) * 3", 9),
        ("event.data.x * 1.5", 7.5),
        ("event.data.price * 2", 5.0),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2", 3.5),
        ("1 / 0", None),
        ("1.0 / 0", None),
        ("event.data.big + 1", None),
        ("- event.data.x", -5),
        ("--5", 5),
        ("0x1F + 5u", 36),
        ("event.data.s + 'd'", "abcd"),
        ("event.data.s + 1", None),
        ("event.data.s + string(1)", "abc1"),
        ("[1] + [2]", [1, 2]),
        # texts
        ("event.data.s.startsWith('ab')", True),
        ("event.data.s.contains('z')", False),
        ("event.data.s.matches('^a.c$')", True),
        ("event.data.s.matches('(')", None),
        ("size(event.data.s) + event.data.list.size()", 7),
        ("event.data.s.upperAscii()", "ABC"),
        ("event.data.s.replace('b', 'xy')", "axyc"),
        ("event.data.x.startsWith('a')", None),
        (r"'a\n\x41\u00e9\'' + r'\n'", "a\nAé'\\n"),
        ("'''it's'''", "it's"),
        # conversions
        ("string(1.0)", "1"),
        ("int('7') + int(2.9)", 9),
        ("int('x')", None),
        ("double(1)", 1.0),
        ("bool('true')", True),
        ("type(event.data.x)", "int"),
        # moments
        ("timestamp(event.data.at) < timestamp('2026-03-01T12:30:00.5+00:00')", True),
        ("timestamp(event.data.at) + duration('1h')", "2026-03-01T13:30:00Z"),
        ("timestamp(event.data.at).getHours('Europe/Berlin')", 13),
        ("timestamp(event.data.at).getDayOfWeek()", 0),
        ("timestamp(event.data.at) - timestamp('2026-03-01T00:00:00Z')", "12h30m"),
        ("timestamp('2026-03-01T00:00:00')", None),
        ("timestamp(1e30)", None),
        # comprehensions
        ("event.data.items.exists(i, i.price > 10)", True),
        ("event.data.items.all(i, i.price > 1)", None),
        ("event.data.items.all(i, i.price != 7)", True),
        ("event.data.items.filter(i, i.gift)", [{"price": 30, "gift": True}]),
        ("event.data.items.map(i, i.price)", [3, 30, None]),
        ("event.data.items.map(i, i.price > 10, i.price)", None),
        ("event.data.items.exists_one(i, i.price == null)", True),
        ("event.data.map.exists(key, key == 'a')", True),
        ("[1, 2].map(i, [10, 20].map(j, i * j))", [[10, 20], [20, 40]]),
        ("event.data.missing.exists(i, true)", None),
        ("{'a': event.data.x}.a", 5),
        ("{1: 2}", None),
        ("true // a comment", True),
    ],
)
def test_an_expression_has_this_value(text: str, value: Any) -> None:
    result = evaluate(text)

    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("event.data.", "a name is missing before the end"),
        ("", "did not expect the end"),
        ("event.data.x >", "did not expect the end"),
        ("a b", "did not expect 'b'"),
        ("event.data.x = 3", "'=' belongs to no part"),
        ("events.data.x", "'events' is no variable here; did you mean 'event'?"),
        ("async.data.x", "'async' is no variable here"),
        ("i > 3", "'i' is no variable here"),
        ("event.items.exists(i, i > 1) && i", "'i' is no variable here"),
        ("event.data.s.startWith('a')", "no function 'startWith'; did you mean 'startsWith'?"),
        ("size()", "size does not take 0 arguments"),
        ("__import__('os')", "no function '__import__'"),
        ("event.data.exists(i)", "exists takes a variable's name and an expression"),
        ("has(event)", "has takes one attribute"),
        ("if", "'if' is a reserved word"),
        ("'open", "belongs to no part"),
        (r"'\q'", "is no escape"),
        (r"'\ud800'", "is no character"),
        ("b'x'", "no bytes"),
        ("9223372036854775808", "beyond 64 bits"),
        ("1e999", "too large"),
        ("[1, 2", "',' is missing before the end"),
        ("true ? 1", "':' is missing before the end"),
        ("(" * 40 + "1" + ")" * 40, "deeper than 32"),
        ("1" + " + 1" * 100, "deeper than 64"),
        ("[" + "1," * 1500 + "1]", "more than 1000 parts"),
        ("'" + "x" * 5000 + "'", "has 5002 characters"),
        (None, "is no expression: write text"),
        (7, "is no expression: write text"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_reason(text: Any, reason: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        compile_expression(text)

    assert reason in str(caught.value)


def test_a_refusal_shows_the_text_and_the_place() -> None:
    with pytest.raises(InvalidExpression) as caught:
        compile_expression("event.data.x > y")

    assert str(caught.value) == (
        "The expression 'event.data.x > y' is wrong at character 16: 'y' is no variable here."
    )


def test_many_conditions_are_not_deep() -> None:
    text = " && ".join(f"event.data.k{n} == null" for n in range(150))

    assert evaluate(text) is True


@pytest.mark.parametrize(("value", "truth"), [("true", True), ("1", False), ("null", False)])
def test_only_true_is_true(value: str, truth: bool) -> None:
    assert compile_expression(value).truth(event=EVENT) is truth


def test_a_wait_compares_its_own_event_with_the_arriving_one() -> None:
    expression = compile_expression(
        "async.data.parentId == event.data.x", variables=EVENT_AND_ASYNC
    )

    matching = expression.truth(event=EVENT, async_={"data": {"parentId": 5.0}})
    other = expression.truth(event=EVENT, async_={"data": {}})

    assert (matching, other) == (True, False)


def test_runaway_work_ends_without_a_value() -> None:
    items = ", ".join(["0"] * 90)
    text = f"[{items}].map(a, [{items}].map(b, [{items}].map(c, [{items}].map(d, 1))))"
    before = time.perf_counter()

    assert evaluate(text) is None
    assert time.perf_counter() - before < 5


def test_comparing_large_lists_again_and_again_is_bounded() -> None:
    event = {"data": {"a": [[0] * 50] * 50, "b": [[0] * 50] * 50, "i": [0] * 5000}}
    expression = compile_expression("event.data.i.all(x, event.data.a == event.data.b)")

    assert expression.evaluate(event=event) is None


def test_a_pattern_that_backtracks_elsewhere_is_linear_here() -> None:
    before = time.perf_counter()
    event = {"data": {"s": "a" * 20_000 + "b"}}

    assert compile_expression("event.data.s.matches('(a+)+$')").evaluate(event=event) is False
    assert time.perf_counter() - before < 5


# What may be sent in an event.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["event.data.a", "event.data.a.b", "event.data.a[0]"]))
def test_no_event_makes_an_expression_raise(value: Any, path: str) -> None:
    event = {"data": {"a": value}}

    for text in (f"{path} > 3", f"{path} + {path}", f"{path}.exists(i, i == {path})", f"-{path}"):
        json.dumps(compile_expression(text).evaluate(event=event), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        ("1", '"1"'),
        ("né", '"né"'),
        ({"b": 1.0, "a": [2.0, None]}, '{"a":[2,null],"b":1}'),
    ],
)
def test_a_key_has_this_text(value: Any, text: str) -> None:
    assert key_text(value) == text


@given(JSON, JSON)
def test_keys_are_equal_exactly_where_values_are(left: Any, right: Any) -> None:
    assert (key_text(left) == key_text(right)) is values.equal(left, right, lambda _work: None)


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_int_and_its_float_have_one_key_exactly_where_they_are_equal(number: int) -> None:
    assert (key_text(float(number)) == key_text(number)) is (float(number) == number)


def test_match_is_short_for_equality_of_a_path_that_is_there() -> None:
    expression = compile_expression(match_expression("data.parent.id"), variables=EVENT_AND_ASYNC)
    event = {"data": {"parent": {"id": 7}}}

    assert expression.truth(event=event, async_={"data": {"parent": {"id": 7}}}) is True
    assert expression.truth(event=event, async_={"data": {"parent": {"id": 8}}}) is False
    assert expression.truth(event={"data": {}}, async_={"data": {}}) is False


@pytest.mark.parametrize("path", ["", "parentId", "event.data.x", "data..x", "data.x == 1", None])
def test_another_path_is_refused_for_match(path: Any) -> None:
    with pytest.raises(InvalidExpression, match="is no path for match"):
        match_expression(path)


def test_equalities_that_must_hold_are_found() -> None:
    expression = compile_expression(
        "async.data.id == event.data.x && ('paid' == async.data.state && async.data.n > 3)",
        variables=EVENT_AND_ASYNC,
    )
    arriving = {"data": {"id": 5.0, "state": "paid"}}

    found = [(e.path, e.own_key(EVENT), e.arriving_key(arriving)) for e in expression.equalities]

    assert found == [(("data", "id"), "5", "5"), (("data", "state"), '"paid"', '"paid"')]


@pytest.mark.parametrize(
    "text",
    [
        "async.data.id == event.data.x || async.data.y == 1",
        "!(async.data.id == event.data.x)",
        "async.data.id == async.data.x",
        "async.data.list[0] == 1",
        "async.data.id != event.data.x",
    ],
)
def test_equalities_that_need_not_hold_are_not_taken(text: str) -> None:
    assert compile_expression(text, variables=EVENT_AND_ASYNC).equalities == ()


def test_the_key_of_a_missing_path_is_that_of_null() -> None:
    assert arriving_key(("data", "a", "b"), {"data": {"a": 1}}) == key_text(None)


def test_the_same_text_is_compiled_once() -> None:
    assert compile_expression("event.data.x") is compile_expression("event.data.x")
