"""From the tree of an expression to a function that evaluates it.

Every node becomes a closure over the closures of its parts, so that an evaluation looks at no
tree: a comparison of two paths takes about a microsecond, however large the event is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from workflows.definitions.cel import syntax, values
from workflows.definitions.cel.functions import FUNCTIONS
from workflows.definitions.cel.syntax import Node
from workflows.definitions.cel.values import EvaluationFailed, work_of

MOST_WORK = 100_000
DEEPEST_EVALUATION = 64


class Scope:
    """The variables of an evaluation, and the work that is left to it and its inner scopes."""

    __slots__ = ("budget", "variables")

    def __init__(self, variables: dict[str, Any], budget: list[int] | None = None) -> None:
        self.variables = variables
        self.budget = [MOST_WORK] if budget is None else budget

    def inner(self) -> Scope:
        """Give a scope of the same variables, which others may be added to."""
        return Scope(dict(self.variables), self.budget)

    def spend(self, amount: int) -> None:
        """Take from the work that is left.

        Raises:
            EvaluationFailed: there is not as much left.
        """
        self.budget[0] -= amount
        if self.budget[0] < 0:
            raise EvaluationFailed


Evaluate = Callable[[Scope], Any]


def compile_tree(text: str, tree: Node, variables: Sequence[str]) -> Evaluate:
    """Give the function that evaluates a tree; it raises nothing but EvaluationFailed.

    Raises:
        InvalidExpression: the tree names an unknown variable or function, or is too deep.
    """
    return _Compiler(text).compile(tree, tuple(variables))


class _Compiler:
    """Compiles one expression; `names` are the variables that a node may name."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0

    def compile(self, node: Node, names: tuple[str, ...]) -> Evaluate:
        self.depth += 1
        if self.depth > DEEPEST_EVALUATION:
            raise syntax.invalid(self.text, f"it is deeper than {DEEPEST_EVALUATION}")
        compiled = self._compile(node, names)
        self.depth -= 1
        return compiled

    def _compile(  # noqa: C901, PLR0911 - one case for each kind of node
        self, node: Node, names: tuple[str, ...]
    ) -> Evaluate:
        match node:
            case syntax.Literal(value):
                return lambda _scope: value
            case syntax.Name():
                return self._name(node, names)
            case syntax.Index():
                return self._index(node, names)
            case syntax.Operation():
                return self._operation(node, names)
            case syntax.Call():
                return self._call(node, names)
            case syntax.Macro():
                return self._macro(node, names)
            case syntax.Has(target, key):
                return _presence(self.compile(target, names), self.compile(key, names))
            case syntax.ListOf(items):
                return _list(self._all(items, names))
            case syntax.MapOf(entries):
                return _map([(self.compile(k, names), self.compile(v, names)) for k, v in entries])

    def _all(self, nodes: Sequence[Node], names: tuple[str, ...]) -> list[Evaluate]:
        return [self.compile(node, names) for node in nodes]

    def _name(self, node: syntax.Name, names: tuple[str, ...]) -> Evaluate:
        name = node.name
        if name not in names:
            reason = f"{name!r} is no variable here{nearest(name, names)}"
            raise syntax.invalid(self.text, reason, node.position)
        return lambda scope: scope.variables[name]

    def _index(self, node: syntax.Index, names: tuple[str, ...]) -> Evaluate:
        path = constant_path(node)
        if path is not None and path[0] in names:
            return _path(*path)
        return _lookup(self.compile(node.target, names), self.compile(node.key, names))

    def _operation(self, node: syntax.Operation, names: tuple[str, ...]) -> Evaluate:
        return _OPERATIONS[node.operator](*self._all(node.operands, names))

    def _call(self, node: syntax.Call, names: tuple[str, ...]) -> Evaluate:
        function = FUNCTIONS.get(node.function)
        if function is None:
            reason = f"there is no function {node.function!r}{nearest(node.function, FUNCTIONS)}"
            raise syntax.invalid(self.text, reason, node.position)
        if not function.fewest <= len(node.arguments) <= function.most:
            reason = f"{node.function} does not take {len(node.arguments)} arguments"
            raise syntax.invalid(self.text, reason, node.position)
        return _call(function.call, self._all(node.arguments, names))

    def _macro(self, node: syntax.Macro, names: tuple[str, ...]) -> Evaluate:
        items = self.compile(node.items, names)
        bodies = self._all(node.bodies, (*names, node.variable))
        return _MACROS[node.macro](_each(items, node.variable), node.variable, *bodies)


def constant_path(node: Node) -> tuple[str, tuple[Any, ...]] | None:
    """Give a variable and the constant keys after it, for `event.data["x"].y` and its like."""
    keys: list[Any] = []
    while isinstance(node, syntax.Index):
        if not isinstance(node.key, syntax.Literal):
            return None
        keys.append(node.key.value)
        node = node.target
    return (node.name, tuple(reversed(keys))) if isinstance(node, syntax.Name) else None


def nearest(name: str, names: Any) -> str:
    """Say which known name was probably meant."""
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _path(name: str, keys: tuple[Any, ...]) -> Evaluate:
    if not all(isinstance(key, str) for key in keys):
        return _mixed_path(name, keys)

    def path(scope: Scope) -> Any:
        value = scope.variables[name]
        for key in keys:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    return path


def _mixed_path(name: str, keys: tuple[Any, ...]) -> Evaluate:
    def path(scope: Scope) -> Any:
        value = scope.variables[name]
        for key in keys:
            value = _at(value, key)
        return value

    return path


