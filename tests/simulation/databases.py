"""The simulator's database: SQLite in memory, put back to its beginning for every history."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.sqlite3.base import DatabaseWrapper

from tests.simulation.snapshots import CHANGES, triggers

EFFECTS = """
    CREATE TABLE simulation_effect (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL, step_key TEXT NOT NULL, value INTEGER NOT NULL)
"""

_template: sqlite3.Connection | None = None


@contextmanager
def fresh_database() -> Iterator[DatabaseWrapper]:
    """Have Django use a database of the block's own, with the engine's tables and no rows."""
    before = connections[DEFAULT_DB_ALIAS]
    wrapper = _wrapper(before.settings_dict)
    connections[DEFAULT_DB_ALIAS] = wrapper
    try:
        wrapper.connect()
        _restore(wrapper)
        yield wrapper
    finally:
        connections[DEFAULT_DB_ALIAS] = before
        wrapper.connection.close()


def _wrapper(settings: dict[str, Any]) -> DatabaseWrapper:
    own = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    options = {"transaction_mode": "IMMEDIATE"}
    return DatabaseWrapper(
        {**settings, **own, "OPTIONS": options, "CONN_HEALTH_CHECKS": False}, DEFAULT_DB_ALIAS
    )


def _restore(wrapper: DatabaseWrapper) -> None:
    """Copy the tables, which are made once for all histories of this process."""
    global _template  # noqa: PLW0603  a process has one
    if _template is None:
        _create_tables(wrapper)
        _template = sqlite3.connect(":memory:")
        wrapper.connection.backup(_template)
    else:
        _template.backup(wrapper.connection)
    # The tables of other apps, to which some of the engine's refer, are not there.
    wrapper.connection.execute("PRAGMA foreign_keys = OFF")


def _create_tables(wrapper: DatabaseWrapper) -> None:
    with wrapper.schema_editor() as editor:
        for model in apps.get_app_config("workflows").get_models():
            editor.create_model(model)
        editor.execute(EFFECTS)
        editor.execute(CHANGES)
        for trigger in triggers():
            editor.execute(trigger, params=None)
