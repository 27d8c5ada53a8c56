"""Run branches of a workflow side by side: on the run's own thread, and on free ones that help.

The run's own thread works on its branches too, so that runs that hold all threads and wait for
their branches cannot block each other.
"""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from workflows.engine import context
from workflows.engine.execution import Branch, Execution
from workflows.errors import Interrupt, Suspend

BranchCode = Callable[[], Any]


def run_branches(
    execution: Execution, parent: Branch, branches: Sequence[BranchCode]
) -> tuple[Any, ...]:
    """Run the branches and return what each gave, in their order.

    All go as far as they can before anything else happens: then the run suspends where one of
    them waits, or the error of the first one that failed is raised.
    """
    parent.settle()
    prefix = f"{parent.path}{parent.parallels}."
    parent.parallels += 1
    children = [execution.branch(parent, f"{prefix}{number}/") for number in range(len(branches))]
    work = Branches(execution, list(zip(children, branches, strict=True)))
    execution.call_helpers(work.work, len(branches) - 1)
    work.work()
    work.wait()
    for child in children:
        parent.progress.is_new |= child.progress.is_new
    return _joined(parent, work.outcomes)


class Branches:
    """The branches of one `step.parallel`, which several threads take one after another."""

    def __init__(self, execution: Execution, branches: Sequence[tuple[Branch, BranchCode]]) -> None:
        self._execution = execution
        self._untaken = deque(enumerate(branches))
        self._ended = threading.Semaphore(0)
        self._count = len(branches)
        self.outcomes: list[Any] = [None] * len(branches)

    def work(self) -> None:
        """Run branches until none is left to begin."""
        while True:
            try:
                number, (branch, code) = self._untaken.popleft()
            except IndexError:
                return
            self.outcomes[number] = contextvars.copy_context().run(self._run, branch, code)
            self._ended.release()

    def wait(self) -> None:
        """Wait until those that other threads have begun have ended too."""
        for _ in range(self._count):
            self._ended.acquire()

    def _run(self, branch: Branch, code: BranchCode) -> Any:
        """Run one branch; return what it gave, or what it raised, as an `Outcome`."""
        context.enter(context.Place(self._execution, branch))
        try:
            value = code()
            branch.settle()
        except BaseException as error:  # noqa: BLE001  told to the thread that joins the branches
            return Raised(error)
        return Raised(Suspend()) if branch.is_suspended else value


class Raised:
    """What a branch raised instead of giving a value."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _joined(parent: Branch, outcomes: Sequence[Any]) -> tuple[Any, ...]:
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Raised)]
    interrupts = [error for error in errors if isinstance(error, Interrupt)]
    lost = [error for error in interrupts if not isinstance(error, Suspend)]
    if lost:
        raise lost[0]
    if interrupts:
        parent.is_suspended = True
        raise Suspend
    if errors:
        raise errors[0]
    return tuple(outcomes)
