"""Singleton: one active run for each value of a key. The database refuses a second one too."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from workflows.engine.catalogue import Catalogue
from workflows.engine.envelopes import envelope
from workflows.engine.gate_rules import Mark, SingletonRule
from workflows.errors import RunStateError
from workflows.models import Event, Run


class Singletons:
    """The active run of each key, as one turn of routing finds and leaves them."""

    def __init__(self, keys: Iterable[str]) -> None:
        active = Run.objects.active_singletons(keys).values_list("singleton", "id")
        self._active: dict[str | None, str] = dict(active)

    def refusal(self, rule: SingletonRule, mark: Mark) -> str | None:
        """Say why an event starts no run; None where it may."""
        active = self._active.get(mark.digest)
        if active is None or rule.cancels:
            return None
        return f"singleton: run {active} is active{mark.text}"

    def claim(self, mark: Mark, run_id: str) -> str | None:
        """Let a run be the active one; return the run that has to be cancelled for it."""
        replaced = self._active.get(mark.digest)
        self._active[mark.digest] = run_id
        return replaced


def replaced_by(run_id: str, mark: Mark) -> str:
    """Return why a run is cancelled in favour of another."""
    return f"singleton: run {run_id} takes its place{mark.text}"


def singleton_key(workflow: str, event: Event, catalogue: Catalogue) -> str | None:
    """Return the key of which a run of an event is the only active run; None where it need not."""
    route = catalogue.targets.get(workflow)
    if route is None or route.gates is None or route.gates.singleton is None:
        return None
    return route.gates.singleton.keys.mark(envelope(event)).digest


@contextmanager
def as_the_only_active(singleton: str | None, *, action: str) -> Iterator[None]:
    """Refuse what the block would do: to make a second active run of a key.

    The block writes the run; where routing writes another one at that moment, the database's
    constraint decides.

    Raises:
        RunStateError: there is an active one.
    """
    if singleton is None:
        yield
        return
    active = Run.objects.active_singletons([singleton]).values_list("id", flat=True).first()
    if active is not None:
        raise RunStateError(_refusal(action, f"run {active}"))
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise RunStateError(_refusal(action, "another run")) from error


def _refusal(action: str, active: str) -> str:
    return (
        f"The run cannot be {action} now: {active} is the active one of its singleton key. "
        "Wait for its end, or cancel it."
    )
