"""Slots are counted from the first place that holds one: none is ever missed."""

from typing import Any

from workflows import Concurrency, Event, Step, workflow
from workflows.client import override_workflow, send
from workflows.engine.catalogue import current_catalogue
from workflows.engine.route import look_again, route_events
from workflows.engine.take import take_runs
from workflows.models import Admission, Run, Worker
from workflows.testing import Workflows


def taken(limit: int) -> list[str]:
    """Take runs as a worker of the kit, and leave them in its hands."""
    worker = Worker.objects.get()
    catalogue = current_catalogue()
    queues, revision = catalogue.queues, catalogue.revision
    runs = take_runs(worker.pk, queues=queues, unknown=[], revision=revision, limit=limit)
    return [run.id for run in runs]


def routed(count: int) -> None:
    for _ in range(count):
        send("go", {})
    while route_events() + look_again():
        pass


def test_the_bounds_are_the_first_places_in_use_and_move_on_with_them(workflows: Workflows) -> None:
    declare(Concurrency(2))
    workflows.drain()  # its worker begins its work
    routed(4)
    first = taken(1)

    assert look_again() == 0
    noted = Admission.objects.get()
    places = dict(Run.objects.filter(admitted=True).values_list("status", "place"))
    assert (noted.held_from, noted.untaken_from) == (places["running"], places["queued"])
    Run.objects.filter(pk__in=first).update(
        worker_id=None, status="sleeping", due_at="2999-01-01T00:00Z"
    )
    assert look_again() == 1

    noted.refresh_from_db()
    assert noted.held_from == noted.untaken_from == places["queued"]
    assert Run.objects.filter(status="queued", admitted=True).count() == 2


def test_runs_that_were_taken_without_limits_count_under_those_that_come(
    workflows: Workflows,
) -> None:
    declare()
    declare(Concurrency(1), id="limited")
    workflows.drain()
    routed(1)
    assert len(taken(2)) == 2  # of both workflows: the bounds lie after the unlimited one's place

    override_workflow("free", {"concurrency": [{"limit": 1}]})
    routed(1)

    assert Run.objects.filter(status="running").count() == 2
    assert not Run.objects.filter(status="queued", admitted=True).exists()


def declare(*concurrency: Concurrency, id: str = "free") -> None:
    @workflow(id=id, trigger="go", concurrency=concurrency)
    def function(event: Event[Any], step: Step) -> None:
        """Is never executed here."""
