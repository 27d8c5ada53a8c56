"""The hot path's SQL, in one place for each database."""

from django.db import connection

from workflows.engine.sql.postgresql import PostgreSQL
from workflows.engine.sql.sqlite import SQLite
from workflows.engine.sql.statements import Statements

_DIALECTS: dict[str, Statements] = {"postgresql": PostgreSQL(), "sqlite": SQLite()}


def sql() -> Statements:
    """Return the statements for the database in use."""
    try:
        return _DIALECTS[connection.vendor]
    except KeyError:
        message = (
            f"The engine runs on PostgreSQL or SQLite; this database is {connection.vendor!r}."
        )
        raise NotImplementedError(message) from None


__all__ = ["Statements", "sql"]
