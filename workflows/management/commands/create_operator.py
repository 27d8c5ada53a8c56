"""`manage.py create_operator USERNAME`: make the account of somebody who operates the platform."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import transaction
from rest_framework.authtoken.models import Token

from workflows.engine.audit import note_action
from workflows.management.terminal import command_actor

GROUPS = ("Viewer", "Support", "Operator", "Admin")


class Command(BaseCommand):
    """Prints the operator's password and API token, once."""

    help = "Make an operator's account; print its password and API token, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name and what the operator may do."""
        parser.add_argument("username")
        parser.add_argument("--group", choices=GROUPS, default="Admin")
        parser.add_argument(
            "--superuser", action="store_true", help="may do everything, also in Django's own pages"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the account."""
        users = get_user_model().objects
        if users.filter(username=options["username"]).exists():
            message = f"There is a user {options['username']!r} already: choose another name."
            raise CommandError(message)
        password = secrets.token_urlsafe(12)
        with transaction.atomic():
            user = users.create_user(
                options["username"],
                password=password,
                is_staff=True,
                is_superuser=options["superuser"],
            )
            user.groups.add(Group.objects.get(name=options["group"]))
            token = Token.objects.create(user=user)
            details = {"group": options["group"], "superuser": options["superuser"]}
            note_action(
                "create_operator",
                "user",
                options["username"],
                actor=command_actor(),
                details=details,
            )
        self.stdout.write(f"password: {password}")
        self.stdout.write(f"token: {token.key}")
