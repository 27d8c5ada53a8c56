"""The decorator that makes a function a workflow, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Never, TypeVar

from typing_extensions import ParamSpec
from typing_extensions import TypeVar as TypeVarWithDefault

from workflows.definitions.arguments import (
    DEFAULT_RETRIES,
    checked_arguments,
    naming,
    require_id,
    require_known,
)
from workflows.definitions.flow_control import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from workflows.definitions.registry import registry
from workflows.definitions.signatures import is_async, place_of, require_takes, return_type
from workflows.definitions.triggers import OneTrigger, Trigger
from workflows.errors import InvalidWorkflow

FAILURE_SUFFIX = "/on-failure"

Parameters = ParamSpec("Parameters", default=...)
Result = TypeVarWithDefault("Result", default=Any)
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Workflow(Generic[Parameters, Result]):
    """A workflow as it was declared, checked and complete; calling it calls its function.

    Attributes:
        id: by which it is known, also in what is stored.
        name: what operators see.
        function: the author's function.
        is_async: whether that is a coroutine function.
        place: the module and the qualified name of the function.
        queue: the queue that its runs are in.
        retries: the extra attempts of each step, and of the code between steps.
        max_attempts: all attempts, the first included.
        tags: expressions over the event by the names of the tags.
        triggers: what starts it.
        concurrency: how many runs may go on at once; up to two limits.
        throttle: how starts are spread.
        rate_limit: how many starts there may be.
        debounce: how events are gathered until there is quiet.
        priority: which of the waiting runs start first.
        batch: how events are gathered for one run.
        singleton: whether one run excludes others.
        idempotency: which events start nothing because an earlier one did.
        cancel_on: the events that cancel its runs.
        timeouts: when runs are cancelled because they take too long.
        failure_workflow: what runs once a run has failed for good.
        failure_of: the id of the workflow whose failures this one handles; its function is
            called with (event, error, step).
    """

    id: str
    name: str
    function: Callable[Parameters, Result] = field(repr=False)
    is_async: bool
    place: str
    queue: str = "default"
    retries: int = DEFAULT_RETRIES
    max_attempts: int = DEFAULT_RETRIES + 1
    tags: Mapping[str, str] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    concurrency: tuple[Concurrency, ...] = ()
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    priority: Priority | None = None
    batch: Batch | None = None
    singleton: Singleton | None = None
    idempotency: Idempotency | None = None
    cancel_on: tuple[CancelOn, ...] = ()
    timeouts: Timeouts | None = None
    failure_workflow: Workflow | None = None
    failure_of: str | None = None
    _resolved: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Call the author's function, as a unit test of it does."""
        return self.function(*args, **kwargs)

    def __str__(self) -> str:
        return f"Workflow {self.id!r} ({self.place})"

    @property
    def output_type(self) -> Any:
        """The type that the function's annotation says it returns, or None without one.

        It is looked up when it is first asked for, as annotations may name what is defined later.
        """
        if "output_type" not in self._resolved:
            self._resolved["output_type"] = return_type(self.function)
        return self._resolved["output_type"]

    def declaration(self) -> dict[str, Any]:
        """Give all that routing and admission need, as JSON; durations are in milliseconds.

        Equal declarations are equal as text too: every part has one order.
        """
        single = {
            name: None if (rule := getattr(self, name)) is None else rule.declaration()
            for name in _SINGLE_RULES
        }
        return dict(
            sorted(
                {
                    "id": self.id,
                    "name": self.name,
                    "queue": self.queue,
                    "retries": self.retries,
                    "tags": dict(sorted(self.tags.items())),
                    "triggers": [trigger.declaration() for trigger in self.triggers],
                    "concurrency": [limit.declaration() for limit in self.concurrency],
                    "cancel_on": [rule.declaration() for rule in self.cancel_on],
                    "failure_workflow": self.failure_workflow and self.failure_workflow.id,
                    "failure_of": self.failure_of,
                    **single,
                }.items()
            )
        )


_SINGLE_RULES = (
    "throttle",
    "rate_limit",
    "debounce",
    "priority",
    "batch",
    "singleton",
    "idempotency",
    "timeouts",
)


