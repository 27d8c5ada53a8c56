"""`manage.py send_event NAME`: send an event, and with --wait follow what becomes of it."""

import json
import time
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from workflows import client
from workflows.errors import InvalidEvent
from workflows.management.terminal import command_actor
from workflows.models import Event, Run, RunStatus, Step
from workflows.models.run import ENDED, UNENDED
from workflows.models.step import StepStatus
from workflows.serialisation import strict_json_loads

LOOK_EVERY = 0.1  # seconds
WARN_AFTER = 5.0  # seconds without any worker having routed the event


class Command(BaseCommand):
    """Sends one event."""

    help = "Send an event; with --wait, follow its runs until they end."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the event."""
        parser.add_argument("name")
        parser.add_argument("--data", default="{}", metavar="JSON", help="an object")
        parser.add_argument("--id", help="the event's own id, which deduplicates for 24 hours")
        parser.add_argument("--wait", action="store_true", help="follow its runs until they end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the event; fail where one of its runs did."""
        try:
            data = strict_json_loads(options["data"])
        except InvalidEvent as error:
            raise CommandError(f"--data is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise CommandError(f"--data is a JSON object, not {options['data']!r:.100}.")
        try:
            event_id = client.send_by_hand(
                options["name"], data, id=options["id"], actor=command_actor()
            )
        except InvalidEvent as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"event: {event_id}")
        if options["wait"]:
            self._follow(event_id)

    def _follow(self, event_id: str) -> None:
        self._wait_until_routed(event_id)
        shown: set[tuple[str, str, str]] = set()
        while True:
            runs = list(Run.objects.of_event(event_id).order_by("id"))
            for run in runs:
                self._show_news(run, shown)
            if all(run.status not in UNENDED for run in runs):
                break
            time.sleep(LOOK_EVERY)
        self._conclude(event_id, runs)

    def _wait_until_routed(self, event_id: str) -> None:
        began = time.monotonic()
        is_warned = False
        while Event.objects.get(pk=event_id).position is None:
            if not is_warned and time.monotonic() - began > WARN_AFTER:
                self.stderr.write("No worker has taken it up yet: is `manage.py qcluster` running?")
                is_warned = True
            time.sleep(LOOK_EVERY)

    def _show_news(self, run: Run, shown: set[tuple[str, str, str]]) -> None:
        """Print each step, and the run, when its status is new."""
        for step in Step.objects.filter(run=run).order_by("sequence"):
            line = (run.pk, step.key, f"{step.status}:{step.attempts}")
            if line not in shown:
                shown.add(line)
                self.stdout.write(
                    f"  {run.workflow} {run.pk}  step {step.step_id}: {described(step)}"
                )
        line = (run.pk, "", run.status)
        if line not in shown and run.status in ENDED:
            shown.add(line)
            self.stdout.write(f"  {run.workflow} {run.pk}  {run.status}")

    def _conclude(self, event_id: str, runs: list[Run]) -> None:
        original = Event.objects.get(pk=event_id).duplicate_of_id
        if original:
            self.stdout.write(f"It repeats event {original}, and started nothing.")
        elif not runs:
            self.stdout.write("No workflow is triggered by it.")
        for run in runs:
            if run.status == RunStatus.COMPLETED:
                self.stdout.write(f"output of {run.workflow}: {json.dumps(run.output)}")
        failed = [run for run in runs if run.status == RunStatus.FAILED]
        if failed:
            first = failed[0]
            message = f"{first.workflow} failed: {first.error['name']}: {first.error['message']}"
            raise CommandError(message)


def described(step: Step) -> str:
    """Say in a few words where a step stands."""
    if step.error:
        text = f"{step.status} ({step.error['name']}: {step.error['message']})"
    else:
        text = str(step.status)
    if step.due_at and step.status != StepStatus.COMPLETED:
        return f"{text}, until {step.due_at:%Y-%m-%d %H:%M:%S} UTC"
    return text
