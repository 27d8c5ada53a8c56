"""`manage.py runs list/show/cancel/retry`: the operator's screens in a terminal."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.table import Table

from workflows import client
from workflows.clock import clock
from workflows.errors import RunStateError
from workflows.models import Run, RunStatus, RunTag
from workflows.resources import RunResource, StepResource, run_resource

BAR_WIDTH = 40  # characters
MOST_LISTED = 1000
PLAIN_WIDTH = 200  # characters, where the output is no terminal


class Command(BaseCommand):
    """Lists runs, shows one, cancels or retries."""

    help = "Look at runs, cancel and retry them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do, and with which runs."""
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest runs")
        listing.add_argument("--workflow")
        listing.add_argument("--status", choices=RunStatus.values)
        listing.add_argument("--limit", type=int, default=50)
        _add_tag_and_json(listing)
        for action in ("show", "cancel", "retry"):
            one = actions.add_parser(action)
            one.add_argument("id", nargs="?")
            _add_tag_and_json(one)
            if action == "cancel":
                one.add_argument("--reason")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was asked."""
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        runs = tagged_runs(options["tag"])
        if options["workflow"]:
            runs = runs.filter(workflow=options["workflow"])
        if options["status"]:
            runs = runs.filter(status=options["status"])
        most = min(options["limit"], MOST_LISTED)
        found = [run_resource(run, steps=[]) for run in runs.order_by("-id")[:most]]
        if options["json"]:
            self._print_json([asdict(run) for run in found])
        else:
            self._console().print(table_of(found))

    def _show(self, options: dict[str, Any]) -> None:
        for run in self._chosen(options):
            resource = run_resource(run)
            if options["json"]:
                self._print_json(asdict(resource))
            else:
                self._console().print("\n".join(timeline(resource)), markup=False, highlight=False)

    def _cancel(self, options: dict[str, Any]) -> None:
        self._act(options, lambda run_id: client.cancel_run(run_id, reason=options["reason"]))

    def _retry(self, options: dict[str, Any]) -> None:
        self._act(options, client.retry_run)

    def _act(self, options: dict[str, Any], action: Any) -> None:
        for run in self._chosen(options):
            try:
                changed = action(run.pk)
            except RunStateError as error:
                raise CommandError(str(error)) from error
            if options["json"]:
                self._print_json(asdict(run_resource(changed)))
            else:
                self.stdout.write(f"{changed.pk} is {changed.status}.")

    def _chosen(self, options: dict[str, Any]) -> Sequence[Run]:
        if not options["id"] and not options["tag"]:
            raise CommandError("Name a run by its id, or runs by --tag key:value.")
        runs = tagged_runs(options["tag"])
        found = list(runs.filter(pk=options["id"]) if options["id"] else runs.order_by("id"))
        if not found:
            raise CommandError("There is no such run.")
        return found

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2))

    def _console(self) -> Console:
        is_terminal = self.stdout.isatty()
        return Console(file=self.stdout, width=None if is_terminal else PLAIN_WIDTH)  # type: ignore[arg-type]  # it has `write`


def _add_tag_and_json(parser: ArgumentParser) -> None:
    parser.add_argument("--tag", metavar="KEY:VALUE", help="such as customer:4711")
    parser.add_argument("--json", action="store_true")


def tagged_runs(tag: str | None) -> Any:
    """Return all runs, or those that bear a tag."""
    if tag is None:
        return Run.objects.all()
    name, separator, value = tag.partition(":")
    if not separator:
        raise CommandError(f"Write --tag key:value, as in customer:4711, not {tag!r}.")
    ids = RunTag.objects.filter(name=name, value=value).values("run_id")
    return Run.objects.filter(pk__in=ids)


def table_of(runs: Sequence[RunResource]) -> Table:
    """Return runs as a table."""
    table = Table(box=None)
    for heading in ("Status", "Run", "Workflow", "Queued", "Time", "Attempt"):
        table.add_column(heading, no_wrap=heading == "Run")
    for run in runs:
        seconds = lasted(run)
        table.add_row(
            run.status,
            run.id,
            run.workflow,
            f"{run.created_at:%Y-%m-%d %H:%M:%S}",
            "" if seconds is None else f"{seconds:.2f} s",
            str(run.attempt),
        )
    return table


def lasted(run: RunResource) -> float | None:
    """Return how long a run has taken, or takes by now, in seconds."""
    if run.started_at is None:
        return None
    return ((run.ended_at or clock.now()) - run.started_at).total_seconds()


def timeline(run: RunResource) -> list[str]:
    """Return the lines that draw a run: a head, and a bar for each step."""
    lines = [f"{run.status.upper()}  {run.workflow}  {run.id}"]
    if run.reason:
        lines.append(f"  {run.reason}")
    if run.error:
        lines.append(f"  {run.error['name']}: {run.error['message']}")
    span = max(lasted(run) or 0.0, 0.001)
    widest = max((len(step.id) for step in run.steps), default=0)
    lines += [f"  {step.id:<{widest}}  {bar(step, run, span)}  {step.status}" for step in run.steps]
    if run.output is not None:
        lines.append(f"  output: {json.dumps(run.output)}")
    return lines


def bar(step: StepResource, run: RunResource, span: float) -> str:
    """Draw when in the run's time a step was at work."""
    began = (step.started_at - (run.started_at or step.started_at)).total_seconds()
    ended = ((step.ended_at or clock.now()) - (run.started_at or step.started_at)).total_seconds()
    first = min(BAR_WIDTH - 1, max(0, int(BAR_WIDTH * began / span)))
    last = min(BAR_WIDTH, max(first + 1, int(BAR_WIDTH * ended / span)))
    return "." * first + "#" * (last - first) + "." * (BAR_WIDTH - last)
