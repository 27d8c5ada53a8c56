"""Clients of the API: an event key, and operators with and without rights."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.authtoken.models import Token

from workflows.engine.keys import create_event_key


@pytest.fixture
def key(db: None) -> str:
    """Give an event key that may send everything."""
    return create_event_key("tests").secret


@pytest.fixture
def operator(db: None) -> Callable[[str], Client]:
    """Give a function that signs somebody of a group in, by a token."""

    def signed_in(group: str) -> Client:
        user = User.objects.create_user(f"one-of-{group}")
        user.groups.add(Group.objects.get(name=group))
        token = Token.objects.create(user=user)
        return Client(headers={"Authorization": f"Token {token.key}"})

    return signed_in
