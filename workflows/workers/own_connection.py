"""Connections of the engine's own threads, apart from the ones on which bodies take turns.

Bodies may hold every connection of the process's pool for as long as they like. Were the beat to
wait for one of them, the lease would end, and all that the process holds would be done again.
They stay open whatever the project's settings say: django-q2 would have one made for each drain.
"""

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import DatabaseWrapper


def use_own_connection() -> None:
    """Let the calling thread's default connection be one that it keeps for itself."""
    connections[DEFAULT_DB_ALIAS].close()
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    options = {key: value for key, value in own.settings_dict["OPTIONS"].items() if key != "pool"}
    own.settings_dict = {**own.settings_dict, "OPTIONS": options, "CONN_MAX_AGE": None}
    connections[DEFAULT_DB_ALIAS] = own


def replace_broken_connections() -> None:
    """Replace the pool's broken connections, all at once.

    The pool itself finds them one by one, and pauses after each for twice as long as before:
    after a restart of the server a body could wait for most of a minute.
    """
    wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    if isinstance(wrapper, DatabaseWrapper) and wrapper.pool is not None:
        wrapper.pool.check()
