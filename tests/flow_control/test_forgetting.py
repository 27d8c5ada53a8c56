"""Lanes and paces that nobody uses are forgotten after a day, and made anew when a run comes."""

import threading
from typing import Any

import pytest

from workflows import Concurrency, Event, Step, Throttle, workflow
from workflows.engine.admit import forget_lanes
from workflows.models import Lane, Pace
from workflows.testing import Workflows
from workflows.workers import housekeeping


def declare() -> None:
    @workflow(
        id="napper",
        trigger="nap",
        concurrency=Concurrency(1, key="event.data.key", counts="active"),
        throttle=Throttle(1, "1m", key="event.data.key"),
    )
    def napper(event: Event[Any], step: Step) -> None:
        step.sleep("nap", event.data["length"])


def test_an_idle_lane_and_its_pace_are_forgotten_after_a_day(workflows: Workflows) -> None:
    declare()
    workflows.send("nap", {"key": "a", "length": "1s"})
    workflows.drain()
    workflows.advance("1h")

    workflows.advance("23h")
    early = (forget_lanes(), Lane.objects.count(), Pace.objects.count())
    workflows.advance("2h")
    forgotten = forget_lanes()

    assert early == (0, 1, 1)
    assert forgotten == 2
    assert (Lane.objects.count(), Pace.objects.count()) == (0, 0)
    assert forget_lanes() == 0


def test_a_lane_in_which_a_run_waits_is_kept(workflows: Workflows) -> None:
    declare()
    workflows.send("nap", {"key": "a", "length": "30d"})
    workflows.send("nap", {"key": "a", "length": "1s"})
    workflows.drain()
    workflows.advance("2d")

    forget_lanes()

    assert list(Lane.objects.values_list("state", flat=True)) == ["blocked"]


def test_a_run_whose_lane_was_forgotten_keeps_its_slot_and_finds_a_lane_again(
    workflows: Workflows,
) -> None:
    declare()
    workflows.send("nap", {"key": "a", "length": "3d"})
    workflows.drain()
    workflows.advance("2d")
    assert forget_lanes() == 2

    workflows.send("nap", {"key": "a", "length": "1s"})
    workflows.drain()
    assert [run.status for run in workflows.runs("napper")] == ["sleeping", "queued"]
    workflows.advance("2d")

    assert [run.status for run in workflows.runs("napper")] == ["completed", "completed"]


def test_who_keeps_house_forgets_lanes(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare()
    workflows.send("nap", {"key": "a", "length": "1s"})
    workflows.drain()
    workflows.advance("2d")
    monkeypatch.setattr(housekeeping, "EVERY", 0.0)
    stopped = threading.Event()
    monkeypatch.setattr(housekeeping, "give_connections_back", stopped.set)

    housekeeping.keep_house(stopped)

    assert not Lane.objects.exists()
