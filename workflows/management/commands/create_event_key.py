"""`manage.py create_event_key NAME`: make a key with which outside programs send events."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from workflows import client
from workflows.clock import clock
from workflows.definitions.durations import positive_duration
from workflows.engine.keys import EventKeyError
from workflows.errors import InvalidDuration
from workflows.management.terminal import command_actor


class Command(BaseCommand):
    """Prints the new key, once."""

    help = "Make an event key and print it, once, on a line `key: ...`."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the key's name, scope and life."""
        parser.add_argument("name")
        parser.add_argument(
            "--events",
            action="append",
            default=[],
            metavar="PATTERN",
            help="may send only these; repeatable",
        )
        parser.add_argument("--expires", metavar="DURATION", help="such as 30d; never, if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the key."""
        try:
            life = options["expires"] and positive_duration(
                options["expires"], argument="--expires"
            )
            made = client.create_event_key(
                options["name"],
                events=options["events"],
                expires_at=clock.now() + life if life else None,
                actor=command_actor(),
            )
        except (EventKeyError, InvalidDuration, OverflowError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"key: {made.secret}")
