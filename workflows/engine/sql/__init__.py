"""The hot path's SQL, in one place for each database."""

from django.db import connection

from workflows.engine.sql.lanes import LaneStatements
from workflows.engine.sql.postgresql import PostgreSQL
from workflows.engine.sql.postgresql_lanes import PostgreSQLLanes
from workflows.engine.sql.sqlite import SQLite
from workflows.engine.sql.sqlite_lanes import SQLiteLanes
from workflows.engine.sql.statements import Statements

_DIALECTS: dict[str, Statements] = {"postgresql": PostgreSQL(), "sqlite": SQLite()}
_LANES: dict[str, LaneStatements] = {"postgresql": PostgreSQLLanes(), "sqlite": SQLiteLanes()}


def sql() -> Statements:
    """Return the statements for the database in use."""
    try:
        return _DIALECTS[connection.vendor]
    except KeyError:
        message = (
            f"The engine runs on PostgreSQL or SQLite; this database is {connection.vendor!r}."
        )
        raise NotImplementedError(message) from None


def lane_sql() -> LaneStatements:
    """Return admission's statements for the database in use."""
    return _LANES[connection.vendor]


__all__ = ["LaneStatements", "Statements", "lane_sql", "sql"]
