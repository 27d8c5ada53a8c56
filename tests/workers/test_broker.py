"""When the pusher hands out a drain: if something is due, or an idle cluster is notified."""

import math

import pytest

from workflows.workers import broker as pusher
from workflows.workers.broker import WorkflowBroker

pytestmark = pytest.mark.django_db


class Notified:
    """Wake-ups, all of which say that there is work."""

    def wait(self, timeout: float) -> bool:
        return True


class Due:
    """Answers what is due, with one of these after the other."""

    def __init__(self, *seconds: float | None) -> None:
        self._seconds = list(seconds)

    def __call__(self, **where: object) -> float | None:
        return self._seconds.pop(0)

    @property
    def is_used_up(self) -> bool:
        """Whether all answers have been given."""
        return not self._seconds


@pytest.fixture
def broker() -> WorkflowBroker:
    broker = WorkflowBroker("default")
    broker._wake_ups = Notified()
    broker._next_schedules = math.inf  # django-q2's scheduler would close the test's connection
    return broker


def test_an_idle_cluster_begins_without_asking_what_it_was_notified_of(
    broker: WorkflowBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "next_due", due := Due(None))

    assert broker.dequeue()

    assert due.is_used_up


def test_one_that_has_just_begun_asks_first(
    broker: WorkflowBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "IDLE_AFTER", 60)
    monkeypatch.setattr(pusher, "next_due", due := Due(0, None, None, 0))
    assert broker.dequeue()

    assert broker.dequeue()

    assert due.is_used_up
