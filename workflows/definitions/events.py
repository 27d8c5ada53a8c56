"""Events: the classes that an author declares for their data, and the envelope round it."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from workflows.errors import InvalidEvent

LONGEST_NAME = 256
RESERVED_PREFIXES = ("workflows/", "inngest/")

CRON_FIRED = "workflows/cron.fired"
RUN_INVOKED = "workflows/run.invoked"
RUN_FINISHED = "workflows/run.finished"
RUN_FAILED = "workflows/run.failed"
RUN_CANCELLED = "workflows/run.cancelled"
SYSTEM_EVENTS = (CRON_FIRED, RUN_INVOKED, RUN_FINISHED, RUN_FAILED, RUN_CANCELLED)

Data = TypeVar("Data")


class EventData(BaseModel):
    """The data of one type of event.

        class OrganisationCreated(EventData, name="organisation.created"):
            organisation_id: str

    Fields are snake_case in Python and camelCase on the wire; validation accepts both. Fields
    that the class does not know are kept as they were sent. A subclass without a name is a base
    for others, and cannot be sent.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        protected_namespaces=(),  # `model_number` is an ordinary name for an event's field
    )

    event_name: ClassVar[str] = ""

    def __init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        """Let a class statement give the event's name; the class takes it once it is complete."""
        if "event_name" in inspect.get_annotations(cls):
            raise InvalidEvent(
                f"{_place(cls)}: the field event_name hides the event's own name. "
                f'Call it otherwise, with Field(alias="eventName").'
            )
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        """Take the class into the catalogue under its event's name."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.event_name = name
        if name:
            validate_event_name(name)
            _catalogue.add(cls)

    def to_wire(self) -> dict[str, Any]:
        """Give the data as it is stored and as expressions see it.

        Names are camelCase, values are JSON, defaults are included, and fields that the class
        does not know are as they were sent.
        """
        return self.model_dump(mode="json", by_alias=True)


# Without slots: `Event[Data](...)` makes Python set an attribute, which a frozen class refuses in
# the way that Python expects, and a frozen class with slots does not.
@dataclass(frozen=True)
class Event(Generic[Data]):
    """An event as a workflow receives it; one that user code makes needs `name` and `data` only.

    Attributes:
        name: the event's name.
        data: an instance of the `EventData` class that bears the name, else a plain dict.
        id: the platform's id; in an event to be sent, the sender's own id, which deduplicates.
        ts: when it happened; in an event to be sent, None means now.
        user: what the sender said about a user.
        v: the sender's version of the data.
    """

    name: str
    data: Data
    _: KW_ONLY
    id: str | None = None
    ts: datetime | None = None
    user: dict[str, Any] | None = None
    v: str | None = None


def build_event(
    id: str,
    name: str,
    data: dict[str, Any] | str | bytes,
    ts: datetime,
    user: dict[str, Any] | None = None,
    v: str | None = None,
) -> Event[Any]:
    """Give a stored event as a workflow receives it.

    Args:
        id: the platform's id of the event.
        name: its name, which decides the class of its data.
        data: its data in wire form, as a dict or as JSON text.
        ts: when it happened.
        user: what the sender said about a user.
        v: the sender's version of the data.

    Raises:
        InvalidEvent: the data no longer fits its `EventData` class.
    """
    try:
        return Event(name, typed_data(name, data), id=id, ts=ts, user=user, v=v)
    except InvalidEvent as error:
        raise InvalidEvent(f"The stored event {id} no longer fits its class: {error}") from error


def typed_data(name: str, data: dict[str, Any] | str | bytes) -> Any:
    """Give data as an instance of the class that bears the name, or as a dict without one.

    Raises:
        InvalidEvent: the class refuses the data; the message names each field.
    """
    data_class = event_class(name)
    if data_class is None:
        return data if isinstance(data, dict) else json.loads(data)
    try:
        if isinstance(data, dict):
            return data_class.model_validate(data)
        return data_class.model_validate_json(data)
    except ValidationError as error:
        raise InvalidEvent(f"{name}: {_faults(error)}") from error


def wire_data(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Give data in the wire form of the class that bears the name, or unchanged without one.

    Raises:
        InvalidEvent: the class refuses the data; the message names each field.
    """
    if event_class(name) is None:
        return data
    typed: EventData = typed_data(name, data)
    return typed.to_wire()


def validate_event_name(name: str, *, allow_reserved: bool = False) -> str:
    """Give the name back if an event may bear it.

    Args:
        name: 1 to 256 characters, without NUL and lone surrogates.
        allow_reserved: also take names that only the platform itself gives.

    Raises:
        InvalidEvent: the name breaks a rule; the message says which.
    """
    fault = _fault_of_name(name, allow_reserved=allow_reserved)
    if fault:
        raise InvalidEvent(f"An event's name {fault}.")
    return name


def event_class(name: str) -> type[EventData] | None:
    """Give the class that bears an event's name, if there is one."""
    return _catalogue.find(name)


@contextmanager
def isolated_event_classes() -> Iterator[None]:
    """Forget at the end every class that was declared inside."""
    with _catalogue.isolated():
        yield


class _Catalogue:
    """The declared classes by their events' names."""

    def __init__(self) -> None:
        self._classes: dict[str, type[EventData]] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> type[EventData] | None:
        return self._classes.get(name)

    def add(self, declared: type[EventData]) -> None:
        with self._lock:
            holder = self._classes.get(declared.event_name)
            if holder is not None and not _gives_way(holder, declared):
                raise InvalidEvent(
                    f"Two classes are declared for the event {declared.event_name!r}: "
                    f"{_place(holder)} and {_place(declared)}."
                )
            self._classes[declared.event_name] = declared

    @contextmanager
    def isolated(self) -> Iterator[None]:
        before = dict(self._classes)
        try:
            yield
        finally:
            self._classes = before


_catalogue = _Catalogue()


def _gives_way(holder: type[EventData], declared: type[EventData]) -> bool:
    """Say whether the same declaration was executed again, or both are local to functions.

    A function that declares a class, a test for one, does so each time it is called.
    """
    local = "<locals>" in holder.__qualname__ and "<locals>" in declared.__qualname__
    return local or _place(holder) == _place(declared)


def _place(declared: type) -> str:
    return f"{declared.__module__}.{declared.__qualname__}"


def _fault_of_name(name: object, *, allow_reserved: bool) -> str | None:
    if not isinstance(name, str):
        return f"must be text, not {type(name).__name__}"
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters, this one has {len(name)}"
    if "\0" in name:
        return "must not contain a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "must not contain a lone surrogate"
    if not allow_reserved and name.startswith(RESERVED_PREFIXES):
        return f"must not begin with {name.partition('/')[0]}/, which is reserved: {name!r}"
    return None


def _faults(error: ValidationError) -> str:
    """Say what is wrong with which field, without repeating what was sent."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'data'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    )
