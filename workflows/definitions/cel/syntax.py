"""From the text of an expression to its tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workflows.errors import InvalidExpression

LONGEST_TEXT = 4096
DEEPEST_TREE = 32
MOST_NODES = 1000

MACROS = frozenset(("all", "exists", "exists_one", "filter", "map"))
RESERVED = frozenset(
    (
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    )
)
CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Index:
    """An attribute, or what stands at a key or an index."""

    target: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function; `target.function(arguments)` has its target as the first argument."""

    function: str
    arguments: tuple[Node, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Macro:
    """A comprehension: `items.macro(variable, bodies...)`."""

    macro: str
    items: Node
    variable: str
    bodies: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """`has(target.key)`: the key is there, even if its value is null."""

    target: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator and its one, two or three operands; `?` is the conditional, `-x` is `neg`."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{key: value}`."""

    entries: tuple[tuple[Node, Node], ...]


Node = Literal | Name | Index | Call | Macro | Has | Operation | ListOf | MapOf


def parse(text: str) -> Node:
    """Give the tree of an expression.

    Raises:
        InvalidExpression: the text is too long or too deep, or breaks the grammar.
    """
    if len(text) > LONGEST_TEXT:
        raise InvalidExpression(
            f"The expression {text[:60]!r}... has {len(text)} characters; "
            f"{LONGEST_TEXT} are allowed."
        )
    return _Parser(text).parse()


def require_text(text: object) -> str:
    """Give the text of an expression back.

    Raises:
        InvalidExpression: it is something else.
    """
    if not isinstance(text, str):
        raise InvalidExpression(f"{text!r} is no expression: write text.")
    return text


def invalid(text: str, reason: str, position: int | None = None) -> InvalidExpression:
    """Make the error that shows an expression, the place in it, and the reason."""
    place = "" if position is None else f" at character {position + 1}"
    return InvalidExpression(f"The expression {text!r} is wrong{place}: {reason}.")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


_TOKEN = re.compile(
    r"""
      (?P<space>    (?:\s|//[^\n]*)+ )
    | (?P<float>    [0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)? | [0-9]+[eE][+-]?[0-9]+
                  | \.[0-9]+(?:[eE][+-]?[0-9]+)? )
    | (?P<int>      (?:0[xX][0-9a-fA-F]+ | [0-9]+)[uU]? )
    | (?P<string>   [rRbB]*
                    (?: \"\"\"(?:\\.|[^\\])*?\"\"\" | '''(?:\\.|[^\\])*?'''
                      | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ) )
    | (?P<name>     [_a-zA-Z][_a-zA-Z0-9]* )
    | (?P<operator> \|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}] )
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)

_ESCAPE = re.compile(
    r"\\(?:[xX](?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2})|(?P<plain>.))",
    re.DOTALL,
)
_PLAIN_ESCAPES = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))

_LEVELS = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
_BINDING = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}


class _Parser:
    """Recursive descent, with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._scan())
        self.place = 0
        self.depth = 0
        self.nodes = 0

    def parse(self) -> Node:
        tree = self._expression()
        if self._now.kind != "end":
            raise self._unexpected()
        return tree

    def _scan(self) -> Iterator[_Token]:
        position = 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None:
                fault = f"{self.text[position]!r} belongs to no part of an expression"
                raise invalid(self.text, fault, position)
            kind = next(name for name in _KINDS if match[name] is not None)
            if kind != "space":
                yield _Token(kind, match.group(), position)
            position = match.end()
        yield _Token("end", "", position)

    @property
    def _now(self) -> _Token:
        return self.tokens[self.place]

    def _take(self) -> _Token:
        token = self._now
        self.place += 1
        return token

    def _at(self, *texts: str) -> bool:
        return self._now.kind in ("operator", "name") and self._now.text in texts

    def _take_if(self, text: str) -> bool:
        found = self._at(text)
        self.place += found
        return found

    def _require(self, text: str) -> None:
        if not self._take_if(text):
            raise self._unexpected(f"{text!r} is missing before ")

    def _expression(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST_TREE:
            raise invalid(self.text, f"it is deeper than {DEEPEST_TREE}", self._now.position)
        tree = self._binary(0)
        if self._take_if("?"):
            chosen = self._binary(0)
            self._require(":")
            tree = self._node(Operation("?", (tree, chosen, self._expression())))
        self.depth -= 1
        return tree

    def _binary(self, loosest: int) -> Node:
        tree = self._unary()
        while self._at(*_BINDING) and (level := _BINDING[self._now.text]) >= loosest:
            operator = self._take().text
            tree = self._node(self._joined(operator, tree, self._binary(level + 1)))
        return tree

    @staticmethod
    def _joined(operator: str, left: Node, right: Node) -> Node:
        # A chain of one logical operator is one operation, so that it is not deep.
        if operator in ("&&", "||") and isinstance(left, Operation) and left.operator == operator:
            return Operation(operator, (*left.operands, right))
        return Operation(operator, (left, right))

    def _unary(self) -> Node:
        operators = []
        while self._at("!", "-"):
            operators.append(self._take().text)
        tree = self._member()
        while operators:
            tree = self._negated(tree) if operators.pop() == "-" else Operation("!", (tree,))
            self._node(tree)
        return tree

    @staticmethod
    def _negated(tree: Node) -> Node:
        if isinstance(tree, Literal) and type(tree.value) in (int, float):
            return Literal(-tree.value)
        return Operation("neg", (tree,))

    def _member(self) -> Node:
        tree = self._primary()
        while True:
            if self._take_if("."):
                tree = self._node(self._attribute_or_method(tree))
            elif self._take_if("["):
                tree = self._node(Index(tree, self._expression()))
                self._require("]")
            else:
                return tree

    def _attribute_or_method(self, target: Node) -> Node:
        token = self._take()
        if token.kind != "name":
            self.place -= 1
            raise self._unexpected("a name is missing before ")
        if not self._at("("):
            return Index(target, Literal(token.text))
        if token.text in MACROS:
            return self._macro(target, token)
        return Call(token.text, (target, *self._arguments()), token.position)

    def _macro(self, items: Node, token: _Token) -> Node:
        arguments = self._arguments()
        allowed = (2, 3) if token.text == "map" else (2,)
        if len(arguments) not in allowed or not isinstance(arguments[0], Name):
            reason = f"{token.text} takes a variable's name and an expression"
            raise invalid(self.text, reason, token.position)
        return Macro(token.text, items, arguments[0].name, arguments[1:])

    def _primary(self) -> Node:
        token = self._take()
        parse_token = {
            "int": self._int,
            "float": self._float,
            "string": self._string,
            "name": self._name,
            "(": self._parenthesis,
            "[": self._list,
            "{": self._map,
        }.get(token.text if token.kind == "operator" else token.kind)
        if parse_token is None:
            self.place -= 1
            raise self._unexpected()
        return self._node(parse_token(token))

    def _name(self, token: _Token) -> Node:
        if token.text in CONSTANTS:
            return Literal(CONSTANTS[token.text])
        if token.text in RESERVED or token.text == "in":
            raise invalid(self.text, f"{token.text!r} is a reserved word", token.position)
        if not self._at("("):
            return Name(token.text, token.position)
        arguments = self._arguments()
        if token.text == "has":
            return self._has(token, arguments)
        return Call(token.text, arguments, token.position)

    def _has(self, token: _Token, arguments: tuple[Node, ...]) -> Node:
        if len(arguments) != 1 or not isinstance(arguments[0], Index):
            reason = "has takes one attribute, such as has(event.data.id)"
            raise invalid(self.text, reason, token.position)
        return Has(arguments[0].target, arguments[0].key)

    def _arguments(self) -> tuple[Node, ...]:
        self._require("(")
        return self._listed(")")

    def _parenthesis(self, _opening: _Token) -> Node:
        tree = self._expression()
        self._require(")")
        return tree

    def _list(self, _opening: _Token) -> Node:
        return ListOf(self._listed("]"))

    def _map(self, _opening: _Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._take_if("}"):
            key = self._expression()
            self._require(":")
            entries.append((key, self._expression()))
            if not self._at("}"):
                self._require(",")
        return MapOf(tuple(entries))

    def _listed(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take_if(end):
            items.append(self._expression())
            if not self._at(end):
                self._require(",")
        return tuple(items)

    def _int(self, token: _Token) -> Node:
        value = int(token.text.rstrip("uU"), 0 if token.text[:2].lower() == "0x" else 10)
        if value >= 2**63:
            raise invalid(self.text, "the number is beyond 64 bits", token.position)
        return Literal(value)

    def _float(self, token: _Token) -> Node:
        value = float(token.text)
        if value == float("inf"):
            raise invalid(self.text, "the number is too large", token.position)
        return Literal(value)

    def _string(self, token: _Token) -> Node:
        quoted = token.text.lstrip("rRbB")
        prefix = token.text[: -len(quoted)].lower()
        if "b" in prefix:
            raise invalid(self.text, "there are no bytes in JSON", token.position)
        quotes = 3 if quoted.startswith(('"""', "'''")) else 1
        body = quoted[quotes:-quotes]
        return Literal(body if prefix else self._unescaped(body, token.position))

    def _unescaped(self, body: str, position: int) -> str:
        def replace(match: re.Match[str]) -> str:
            if match["plain"] is not None:
                if match["plain"] not in _PLAIN_ESCAPES:
                    raise invalid(self.text, f"{match.group()} is no escape", position)
                return _PLAIN_ESCAPES[match["plain"]]
            if match["octal"]:
                return chr(int(match["octal"], 8))
            code = int(match["x"] or match["u"] or match["U"], 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004
                raise invalid(self.text, f"{match.group()} is no character", position)
            return chr(code)

        return _ESCAPE.sub(replace, body)

    def _node(self, tree: Node) -> Node:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise invalid(self.text, f"it has more than {MOST_NODES} parts")
        return tree

    def _unexpected(self, before: str = "did not expect ") -> InvalidExpression:
        token = self._now
        shown = "the end" if token.kind == "end" else repr(token.text)
        return invalid(self.text, f"{before}{shown}", token.position)


_KINDS = ("space", "float", "int", "string", "name", "operator")
