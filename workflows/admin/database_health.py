"""Signs that the database itself slows the engine down: PostgreSQL's, as SQLite has neither."""

from datetime import timedelta

from django.db import connection
from django.utils.translation import gettext as _

from workflows.admin.display import duration
from workflows.models import Event, Run, Step

OLD_TRANSACTION = timedelta(minutes=5)
MANY_DEAD_ROWS = 100_000

OLDEST_TRANSACTION = """
SELECT now() - min(xact_start) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""
DEAD_ROWS = """
SELECT relname, n_dead_tup FROM pg_stat_user_tables
WHERE relname = ANY(%s) AND n_dead_tup > %s AND n_dead_tup > n_live_tup
ORDER BY n_dead_tup DESC
"""


def database_alerts() -> list[str]:
    """Say what is wrong with the database, if anything."""
    if connection.vendor != "postgresql":
        return []
    tables = [model._meta.db_table for model in (Run, Step, Event)]  # noqa: SLF001  public by use
    found = []
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_TRANSACTION)
        (age,) = cursor.fetchone()
        if age is not None and age > OLD_TRANSACTION:
            text = _("A transaction in the database has been open for %s: no row can be cleared.")
            found.append(text % duration(age))
        cursor.execute(DEAD_ROWS, [tables, MANY_DEAD_ROWS])
        for table, dead in cursor.fetchall():
            found.append(
                _("Table %(table)s has %(dead)s dead rows: is autovacuum on?")
                % {"table": table, "dead": f"{dead:,}"}
            )
    return found
