"""A workflow's limits in words, the code's own beside what operators put in their place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from workflows.admin.display import duration_ms

OVERRIDABLE = ("concurrency", "throttle", "retries")
DECLARED = ("rate_limit", "debounce", "batch", "singleton", "idempotency", "priority", "timeouts")


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit: the code's own value, and an operator's where there is one."""

    name: str
    code: str
    override: str | None


def limit_lines(declaration: Mapping[str, Any], overrides: Mapping[str, Any]) -> list[LimitLine]:
    """Return what is declared, and what can be overridden whether it is or not."""
    lines = [
        LimitLine(
            name.replace("_", " "),
            in_words(name, declaration[name]),
            in_words(name, overrides[name]) if name in overrides else None,
        )
        for name in OVERRIDABLE
    ]
    lines += [
        LimitLine(name.replace("_", " "), in_words(name, declaration[name]), None)
        for name in DECLARED
        if declaration[name]
    ]
    return lines


def in_words(name: str, value: Any) -> str:
    """Say what a limit is."""
    if value is None or value == []:
        return _("none")
    if name == "concurrency":
        return "; ".join(_concurrency(each) for each in value)
    if isinstance(value, Mapping):
        return ", ".join(_part(key, part) for key, part in value.items() if part is not None)
    return str(value)


def short(declaration: Mapping[str, Any]) -> str:
    """Say in a few words what limits a workflow, for a list."""
    said = [_concurrency(each) for each in declaration["concurrency"]]
    if throttle := declaration["throttle"]:
        period = throttle.get("period") or duration_ms(throttle["period_ms"])
        said.append(f"{throttle['limit']} in {period}")
    said += [name.replace("_", " ") for name in DECLARED[:5] if declaration[name]]
    return "; ".join(said)


def _concurrency(rule: Mapping[str, Any]) -> str:
    key, counts = rule.get("key"), rule.get("counts", "executing")
    said = str(rule["limit"]) if counts == "executing" else f"{rule['limit']} active"
    if key:
        said += f" per {key}"
    return f"{said}, platform-wide" if rule.get("scope") == "platform" else said


def _part(name: str, value: Any) -> str:
    if name.endswith("_ms"):
        return f"{name.removesuffix('_ms')} {duration_ms(value)}"
    return f"{name} {value}"
