"""The worker that works alone, which no drain tells what has changed."""

from typing import Any

from workflows import Event, Step, workflow
from workflows.client import pause_workflow, resume_workflow
from workflows.clock import clock
from workflows.engine.route import route_events
from workflows.models import Run
from workflows.models.run import SUSPECT_AFTER
from workflows.testing import Workflows
from workflows.workers.process import WorkerProcess


def test_it_learns_that_a_suspects_workflow_is_paused_and_resumed(workflows: Workflows) -> None:
    @workflow(id="deadly", trigger="go")
    def deadly(event: Event[Any], step: Step) -> None: ...

    alone = WorkerProcess(
        cluster="own", declared_at=clock.now(), is_stopping=lambda: False, leave=lambda: None
    )
    workflows._begin_work()
    workflows.send("go")
    route_events()
    Run.objects.update(losses=SUSPECT_AFTER)

    assert alone.suspect_waits()
    pause_workflow("deadly")
    assert not alone.suspect_waits()
    resume_workflow("deadly")
    assert alone.suspect_waits()
