"""Every test that the guarantees name exists."""

import ast
import re
from pathlib import Path

PAGE = Path("docs/guarantees.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_guarantees_name_exists() -> None:
    named = NAMED.findall(PAGE.read_text())

    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(Path(path))]

    assert len(named) > 20
    assert missing == []


def test_every_promise_names_a_test() -> None:
    promises = PAGE.read_text().split("## What is not promised")[0].split("\n**")[1:]

    unproven = [promise.split("**")[0] for promise in promises if not NAMED.search(promise)]

    assert unproven == []


def functions_of(path: Path) -> set[str]:
    """Return the names of a file's functions."""
    if not path.exists():
        return set()
    return {
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }
