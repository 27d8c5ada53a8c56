"""Operators at their screens, each with the rights of a group."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

Operator = Callable[[str], Client]


@pytest.fixture
def operator(db: None) -> Operator:
    """Give a function that signs somebody of a group in."""

    def signed_in(group: str) -> Client:
        user, _ = User.objects.get_or_create(username=f"one-of-{group}", is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        browser = Client()
        browser.force_login(user)
        return browser

    return signed_in
