"""`manage.py prune_history --older-than 30d`: delete ended runs and spent events, in batches."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from workflows import client
from workflows.clock import clock
from workflows.definitions.durations import positive_duration
from workflows.errors import InvalidDuration
from workflows.management.terminal import command_actor

STOPPED_BY_CTRL_C = 130  # the exit code that shells give it
TELL_EVERY = 10_000  # rows


class Command(BaseCommand):
    """Prunes now what the setting RETENTION would prune later."""

    help = (
        "Delete runs that ended, and events that were received, longer ago than that, in small "
        "batches. What a run that has not ended may need is kept, and so is the audit log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the age."""
        parser.add_argument("--older-than", required=True, metavar="DURATION", help="such as 30d")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete batch after batch; Ctrl-C stops between two, or takes the last one back."""
        try:
            before = clock.now() - positive_duration(options["older_than"], argument="--older-than")
        except (InvalidDuration, OverflowError) as error:
            raise CommandError(str(error)) from error
        deleted = client.Pruned()
        told = 0
        try:
            for batch in client.prune_history(before, actor=command_actor()):
                deleted += batch
                if deleted.runs + deleted.events >= told + TELL_EVERY:
                    told = deleted.runs + deleted.events
                    self.stdout.write(f"  {deleted.runs:,} runs, {deleted.events:,} events")
        except KeyboardInterrupt:
            self.stdout.write(f"Stopped. {summary(deleted)}")
            raise SystemExit(STOPPED_BY_CTRL_C) from None
        self.stdout.write(summary(deleted))


def summary(deleted: client.Pruned) -> str:
    """Say what was deleted."""
    return (
        f"Deleted {deleted.runs:,} runs with their steps, {deleted.events:,} events and "
        f"{deleted.others:,} other rows."
    )
