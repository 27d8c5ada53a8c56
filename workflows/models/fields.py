"""The column types that every table here uses: ids, digests, and JSON kept as text."""

import json
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from workflows import ids

DIGEST_LENGTH = 20

if TYPE_CHECKING:
    AnyTextField = models.TextField[Any, Any]
else:
    AnyTextField = models.TextField


class _BytesField(models.CharField):  # type: ignore[type-arg]  # Django's generic is in stubs only
    """Text that is compared byte by byte: the fastest, and the same on both databases."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Use the collation that compares bytes."""
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters

    def db_type(self, connection: BaseDatabaseWrapper) -> Any:
        """Say the same in words that Django does not take as a reason for a second index.

        It makes one for LIKE beside each unique text. Under this collation the first serves that
        too, and every change of a run would have to be written into both.
        """
        kind = super().db_type(connection)
        if connection.vendor == "postgresql" and kind is not None:
            return kind.replace("varchar", "character varying")
        return kind


class IdField(_BytesField):
    """A ULID: 26 characters, of which ascending ones are of ascending times."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = ids.LENGTH
        super().__init__(*args, **kwargs)


class DigestField(_BytesField):
    """The digest by which a lane or a limit is known: 20 characters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = DIGEST_LENGTH
        super().__init__(*args, **kwargs)


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


class Epoch(models.Func):
    """A moment as whole seconds since 1970, computed by the database itself."""

    output_field = models.BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Let PostgreSQL extract it."""
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Let SQLite read its text; Django's own functions would call Python for each row."""
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, **context)
