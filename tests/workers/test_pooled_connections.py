"""A body gives the connection that it has used back to the pool, as soon as it has ended."""

import pytest
from django.db import connection, transaction

from workflows.workers.bodies import return_to_pool

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pool"),
]


def test_a_connection_goes_back_to_the_pool() -> None:
    connection.ensure_connection()

    return_to_pool()

    assert connection.connection is None


def test_a_connection_with_an_open_transaction_is_kept() -> None:
    with transaction.atomic():
        connection.ensure_connection()
        used = connection.connection

        return_to_pool()

        assert connection.connection is used
