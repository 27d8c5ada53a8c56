"""`manage.py runs list/show/cancel/retry`: the operator's screens in a terminal."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from rich.table import Table

from workflows import client
from workflows.clock import clock
from workflows.engine.run_filter import RunFilter
from workflows.errors import RunStateError
from workflows.management.terminal import (
    add_filters,
    command_actor,
    console,
    print_json,
    read_filter,
)
from workflows.models import Attempt, Run, RunStatus, Step
from workflows.models.run import UNENDED
from workflows.resources import RunResource, StepResource, run_resource

BAR_WIDTH = 40  # characters
MOST_LISTED = 1000
MOST_SHOWN = 50  # with one tag
BETWEEN_STEPS = ("", 0)  # the place of the attempts of code between steps

Action = Callable[[str], Run]


class Command(BaseCommand):
    """Lists runs, shows one, cancels or retries."""

    help = "Look at runs, cancel and retry them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do, and with which runs."""
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest runs")
        add_filters(listing)
        listing.add_argument("--status", choices=RunStatus.values)
        listing.add_argument("--limit", type=int, default=50)
        _add_json(listing)
        for action, what in (
            ("show", "a run with its timeline, or the newest with a tag"),
            ("cancel", "a run, or all unended ones with a tag"),
            ("retry", "a failed run, or all failed ones with a tag"),
        ):
            one = actions.add_parser(action, help=what)
            one.add_argument("id", nargs="?")
            one.add_argument("--tag", metavar="KEY:VALUE", help="such as customer:4711")
            if action != "show":
                one.add_argument("--reason", help="why; noted in the audit log")
            _add_json(one)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was asked."""
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        most = min(options["limit"], MOST_LISTED)
        if most < 1:
            raise CommandError("--limit is a whole number from 1.")
        runs = read_filter(options, status=options["status"]).runs()
        found = [run_resource(run, steps=[]) for run in runs.order_by("-pk")[:most]]
        if options["json"]:
            print_json(self.stdout, [without_steps(run) for run in found])
        else:
            console(self.stdout).print(table_of(found), markup=False, highlight=False)

    def _show(self, options: dict[str, Any]) -> None:
        found = [run_resource(run) for run in reversed(chosen(options)[:MOST_SHOWN])]
        if not found:
            raise CommandError("There is no such run.")
        if options["json"]:
            shown = [asdict(run) for run in found]
            print_json(self.stdout, shown[0] if options["id"] else shown)
            return
        for run in found:
            text = "\n".join(timeline(run))
            console(self.stdout).print(text, markup=False, highlight=False, soft_wrap=True)

    def _cancel(self, options: dict[str, Any]) -> None:
        reason, actor = options["reason"], command_actor()
        self._act(
            options,
            lambda run_id: client.cancel_run(run_id, reason=reason, actor=actor),
            states=UNENDED,
        )

    def _retry(self, options: dict[str, Any]) -> None:
        reason, actor = options["reason"], command_actor()
        self._act(
            options,
            lambda run_id: client.retry_run(run_id, reason=reason, actor=actor),
            states=[RunStatus.FAILED],
        )

    def _act(self, options: dict[str, Any], action: Action, *, states: Any) -> None:
        """Act on the run that is named, or on those with the tag whose state allows it."""
        require_one_choice(options)
        if options["id"]:
            changed = [self._acted_on(action, options["id"])]
        else:
            ids = chosen(options).filter(status__in=states).order_by("pk")
            changed = [
                self._acted_on(action, run_id) for run_id in ids.values_list("pk", flat=True)
            ]
            if not changed:
                names = ", ".join(states)
                raise CommandError(f"No run with the tag {options['tag']} is {names}.")
        if options["json"]:
            shown = [asdict(run_resource(run)) for run in changed]
            print_json(self.stdout, shown[0] if options["id"] else shown)
            return
        for run in changed:
            self.stdout.write(f"{run.pk} is {run.status}.")

    def _acted_on(self, action: Action, run_id: str) -> Run:
        try:
            return action(run_id)
        except Run.DoesNotExist as error:
            raise CommandError(f"There is no run {run_id}.") from error
        except RunStateError as error:
            raise CommandError(str(error)) from error


def _add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs, such as jq")


def chosen(options: dict[str, Any]) -> Any:
    """Return the runs that a command names, newest first."""
    require_one_choice(options)
    runs = RunFilter().runs() if options["id"] else read_filter(options).runs()
    return (runs.filter(pk=options["id"]) if options["id"] else runs).order_by("-pk")


def require_one_choice(options: dict[str, Any]) -> None:
    """Refuse a command that names no runs, or names them twice."""
    if bool(options["id"]) == bool(options["tag"]):
        raise CommandError("Name a run by its id, or runs by --tag key:value.")


def without_steps(run: RunResource) -> dict[str, Any]:
    """Return a run as lists show it."""
    shown = asdict(run)
    del shown["steps"]
    return shown


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
    """Return the lines that draw a run: a head, a bar for each step, and each failed attempt."""
    lines = [*head(run), *error_lines(run.error, indent="  ")]
    span = max(lasted(run) or 0.0, 0.001)
    widest = max((len(name_of(step)) for step in run.steps), default=0)
    attempts = failed_attempts(run)
    for step in run.steps:
        lines.append(
            f"  {name_of(step):<{widest}}  {bar(step, run, span)}  {seconds_of(step):>9}  "
            f"{step.op}, {step.status}{repeated(step)}"
        )
        lines += [f"    {text}" for text in attempts.pop((step.id, step.index), [])]
    lines += [f"  between steps: {text}" for rest in attempts.values() for text in rest]
    if run.output is not None:
        lines.append(f"  output: {json.dumps(run.output)}")
    return lines


def head(run: RunResource) -> list[str]:
    """Return the lines that say which run it is, how it stands, and where it comes from."""
    lines = [f"{run.status.upper()}  {run.workflow}  {run.id}"]
    times = {"queued": run.created_at, "started": run.started_at, "ended": run.ended_at}
    told = [f"{what} {at:%Y-%m-%d %H:%M:%S}" for what, at in times.items() if at]
    lines.append("  " + ", ".join(told) + " UTC")
    links = {"event": run.event_ids[0], "parent": run.parent, "replay of": run.replay_of}
    lines.append("  " + ", ".join(f"{what} {id_}" for what, id_ in links.items() if id_))
    if run.tags:
        lines.append("  " + ", ".join(f"{name}:{value}" for name, value in run.tags.items()))
    if run.reason:
        lines.append(f"  {run.reason}")
    if run.due_at:
        lines.append(f"  goes on at {run.due_at:%Y-%m-%d %H:%M:%S} UTC, if not before")
    return lines


def error_lines(error: Any, *, indent: str) -> list[str]:
    """Return an error's name, message and traceback."""
    if not error:
        return []
    text = f"{error['name']}: {error['message']}"
    return [indent + text, *(f"{indent}| {line}" for line in error["traceback"].splitlines())]


