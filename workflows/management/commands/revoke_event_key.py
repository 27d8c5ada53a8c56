"""`manage.py revoke_event_key NAME`: end an event key at once and for good."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from workflows import client
from workflows.engine.keys import EventKeyError
from workflows.management.terminal import command_actor


class Command(BaseCommand):
    """Revokes one key."""

    help = "Revoke an event key: requests that show it are refused from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the key's name."""
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Revoke the key."""
        try:
            key = client.revoke_event_key(options["name"], actor=command_actor())
        except EventKeyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Revoked {key.name} ({key.prefix}...).")
