"""Results of steps and outputs of runs: stored as JSON, rebuilt by the return annotation.

A result that does not come back as it was is refused: the first pass of a workflow and every
replay must see equal values.
"""

import functools
import types
from collections.abc import Iterator
from typing import Any

from django.db import models
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from workflows.errors import OutputTooLarge, StepResultNotStorable
from workflows.serialisation.annotations import NO_ANNOTATION
from workflows.serialisation.references import MODEL, escaped, loaded, reference_to

PLAIN = (str, int, bool, type(None))
UNBOUNDED = (types.GeneratorType, Iterator)


def round_trip(value: object, annotation: Any, *, max_bytes: int | None = None) -> tuple[str, Any]:
    """Return a value as text, and as every replay will give it.

    The second shares nothing with the first that anybody could change. A model instance that
    stands by itself is handed on as it is: a replay's is equal, by its primary key.

    Raises:
        StepResultNotStorable: the value cannot be stored, or would not come back.
        OutputTooLarge: its text is longer than `max_bytes`.
    """
    text = encode(value, max_bytes=max_bytes)
    if isinstance(value, models.Model):
        return text, value
    try:
        return text, decode(text, annotation)
    except ValidationError as error:
        message = (
            f"The result, a {_name(value)}, does not fit the return annotation "
            f"{annotation!r}: {error}"
        )
        raise StepResultNotStorable(message) from error


def encode(value: object, *, max_bytes: int | None = None) -> str:
    """Return a value as JSON text.

    Raises:
        StepResultNotStorable: it cannot be stored; the message names the type and the place.
        OutputTooLarge: the text is longer than `max_bytes`.
    """
    if isinstance(value, UNBOUNDED):
        raise StepResultNotStorable(_consumed(value))
    try:
        data = to_json(value, fallback=_reference, inf_nan_mode="constants")
    except StepResultNotStorable:
        raise
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise StepResultNotStorable(_reason(value, error)) from error
    if max_bytes is not None and len(data) > max_bytes:
        message = (
            f"The result has {len(data):,} bytes as JSON; "
            f"{max_bytes:,} are allowed (MAX_RESULT_BYTES)."
        )
        raise OutputTooLarge(message)
    return _checked(value, data)


def decode(text: str, annotation: Any = NO_ANNOTATION) -> Any:
    """Return a stored value, rebuilt by an annotation.

    Raises:
        ValidationError: the value does not fit the annotation, which the code has changed.
    """
    adapter = _adapter(annotation)
    if f'"{MODEL}"' not in text and '"$$' not in text:
        return from_json(text) if adapter is None else adapter.validate_json(text)
    value = loaded(from_json(text))
    return value if adapter is None else adapter.validate_python(value)


def _checked(value: object, data: bytes) -> str:
    """Refuse what pydantic writes though it would not come back, or no database takes it."""
    text = data.decode()
    if "NaN" in text or "Infinity" in text or "\\u0000" in text:
        try:
            _refuse_unstorable(from_json(data, allow_inf_nan=False), "")
        except ValueError as error:
            message = (
                f"The result, a {_name(value)}, holds NaN or infinity, which JSON does not have."
            )
            raise StepResultNotStorable(message) from error
    if MODEL in text or '"$$' in text:
        return _with_escaped_dicts(value)
    return text


def _with_escaped_dicts(value: object) -> str:
    """Keep the author's own dicts with a key `$model` apart from references."""
    references = _References()
    marked = from_json(to_json(value, fallback=references.mark))
    return to_json(references.put_back(escaped(marked))).decode()


class _References:
    """Puts references in after the author's dicts have been escaped."""

    def __init__(self) -> None:
        self._mark = object().__repr__()
        self._found: list[dict[str, Any]] = []

    def mark(self, instance: object) -> str:
        """Return a text that stands for an instance."""
        self._found.append(_reference(instance))
        return f"{self._mark}{len(self._found) - 1}"

    def put_back(self, value: Any) -> Any:
        """Return the value with references where their marks stand."""
        if isinstance(value, dict):
            return {key: self.put_back(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.put_back(item) for item in value]
        if isinstance(value, str) and value.startswith(self._mark):
            return self._found[int(value.removeprefix(self._mark))]
        return value


def _refuse_unstorable(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key, f"{place}.{key!r}")
            _refuse_unstorable(item, f"{place}[{key!r}]")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_unstorable(item, f"{place}[{number}]")
    elif isinstance(value, str) and "\0" in value:
        message = f"The text at result{place} holds a NUL character, which PostgreSQL cannot store."
        raise StepResultNotStorable(message)


def _reason(value: object, error: BaseException) -> str:
    """Return why pydantic could not write a value; what `_reference` said stands at the end."""
    own = str(error).partition(f"{StepResultNotStorable.__name__}: ")[2]
    return own or f"The result, a {_name(value)}, cannot be stored: {error}"


def _reference(value: object) -> dict[str, Any]:
    if isinstance(value, models.Model):
        return reference_to(value)
    message = (
        f"A {_name(value)} in the result cannot be stored: "
        "return what JSON, pydantic or a dataclass can hold."
    )
    raise StepResultNotStorable(message)


def _consumed(value: object) -> str:
    return (
        f"A {_name(value)} can be read only once, so it cannot be stored: return list(...) of it."
    )


def _name(value: object) -> str:
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


@functools.lru_cache(maxsize=4096)
def _cached_adapter(annotation: Any) -> "TypeAdapter[Any] | None":
    if annotation in (NO_ANNOTATION, object, None, type(None)):
        return None
    with_models = ConfigDict(arbitrary_types_allowed=True)
    try:
        return TypeAdapter(annotation, config=with_models)
    except PydanticUserError:  # a type that may have a configuration of its own refuses another
        if hasattr(annotation, "__pydantic_config__") or issubclass(annotation, BaseModel):
            return TypeAdapter(annotation)
        # A dataclass or a TypedDict without one takes it from what it stands in.
        return TypeAdapter(annotation | None, config=with_models)


def _adapter(annotation: Any) -> "TypeAdapter[Any] | None":
    """Return what rebuilds by an annotation; None: plain JSON."""
    try:
        return _cached_adapter(annotation)
    except TypeError:  # an annotation that has no hash
        return _cached_adapter.__wrapped__(annotation)
