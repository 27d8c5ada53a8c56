"""Which workflows there are: every module that declares one adds it here when it is imported."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

from workflows.definitions.events import isolated_event_classes
from workflows.errors import InvalidWorkflow, UnknownWorkflow

if TYPE_CHECKING:
    from workflows.definitions.workflow import Workflow


class Registry:
    """Workflows by their ids, failure workflows included.

    Threads read while others add: a change puts a new dict in the place of the old one.
    """

    def __init__(self) -> None:
        self._workflows: dict[str, Workflow] = {}
        self._lock = threading.Lock()

    def add(self, workflow: Workflow) -> None:
        """Take in a workflow, and the one for its failures.

        The same definition executed again takes its own place.

        Raises:
            InvalidWorkflow: another function has the id; the message names both.
        """
        declared = [workflow]
        if workflow.failure_workflow is not None:
            declared.append(workflow.failure_workflow)
        with self._lock:
            for each in declared:
                self._require_free(each)
            # An earlier definition may have had a failure workflow, and this one none.
            kept = {
                name: held
                for name, held in self._workflows.items()
                if held.failure_of != workflow.id
            }
            self._workflows = kept | {each.id: each for each in declared}

    def find(self, id: str) -> Workflow | None:
        """Give the workflow with this id, if there is one."""
        return self._workflows.get(id)

    def get(self, id: str) -> Workflow:
        """Give the workflow with this id.

        Raises:
            UnknownWorkflow: there is none; the message names the nearest id.
        """
        workflow = self._workflows.get(id)
        if workflow is None:
            close = get_close_matches(str(id), self._workflows, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise UnknownWorkflow(f"There is no workflow {id!r}{hint}")
        return workflow

    def ids(self) -> list[str]:
        """Give the ids of all workflows, sorted."""
        return sorted(self._workflows)

    def __iter__(self) -> Iterator[Workflow]:
        workflows = self._workflows
        return iter([workflows[name] for name in sorted(workflows)])

    def __len__(self) -> int:
        return len(self._workflows)

    def __contains__(self, id: object) -> bool:
        return id in self._workflows

    @contextmanager
    def scoped(self) -> Iterator[Registry]:
        """Forget at the end what was added inside, and put back what it replaced."""
        before = self._workflows
        try:
            yield self
        finally:
            self._workflows = before

    def _require_free(self, workflow: Workflow) -> None:
        holder = self._workflows.get(workflow.id)
        if holder is not None and holder.place != workflow.place:
            raise InvalidWorkflow(
                f"{workflow}: id: {workflow.id!r} is already the id of {holder.place}. "
                f"Two workflows cannot share one."
            )


registry = Registry()


@contextmanager
def isolated_registry() -> Iterator[Registry]:
    """Let workflows and event classes that are declared inside be known inside only.

    Those that were there before are known inside as well.
    """
    with registry.scoped(), isolated_event_classes():
        yield registry
