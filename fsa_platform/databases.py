"""What DATABASE_URL means: the database, and how connections to it behave."""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from fsa_platform.environment import EnvironmentValueError

SCHEMES = {"sqlite": "sqlite", "postgres": "postgresql", "postgresql": "postgresql"}
FORMS = "sqlite:///path or postgresql://user:password@host:port/name"

# Bodies that use the ORM take turns beyond this; a server has about 100 connections for all. The
# engine's own threads have connections of their own, so that no body can keep them from renewing.
BODY_CONNECTIONS = 16


def database_vendor(name: str) -> str:
    """Say which database the variable names: "sqlite" or "postgresql"."""
    url = os.environ.get(name, "")
    scheme = url.partition("://")[0] if url else "sqlite"
    if scheme not in SCHEMES:
        # What follows "://" may hold a password, so it is not shown.
        raise EnvironmentValueError(f"{name} must be {FORMS}, and not begin with {scheme!r}.")
    return SCHEMES[scheme]


def database(name: str, *, directory: Path, threads: int) -> dict[str, Any]:
    """Give Django's settings for the database that the variable names.

    Args:
        name: The environment variable; where it is unset, `db.sqlite3` in `directory` is used.
        directory: What a relative SQLite path is relative to.
        threads: How many runs a worker process executes at once.
    """
    if database_vendor(name) == "sqlite":
        return sqlite(parse(name, default="sqlite:///db.sqlite3"), name=name, directory=directory)
    return postgresql(parse(name), name=name, threads=threads)


def parse(name: str, *, default: str = "") -> dict[str, Any]:
    """Split the variable's URL into Django's settings."""
    try:
        return dict(dj_database_url.parse(os.environ.get(name) or default))
    except ValueError as error:
        raise EnvironmentValueError(
            f"{name} cannot be read as a URL ({FORMS}); "
            "characters such as @ or / in a password are written as %40 or %2F."
        ) from error


def sqlite(settings: dict[str, Any], *, name: str, directory: Path) -> dict[str, Any]:
    """Make an embedded database safe to share between the web and worker processes."""
    if settings["NAME"] == ":memory:":
        raise EnvironmentValueError(f"{name} must name a file: processes cannot share memory.")
    options = {
        # WAL lets readers go on beside the writer. FULL syncs each commit to the disk, without
        # which a committed event could be lost with the power.
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
        # A transaction that begins as a reader and then writes fails at once, whatever the
        # timeout, if somebody wrote in between; one that begins as a writer waits its turn.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
    # One file for all processes, in whichever directory each was started.
    path = directory / settings["NAME"]
    return {**settings, "NAME": str(path), "OPTIONS": {**options, **settings.get("OPTIONS", {})}}


def postgresql(settings: dict[str, Any], *, name: str, threads: int) -> dict[str, Any]:
    """Let the threads of a process share a bounded number of connections."""
    if not settings["NAME"]:
        raise EnvironmentValueError(f"{name} names no database: it must be {FORMS}.")
    os.register_at_fork(after_in_child=forget_inherited_pools)
    options = {
        "pool": {
            # A process that never asks (the queue's guard, a management command) opens none.
            "min_size": 0,
            "max_size": min(threads, BODY_CONNECTIONS),
            # The pauses between attempts to connect double; begun anew, they stay short, so that
            # a server that was away for minutes is found again within seconds.
            "reconnect_timeout": 5.0,
        },
        # A connection whose other end is gone without a word is noticed in half a minute, not in
        # the two hours that are the system's default.
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # The engine's few statements are planned once. PgBouncer has known prepared statements
        # since 1.21; an older one needs `?prepare_threshold=` in the URL, which turns them off.
        "prepare_threshold": 2,
    }
    return {
        **settings,
        "OPTIONS": {**options, **settings.get("OPTIONS", {})},
        # The pool keeps the connections, so Django must not: it refuses any other age.
        "CONN_MAX_AGE": 0,
        # A connection that died with a restart of the server is replaced, not handed out.
        "CONN_HEALTH_CHECKS": True,
    }


def forget_inherited_pools() -> None:
    """Let a forked process open a pool of its own.

    It inherits its parent's pool with the sockets that the parent goes on using, and without the
    threads that fill it: used, both processes read each other's answers or wait for ever. Django
    closes connections before a fork, but never the pool. Forgetting is safe: psycopg hangs up only
    in the process that connected.
    """
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, DatabaseWrapper):
            wrapper.connection = None
    # Django offers no public way, and its types do not know this one.
    DatabaseWrapper._connection_pools.clear()  # type: ignore[attr-defined] # noqa: SLF001
