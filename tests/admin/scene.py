"""A platform on which one of everything has happened."""

from dataclasses import dataclass
from typing import Any

from workflows import Concurrency, Cron, Event, Step, client, workflow
from workflows.engine.run_filter import RunFilter
from workflows.models import Run
from workflows.testing import Workflows


@dataclass(frozen=True, slots=True)
class Scene:
    """The ids of what there is."""

    failed: str
    completed: str
    waiting: str
    queued: str
    event: str
    workflow: str
    schedule: str
    operation: str
    key: str

    def pages(self) -> list[str]:
        """Give every page that an operator can look at."""
        admin = "/admin/workflows"
        runs = [self.failed, self.completed, self.waiting, self.queued]
        tabs = ("input", "output", "error", "history", "actions", "raw")
        return [
            "/admin/",
            "/admin/?period=1h",
            f"{admin}/run/",
            f"{admin}/run/?status=failed",
            f"{admin}/run/dashboard/",
            *[f"{admin}/run/{run}/change/" for run in runs],
            *[f"{admin}/run/{run}/live/" for run in runs],
            *[f"{admin}/run/{self.failed}/change/?tab={tab}" for tab in tabs],
            *[f"{admin}/run/{self.completed}/change/?tab={tab}" for tab in tabs],
            f"{admin}/run/{self.failed}/replay/",
            f"{admin}/run/{self.waiting}/cancel/",
            f"{admin}/event/",
            f"{admin}/event/?state=no-run",
            f"{admin}/event/{self.event}/change/",
            f"{admin}/event/{self.event}/edit/",
            f"{admin}/event/send/",
            f"{admin}/registeredworkflow/",
            f"{admin}/registeredworkflow/{self.workflow}/change/",
            f"{admin}/registeredworkflow/{self.workflow}/pause/",
            f"{admin}/registeredworkflow/{self.workflow}/override/",
            f"{admin}/registeredworkflow/{self.workflow}/invoke/",
            f"{admin}/schedule/",
            f"{admin}/schedule/new/",
            f"{admin}/schedule/{self.schedule}/change/",
            f"{admin}/schedule/{self.schedule}/edit/",
            f"{admin}/schedule/{self.schedule}/remove/",
            f"{admin}/worker/",
            f"{admin}/bulkoperation/",
            f"{admin}/bulkoperation/start/?kind=retry&status=failed",
            f"{admin}/bulkoperation/{self.operation}/change/",
            f"{admin}/bulkoperation/{self.operation}/live/",
            f"{admin}/eventkey/",
            f"{admin}/eventkey/new/",
            f"{admin}/eventkey/{self.key}/change/",
            f"{admin}/eventkey/{self.key}/revoke/",
            f"{admin}/operatoraction/",
        ]


def make_scene(workflows: Workflows, *, text: str = "a text") -> Scene:
    """Let one of everything happen; `text` is in every field that takes one."""

    @workflow(
        id="scene",
        trigger=["scene/go", Cron("0 3 * * *", tz="Europe/London")],
        tags={"customer": "event.data.customer"},
        retries=0,
        concurrency=Concurrency(limit=1, key="event.data.customer"),
    )
    def scene(event: Event[Any], step: Step) -> dict[str, str]:
        step.run(text, lambda: {text: text})
        if event.data["then"] == "fail":
            step.run("fail", lambda: _fail(text))
        if event.data["then"] == "wait":
            step.wait_for_event("wait", event="scene/came", timeout="1d")
        return {text: text}

    for then in ("fail", "complete", "wait"):
        workflows.send("scene/go", {"customer": text, "then": then, text: [text]})
    workflows.drain()
    failed, completed, _ = (run.id for run in workflows.runs("scene"))
    workflows.send("scene/came", {"text": text})
    workflows.send("scene/nobody", {"text": text}, id=f"mine {text}"[:200])
    workflows.drain()
    workflows.send("scene/go", {"customer": text, "then": "wait"})
    workflows.drain()
    client.pause_workflow("scene", reason=text)
    workflows.send("scene/go", {"customer": text, "then": "complete"})
    workflows.drain()
    waiting, queued = [run.id for run in workflows.runs("scene")][-2:]
    schedule = client.create_schedule(
        name="".join(character for character in text if character.isprintable()),
        cron="0 9 * * *",
        tz="UTC",
        event_name="scene/go",
        event_data={text: text},
    )
    operation = client.start_bulk_operation(
        "retry", RunFilter(status="failed", workflow="nobody"), reason=text
    )
    key = client.create_event_key("a key", events=["scene/*"], reason=text)
    return Scene(
        failed=failed,
        completed=completed,
        waiting=waiting,
        queued=queued,
        event=Run.objects.get(pk=failed).event_id,
        workflow="scene",
        schedule=schedule.pk,
        operation=operation.pk,
        key=key.key.pk,
    )


def _fail(text: str) -> None:
    raise ValueError(text)