def failed_attempts(run: RunResource) -> dict[tuple[str, int], list[str]]:
    """Return what each failed attempt says, by step; those of the code between steps last."""
    steps = Step.objects.filter(run_id=run.id)
    places = {step.key: (step.step_id, step.occurrence) for step in steps.defer("output")}
    found: dict[tuple[str, int], list[str]] = {}
    for attempt in Attempt.objects.filter(run_id=run.id).order_by("pk"):
        place = places.get(attempt.step_key or "", BETWEEN_STEPS)
        error = attempt.error
        text = f"attempt {attempt.number}: {error['name']}: {error['message']}"
        found.setdefault(place, []).append(text)
    return found


def name_of(step: StepResource) -> str:
    """Return a step's id, with its number where it is a repetition."""
    return step.id if step.index == 0 else f"{step.id}:{step.index}"


def seconds_of(step: StepResource) -> str:
    """Say how long a step has taken, or takes by now."""
    return f"{((step.ended_at or clock.now()) - step.started_at).total_seconds():.2f} s"


def repeated(step: StepResource) -> str:
    """Say how often a step was tried, where that was more than once."""
    return f" x{step.attempts}" if step.attempts > 1 else ""


def bar(step: StepResource, run: RunResource, span: float) -> str:
    """Draw when in the run's time a step was at work."""
    began = (step.started_at - (run.started_at or step.started_at)).total_seconds()
    ended = ((step.ended_at or clock.now()) - (run.started_at or step.started_at)).total_seconds()
    first = min(BAR_WIDTH - 1, max(0, int(BAR_WIDTH * began / span)))
    last = min(BAR_WIDTH, max(first + 1, int(BAR_WIDTH * ended / span)))
    return "." * first + "#" * (last - first) + "." * (BAR_WIDTH - last)
