"""The two column types that every table here uses: ids and JSON kept as text."""

import json
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from workflows import ids

if TYPE_CHECKING:
    AnyTextField = models.TextField[Any, Any]
else:
    AnyTextField = models.TextField


class IdField(models.CharField):  # type: ignore[type-arg]  # Django's generic exists in stubs only
    """A ULID: 26 characters, compared byte by byte, so that ascending ids are ascending times."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = ids.LENGTH
        super().__init__(*args, **kwargs)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Use the collation that compares bytes: the fastest, and the same on both databases."""
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters


class JSONTextField(AnyTextField):
    """A JSON value kept as the text that was written.

    Neither database rewrites it (jsonb would reorder keys and round numbers), so that what is
    read is what was stored, on both alike. The hot path reads and writes the text itself.
    """

    # What the type checker's plugin asks for: any JSON value may be given, and is got.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any
    _pyi_lookup_exact_type: Any

    def from_db_value(self, value: str | None, *_: object) -> Any:
        """Return the value that the text stands for."""
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        """Leave values as they are: only the database holds text."""
        return value

    def get_prep_value(self, value: Any) -> str | None:
        """Return the text of a value."""
        return None if value is None else json.dumps(value, separators=(",", ":"))