def _lookup(target: Evaluate, key: Evaluate) -> Evaluate:
    return lambda scope: _at(target(scope), key(scope))


def _at(value: Any, key: Any) -> Any:
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    if isinstance(value, list) and type(key) is int and 0 <= key < len(value):
        return value[key]
    return None


def _presence(target: Evaluate, key: Evaluate) -> Evaluate:
    def present(scope: Scope) -> bool:
        holder = target(scope)
        name = key(scope)
        return isinstance(holder, dict) and isinstance(name, str) and name in holder

    return present


def _list(items: list[Evaluate]) -> Evaluate:
    return lambda scope: [item(scope) for item in items]


def _map(entries: list[tuple[Evaluate, Evaluate]]) -> Evaluate:
    def evaluate(scope: Scope) -> dict[str, Any]:
        made = [(key(scope), value(scope)) for key, value in entries]
        if not all(isinstance(key, str) for key, _ in made):
            raise EvaluationFailed
        return dict(made)

    return evaluate


def _call(function: Callable[..., Any], arguments: list[Evaluate]) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        scope.spend(sum(map(work_of, values)))
        return function(*values)

    return evaluate


def _truth(value: Any) -> bool:
    if value is None or value is False:
        return False
    if value is True:
        return True
    raise EvaluationFailed


def _any(*operands: Evaluate) -> Evaluate:
    return lambda scope: _absorb(((operand, scope) for operand in operands), decisive=True)


def _both(*operands: Evaluate) -> Evaluate:
    return lambda scope: _absorb(((operand, scope) for operand in operands), decisive=False)


def _absorb(evaluations: Iterator[tuple[Evaluate, Scope]], *, decisive: bool) -> bool:
    """Join as || (decisive true) or && (false): what decides also outweighs what fails."""
    failed = False
    for evaluate, scope in evaluations:
        try:
            if _truth(evaluate(scope)) is decisive:
                return decisive
        except EvaluationFailed:
            failed = True
    if failed:
        raise EvaluationFailed
    return not decisive


def _not(operand: Evaluate) -> Evaluate:
    return lambda scope: not _truth(operand(scope))


def _conditional(condition: Evaluate, chosen: Evaluate, otherwise: Evaluate) -> Evaluate:
    return lambda scope: chosen(scope) if _truth(condition(scope)) else otherwise(scope)


def _unary(calculate: Callable[[Any], Any]) -> Callable[[Evaluate], Evaluate]:
    return lambda operand: lambda scope: calculate(operand(scope))


def _binary(calculate: Callable[[Any, Any], Any]) -> Callable[[Evaluate, Evaluate], Evaluate]:
    return lambda left, right: lambda scope: calculate(left(scope), right(scope))


def _spending(
    calculate: Callable[[Any, Any, Callable[[int], None]], Any],
) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """Make an operator whose work grows with its operands."""
    return lambda left, right: lambda scope: calculate(left(scope), right(scope), scope.spend)


_OPERATIONS: dict[str, Callable[..., Evaluate]] = {
    "||": _any,
    "&&": _both,
    "!": _not,
    "?": _conditional,
    "==": _spending(values.equal),
    "!=": _spending(lambda left, right, spend: not values.equal(left, right, spend)),
    "<": _binary(values.ordered(operator.lt)),
    "<=": _binary(values.ordered(operator.le)),
    ">": _binary(values.ordered(operator.gt)),
    ">=": _binary(values.ordered(operator.ge)),
    "in": _spending(values.contains),
    "+": _spending(values.add),
    "-": _binary(values.subtract),
    "*": _binary(values.multiply),
    "/": _binary(values.divide),
    "%": _binary(values.remainder),
    "neg": _unary(values.negate),
}

# Gives a scope for each item in turn, in which the macro's variable is the item.
Each = Callable[[Scope], Iterator[Scope]]


def _each(items: Evaluate, variable: str) -> Each:
    def each(scope: Scope) -> Iterator[Scope]:
        container = items(scope)
        if not isinstance(container, list | dict):
            raise EvaluationFailed
        inner = scope.inner()
        for item in container:
            scope.spend(1)
            inner.variables[variable] = item
            yield inner

    return each


def _macro_all(each: Each, _variable: str, body: Evaluate) -> Evaluate:
    return lambda scope: _absorb(((body, inner) for inner in each(scope)), decisive=False)


def _macro_exists(each: Each, _variable: str, body: Evaluate) -> Evaluate:
    return lambda scope: _absorb(((body, inner) for inner in each(scope)), decisive=True)


def _macro_exists_one(each: Each, _variable: str, body: Evaluate) -> Evaluate:
    return lambda scope: sum(_truth(body(inner)) for inner in each(scope)) == 1


def _macro_filter(each: Each, variable: str, body: Evaluate) -> Evaluate:
    return lambda scope: [inner.variables[variable] for inner in each(scope) if _truth(body(inner))]


def _macro_map(each: Each, _variable: str, *bodies: Evaluate) -> Evaluate:
    *condition, body = bodies
    return lambda scope: [
        body(inner) for inner in each(scope) if all(_truth(test(inner)) for test in condition)
    ]


_MACROS: dict[str, Callable[..., Evaluate]] = {
    "all": _macro_all,
    "exists": _macro_exists,
    "exists_one": _macro_exists_one,
    "filter": _macro_filter,
    "map": _macro_map,
}