def workflow(  # noqa: PLR0913 - the public surface has these arguments
    *,
    id: str,
    trigger: OneTrigger | Sequence[OneTrigger] | None = None,
    name: str | None = None,
    queue: str = "default",
    tags: Mapping[str, str] | None = None,
    retries: int = DEFAULT_RETRIES,
    on_failure: Callable[..., Any] | None = None,
    concurrency: Concurrency | Sequence[Concurrency] = (),
    throttle: Throttle | None = None,
    rate_limit: RateLimit | None = None,
    debounce: Debounce | None = None,
    priority: Priority | None = None,
    batch: Batch | None = None,
    singleton: Singleton | None = None,
    idempotency: Idempotency | str | None = None,
    cancel_on: CancelOn | Sequence[CancelOn] = (),
    timeouts: Timeouts | None = None,
    **unknown: Never,
) -> Callable[[Callable[P, R]], Workflow[P, R]]:
    """Make a function `(event, step)` a workflow, and register it; it may be async.

    Args:
        id: 1 to 200 printable characters, by which the workflow is known across deploys.
        trigger: what starts it; one without a trigger can only be invoked.
        name: what operators see; the id by default.
        queue: the queue of its runs, which worker hosts choose to serve.
        tags: up to five expressions by name, by whose values operators find runs.
        retries: extra attempts, 0 to 20, of each step and of the code between steps.
        on_failure: a function `(event, error, step)`, run as the workflow `<id>/on-failure`, in
            the same queue and with the same tags, once a run has failed for good.
        concurrency: one or two limits on runs that go on at once.
        throttle: spreads starts; the excess waits.
        rate_limit: limits starts; the excess is skipped.
        debounce: one run, with the latest event, after a time of quiet.
        priority: a head start among waiting runs.
        batch: one run for many events; the function is `(events, step)`.
        singleton: one active run.
        idempotency: one run for each value of an expression in a period.
        cancel_on: up to five events that cancel runs.
        timeouts: cancel runs that take too long.
        unknown: what is refused, with the nearest right name.

    Raises:
        InvalidWorkflow: something is wrong; the message names the workflow and the argument.
    """
    given = dict(locals())

    def declare(function: Callable[P, R]) -> Workflow[P, R]:
        declared = _declared(function, given)
        registry.add(declared)
        return declared

    return declare


def _declared(function: Callable[P, R], given: Mapping[str, Any]) -> Workflow[P, R]:
    try:
        require_known(given["unknown"])
        checked = checked_arguments(given)
        with naming("function"):
            require_takes(function, ("events" if checked["batch"] else "event", "step"))
        return _made(function, checked, given["on_failure"])
    except InvalidWorkflow as error:
        raise InvalidWorkflow(
            f"Workflow {given['id']!r} ({place_of(function)}): {error}"
        ) from error


def _made(
    function: Callable[P, R], checked: dict[str, Any], on_failure: Callable[..., Any] | None
) -> Workflow[P, R]:
    arguments = dict(checked)
    return Workflow(
        name=arguments.pop("name") or checked["id"],
        triggers=arguments.pop("trigger"),
        function=function,
        is_async=is_async(function),
        place=place_of(function),
        max_attempts=checked["retries"] + 1,
        failure_workflow=on_failure and _failure_workflow(function, checked, on_failure),
        **arguments,
    )


def _failure_workflow(
    function: Callable[..., Any], checked: dict[str, Any], on_failure: Callable[..., Any]
) -> Workflow:
    with naming("on_failure"):
        require_takes(on_failure, ("event", "error", "step"))
        failure_id = require_id(checked["id"] + FAILURE_SUFFIX)
    return Workflow(
        id=failure_id,
        name=failure_id,
        function=on_failure,
        is_async=is_async(on_failure),
        # By the workflow's place: several workflows may share one function for their failures.
        place=f"{place_of(function)}, on_failure",
        queue=checked["queue"],
        tags=checked["tags"],
        failure_of=checked["id"],
    )
