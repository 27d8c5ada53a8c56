"""`manage.py replay_failures`: take up again all that failed, once what made it fail is mended."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from workflows import client
from workflows.clock import clock
from workflows.definitions.rates import interval_of
from workflows.engine.run_filter import RunFilter
from workflows.errors import InvalidRate, OperationEnded
from workflows.management.terminal import add_filters, command_actor, console, read_filter
from workflows.models import BulkKind, BulkOperation, BulkStatus

STOPPED_BY_CTRL_C = 130  # the exit code that shells give it
MOST_GROUPS = 20
TENTHS = 10
ASK_AGAIN = 0.2  # seconds: when another process has the next chunk in hand


class Command(BaseCommand):
    """Retries, or replays, every failed run that matches.

    It is a bulk operation, and workers help to carry it out. Where this command is killed they go
    on; Ctrl-C ends it. Whatever it did not come to is still failed, so that the same command goes
    on where it was stopped.
    """

    help = (
        "Take failed runs up again at the step that failed. Exit codes: 0 all done, 1 some could "
        "not be, or nothing was asked rightly, 130 stopped by Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take which runs, and how."""
        add_filters(parser)
        parser.add_argument("--limit", type=int, metavar="N", help="N runs at most, oldest first")
        parser.add_argument("--rate", metavar="100/m", help="so many at most: 10/s, 100/m, 500/h")
        parser.add_argument(
            "--from-start", action="store_true", help="replay them as new runs from their start"
        )
        parser.add_argument("--dry-run", action="store_true", help="show what would happen")
        parser.add_argument("--no-input", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show what matches, ask, and do it."""
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError("--limit is a whole number from 1.")
        _require_rate(options["rate"])
        chosen = read_filter(options, status="failed")
        kind = BulkKind.REPLAY if options["from_start"] else BulkKind.RETRY
        count = client.count_matching(kind, chosen, limit)
        if count == 0:
            self.stdout.write("No failed run matches.")
            return
        self._show_plan(kind, chosen, count, options)
        if options["dry_run"]:
            self.stdout.write("A dry run: nothing was done.")
            return
        if not options["no_input"]:
            self._ask(count)
        self._carry_out(self._start(kind, chosen, options))

    def _show_plan(
        self, kind: BulkKind, chosen: RunFilter, count: int, options: dict[str, Any]
    ) -> None:
        what = (
            "would start anew, as new runs"
            if kind == BulkKind.REPLAY
            else "would go on at the step that failed"
        )
        pace = f", {options['rate']} at most" if options["rate"] else ""
        oldest = "the oldest " if options["limit"] else ""
        self.stdout.write(f"{oldest}{count:,} failed runs {what}{pace}. All that match:")
        table = Table(box=None)
        for heading in ("Runs", "Workflow", "Error", "Such as"):
            table.add_column(heading, no_wrap=heading == "Such as")
        for group in client.outline_matching(kind, chosen, MOST_GROUPS):
            table.add_row(f"{group.count:,}", group.workflow, group.error, group.last_run)
        console(self.stdout).print(table, markup=False, highlight=False)

    def _ask(self, count: int) -> None:
        try:
            answer = input(f"Take {count:,} runs up again? [y/N] ")
        except EOFError as error:
            raise CommandError("Nobody answers here: say --no-input. Nothing was done.") from error
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")

    def _start(self, kind: BulkKind, chosen: RunFilter, options: dict[str, Any]) -> BulkOperation:
        return client.start_bulk_operation(
            kind,
            chosen,
            rate=options["rate"],
            most=options["limit"],
            reason="manage.py replay_failures",
            actor=command_actor(),
        )

    def _carry_out(self, operation: BulkOperation) -> None:
        try:
            with self._progress() as progress:
                task = progress.add_task("", total=None)
                for now in steps_of(operation):
                    progress.update(task, total=now.total, completed=now.dealt_with)
                    self._tell_plainly(now)
        except KeyboardInterrupt:
            self._stop(operation)
            raise SystemExit(STOPPED_BY_CTRL_C) from None
        self._summarise(operation)
        if operation.errors:
            raise CommandError(f"{operation.errors:,} runs could not be taken up again.")

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("Taking up again"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console(self.stdout),
            disable=not self.stdout.isatty(),
        )

    def _tell_plainly(self, operation: BulkOperation) -> None:
        """Where there is no bar, print a line at each tenth."""
        tenth = TENTHS * operation.dealt_with // (operation.total or 1)
        if not self.stdout.isatty() and tenth > getattr(self, "_told", 0):
            self._told = tenth
            self.stdout.write(f"  {operation.dealt_with:,} of {operation.total:,}")

    def _stop(self, operation: BulkOperation) -> None:
        with suppress(OperationEnded):  # it was done just then
            client.abort_bulk_operation(operation.pk, reason="Ctrl-C", actor=command_actor())
        operation.refresh_from_db()
        self._summarise(operation)
        left = (operation.total or 0) - operation.dealt_with
        self.stdout.write(f"Stopped: {left:,} are left as they were; the same command goes on.")

    def _summarise(self, operation: BulkOperation) -> None:
        self.stdout.write(
            f"{operation.done:,} taken up again, {operation.skipped:,} skipped because they had "
            f"changed, {operation.errors:,} errors. Bulk operation {operation.pk}: "
            f"{operation.status}."
        )
        for sample in operation.samples:
            self.stdout.write(f"  {sample['run']}  {sample['message']}")


def _require_rate(rate: str | None) -> None:
    """Refuse a wrong rate also where nothing matches, or nothing is to be done."""
    try:
        if rate is not None:
            interval_of(rate)
    except InvalidRate as error:
        raise CommandError(str(error)) from error


def steps_of(operation: BulkOperation) -> Iterator[BulkOperation]:
    """Carry an operation out to its end, at its rate; give it after each chunk."""
    while operation.status == BulkStatus.RUNNING:
        is_mine = client.carry_out_chunk(operation)
        operation.refresh_from_db()
        yield operation
        if operation.rate and operation.next_at:
            time.sleep(max(0.0, (operation.next_at - clock.now()).total_seconds()))
        elif not is_mine:
            time.sleep(ASK_AGAIN)
