"""What senders and operators do meanwhile, each in a process of its own that may die of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction

from tests.simulation.cooperation import World
from tests.simulation.journal import Journal
from tests.simulation.workflows import PAUSED_NOW_AND_THEN, STARTS
from workflows import Event, client
from workflows.clock import clock
from workflows.errors import RunStateError, UnknownWorkflow, WorkflowStateError
from workflows.models import RegisteredWorkflow, Run, RunStatus
from workflows.models.run import ENDED, UNENDED

ORDERS = 6
GROUPS = 2
KEYED = ("rated", "once", "bounced", "batched", "sole", "newest", "active", "limited")


class RolledBack(Exception):  # noqa: N818  no error: the sender's own decision
    """The sender takes everything back."""


class Moves:
    """One kind of move after another, chosen by the seed."""

    def __init__(self, world: World, random: Random, journal: Journal) -> None:
        self._world = world
        self._random = random
        self._journal = journal
        self._kinds: dict[Callable[[], None], int] = {
            self.send_start: 8,
            self.send_for_waits: 6,
            self.send_in_transactions: 3,
            self.send_rolled_back: 2,
            self.send_signal: 4,
            self.cancel: 3,
            self.retry: 3,
            self.replay: 1,
            self.send_repeats: 2,
            self.send_many: 9,
            self.pause: 2,
            self.resume: 2,
        }

    def one(self) -> None:
        """Make one move."""
        [move] = self._random.choices(list(self._kinds), list(self._kinds.values()))
        try:
            move()
        except (
            DatabaseError,
            RunStateError,
            WorkflowStateError,
            UnknownWorkflow,
            RolledBack,
        ) as error:
            self._journal.happened[f"a move ended in {type(error).__name__}"] += 1
            if isinstance(error, IntegrityError):
                raise

    def send_start(self) -> None:
        """Send an event, or two at once, that start runs."""
        self._send([self._start() for _ in range(self._random.choice((1, 1, 2)))])

    def send_many(self) -> None:
        """Send several events of one kind and group, one soon after another."""
        name = self._random.choice(KEYED)
        data = self._event(name).data
        same = {"group": data["group"], "order": data["order"]}
        if name == "active":
            same.pop("order")
        for _ in range(self._random.choice((3, 4, 5))):
            event = self._event(name)
            self._send([replace(event, data={**event.data, **same})])
            self._world.wait(lambda: False, self._random.uniform(0, 3))

    def send_repeats(self) -> None:
        """Send an event, and again while somebody who has looked for events is about to route."""
        first = replace(self._start(), id=f"twice-{self._journal.new_value()}", ts=None)
        self._send([first])
        for _ in range(2):
            again = self._event(first.name)
            self._world.wait(self._is_about_to_route, 5)
            self._send([replace(first, data=again.data)])

    def _is_about_to_route(self) -> bool:
        return any(
            thread.transaction == "route" and not thread.process.is_dead
            for thread in self._world.threads
        )

    def pause(self) -> None:
        """Pause a workflow."""
        client.pause_workflow(self._random.choice(PAUSED_NOW_AND_THEN))
        self._journal.happened["a workflow was paused"] += 1

    def resume(self) -> None:
        """Resume a workflow."""
        paused = self._paused()
        if paused:
            client.resume_workflow(self._random.choice(paused))

    def resume_all(self) -> None:
        """Resume what is paused still: nothing of it would ever end."""
        for workflow in self._paused():
            client.resume_workflow(workflow)

    def _paused(self) -> list[str]:
        paused = RegisteredWorkflow.objects.filter(paused_at__isnull=False)
        return list(paused.order_by("id").values_list("id", flat=True))

    def send_for_waits(self) -> None:
        """Send an event that may end waits, or cancel runs."""
        name = self._random.choice(("paid", "paid", "paid", "refunded", "stop"))
        self._send([self._event(name)])

    def send_in_transactions(self) -> None:
        """Send in the sender's own transaction: a part of it is taken back, the rest committed."""
        kept, undone = self._start(), self._start()
        with transaction.atomic():
            client.send(kept)
            try:
                with transaction.atomic():
                    self._journal.rolled_back.add(undone.data["number"])
                    client.send(undone)
                    raise RolledBack  # noqa: TRY301  as a sender may
            except RolledBack:
                pass
            # Not after the block: Django takes all back without a word where a savepoint cannot be.
            transaction.on_commit(lambda: self._journal.sent.add(kept.data["number"]))

    def send_rolled_back(self) -> None:
        """Send, and take it back."""
        event = self._start()
        self._journal.rolled_back.add(event.data["number"])
        with transaction.atomic():
            client.send(event)
            with transaction.atomic():
                client.send_signal("signal-0", {"number": -1})
            raise RolledBack

    def send_signal(self) -> None:
        """Send a signal; whoever is said to have got it must have got it."""
        number = self._journal.new_value()
        run_id = client.signalled_run(f"signal-{self._random.randrange(3)}", {"number": number})
        if run_id is not None:
            self._journal.signalled[number] = run_id
            self._journal.happened["a signal was taken"] += 1

    def cancel(self) -> None:
        """Cancel a run."""
        self._act_on(self._random.choice((UNENDED, (RunStatus.RUNNING,))), client.cancel_run)

    def retry(self) -> None:
        """Retry a failed run."""
        self._act_on(("failed",), client.retry_run)

    def replay(self) -> None:
        """Replay an ended run, from its top or from its second step."""
        from_step = self._random.choice((None, "b"))

        def replay(run_id: str) -> Any:
            return client.replay_run(run_id, from_step=from_step)

        self._act_on(ENDED, replay)

    def _act_on(self, states: Any, act: Callable[[str], Any]) -> None:
        ids = list(
            Run.objects.filter(status__in=states).order_by("id").values_list("id", flat=True)
        )
        if ids:
            act(self._random.choice(ids))

    def _send(self, events: list[Event[Any]]) -> None:
        client.send(events)
        self._journal.sent |= {event.data["number"] for event in events}

    def _start(self) -> Event[Any]:
        event = self._event(self._random.choice(STARTS))
        if self._random.random() < 0.25:
            event = replace(event, id=f"own-{self._random.randrange(4)}")
        if self._random.random() < 0.1:
            event = replace(event, ts=clock.now() + timedelta(seconds=self._random.randrange(60)))
        return event

    def _event(self, name: str) -> Event[Any]:
        data = {
            "number": self._journal.new_value(),
            "group": self._random.randrange(GROUPS),
            "order": self._random.randrange(ORDERS),
            "fails": self._random.choice((0, 0, 1, 2, 3, 4)),
        }
        return Event(name=name, data=data)
