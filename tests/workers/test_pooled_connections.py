"""Connections that break, or that others wait for, while a worker has them in hand."""

from typing import Any

import pytest
from django.db import connection, transaction

from tests.workers.own_worker import own_worker
from workflows import Event, Step, send, workflow
from workflows.models import Run, Worker
from workflows.workers.bodies import return_to_pool

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pool"),
]


def test_a_body_gives_its_connection_back_when_it_has_ended() -> None:
    with own_worker() as worker:

        @workflow(id="reader", trigger="go")
        def reader(event: Event[Any], step: Step) -> bool:
            step.run("read", Run.objects.count)
            return step.run("idle", lambda: connection.connection is None)

        send("go", {})
        worker.work_until_all_has_ended()

        assert Run.objects.get().output is True


def test_a_connection_with_an_open_transaction_is_kept() -> None:
    with transaction.atomic():
        connection.ensure_connection()
        used = connection.connection

        return_to_pool()

        assert connection.connection is used


def test_a_worker_whose_connection_was_cut_gives_its_lease_back() -> None:
    with own_worker() as worker:

        @workflow(id="idle", trigger="go")
        def idle(event: Event[Any], step: Step) -> None:
            step.run("nothing", int)

        send("go", {})
        worker.work_until_all_has_ended()
        assert Worker.objects.count() == 1
        connection.connection.close()  # without Django's knowledge, as a server does it

        worker.stop()

        assert not Worker.objects.exists()
