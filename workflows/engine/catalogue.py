"""The catalogue: what routing needs of all registered workflows, compiled from their rows.

It is read anew only when its revision has changed.
"""

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from workflows.definitions.events import RUN_CANCELLED, RUN_FAILED, RUN_FINISHED
from workflows.definitions.expressions import Expression, compile_expression
from workflows.definitions.triggers import name_matches
from workflows.engine.gate_rules import GateRules, compile_gates
from workflows.engine.limits import Regime, compile_regime
from workflows.engine.overrides import overridden
from workflows.engine.sql import sql
from workflows.models import Catalogue as CatalogueRow
from workflows.models import MatchPath, RegisteredWorkflow

ABOUT_ENDS = (RUN_FINISHED, RUN_FAILED, RUN_CANCELLED)


@dataclass(frozen=True, slots=True)
class CancelRule:
    """Events that cancel a workflow's runs."""

    event: str
    condition: str | None
    timeout_ms: int | None


@dataclass(frozen=True, slots=True)
class Route:
    """One trigger of one workflow: events that match it start a run."""

    workflow: str
    queue: str
    pattern: str
    condition: Expression | None
    tags: tuple[tuple[str, Expression], ...] = ()
    cancel_on: tuple[CancelRule, ...] = ()
    priority: Expression | None = None
    start_within_ms: int | None = None
    finish_within_ms: int | None = None
    gates: GateRules | None = None


@dataclass(slots=True, eq=False)
class Catalogue:
    """All triggers of all active workflows, found by the event's name."""

    revision: int
    queues: tuple[str, ...] = ("default",)
    ids: frozenset[str] = frozenset()
    exact: dict[str, list[Route]] = field(default_factory=lambda: defaultdict(list))
    wildcards: list[Route] = field(default_factory=list)
    targets: dict[str, Route] = field(default_factory=dict)
    failure_workflows: dict[str, str] = field(default_factory=dict)
    ends_are_awaited: bool = False
    regimes: dict[str, Regime] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    unsettled: tuple[Regime, ...] = ()
    counts_active: bool = False

    def withheld_from(self, known: Container[str]) -> list[str]:
        """Return the workflows, also retired ones, of which a worker must take no run.

        It does not know them, or they are paused.
        """
        return [id_ for id_ in self.ids if id_ not in known or id_ in self.paused]

    def regime_of(self, workflow: str) -> Regime | None:
        """Return what holds for the runs of a workflow; None where nothing limits them."""
        regime = self.regimes.get(workflow)
        return regime if regime is not None and regime.has_lanes else None

    def routes_for(self, event_name: str) -> list[Route]:
        """Return the triggers whose name, or pattern, is the event's."""
        wild = [route for route in self.wildcards if name_matches(route.pattern, event_name)]
        return [*self.exact.get(event_name, ()), *wild]


_cached: Catalogue | None = None


def current_catalogue() -> Catalogue:
    """Return the catalogue as it stands in the database."""
    return catalogue_of(sql().catalogue_revision())


def catalogue_of(revision: int) -> Catalogue:
    """Return the catalogue of a revision that was read just now."""
    global _cached  # noqa: PLW0603  a process has one
    if _cached is None or _cached.revision != revision:
        _cached = compile_catalogue(revision)
    return _cached


def latest_catalogue() -> Catalogue:
    """Return the catalogue as this process last saw it."""
    return _cached or current_catalogue()


def forget_catalogue() -> None:
    """Read the catalogue anew next time: for tests, whose database forgets."""
    global _cached  # noqa: PLW0603
    _cached = None


def raise_revision() -> None:
    """Let every process read the catalogue anew, in the caller's transaction."""
    CatalogueRow.objects.filter(pk=1).update(revision=F("revision") + 1)


def compile_catalogue(revision: int) -> Catalogue:
    """Read all active workflows and compile their triggers."""
    rows = list(RegisteredWorkflow.objects.order_by("id"))
    queues = tuple(sorted({row.declaration["queue"] for row in rows})) or ("default",)
    catalogue = Catalogue(revision=revision, queues=queues, ids=frozenset(row.id for row in rows))
    paths = MatchPath.objects.filter(event_name__in=ABOUT_ENDS)
    catalogue.ends_are_awaited = paths.exists()
    _add_regimes(catalogue, rows)
    for row in rows:
        if row.retired_at is not None:
            continue
        catalogue.targets[row.id] = _route(row.id, row.declaration, {"event": "", "if": None})
        if row.declaration["failure_of"]:
            catalogue.failure_workflows[row.declaration["failure_of"]] = row.id
        for route in _routes(row.id, row.declaration):
            if route.pattern.endswith("*"):
                catalogue.wildcards.append(route)
            else:
                catalogue.exact[route.pattern].append(route)
    return catalogue


def _add_regimes(catalogue: Catalogue, rows: Sequence[RegisteredWorkflow]) -> None:
    """Let the catalogue know what limits runs, also those of workflows that are retired."""
    for row in rows:
        declaration = overridden(row.declaration, row.overrides)
        catalogue.regimes[row.id] = compile_regime(
            row.id,
            declaration,
            paused_at=row.paused_at,
            is_known=row.unknown_since is None,
            settled=row.settled,
        )
        if "retries" in row.overrides:
            catalogue.retries[row.id] = declaration["retries"]
    regimes = catalogue.regimes.values()
    catalogue.paused = frozenset(regime.workflow for regime in regimes if regime.is_paused)
    catalogue.unsettled = tuple(regime for regime in regimes if regime.summary != regime.settled)
    catalogue.counts_active = any(
        rule.counts == "active" for regime in regimes for rule in regime.concurrency
    )


def _routes(workflow: str, declaration: dict[str, Any]) -> list[Route]:
    return [
        _route(workflow, declaration, trigger)
        for trigger in declaration["triggers"]
        if trigger["kind"] == "event"
    ]


def _route(workflow: str, declaration: dict[str, Any], trigger: dict[str, Any]) -> Route:
    timeouts = declaration["timeouts"] or {}
    return Route(
        workflow=workflow,
        queue=declaration["queue"],
        pattern=trigger["event"],
        condition=compile_expression(trigger["if"]) if trigger["if"] else None,
        tags=tuple((name, compile_expression(text)) for name, text in declaration["tags"].items()),
        cancel_on=tuple(
            CancelRule(rule["event"], rule["if"], rule["timeout_ms"])
            for rule in declaration["cancel_on"]
        ),
        priority=_priority(declaration["priority"]),
        start_within_ms=timeouts.get("start_ms"),
        finish_within_ms=timeouts.get("finish_ms"),
        gates=compile_gates(workflow, declaration),
    )


def _priority(rule: dict[str, Any] | None) -> Expression | None:
    return compile_expression(rule["run"]) if rule else None
