"""Databases of one's own, which go at the end, and the environment of a program that uses one."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit


@contextmanager
def fresh_database(given: str, *, suffix: str = "bench") -> Iterator[str]:
    """Give the URL of a new database, which goes at the end."""
    if given == "sqlite":
        with tempfile.TemporaryDirectory(prefix=f"{suffix}-") as folder:
            yield f"sqlite:///{folder}/{suffix}.sqlite3"
        return
    import psycopg  # noqa: PLC0415  SQLite needs no driver

    parts = urlsplit(given)
    name = f"{parts.path.strip('/') or 'workflows'}_{suffix}"
    server = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def environment(url: str) -> dict[str, str]:
    """Return the environment of a process on a database: as in production, because DEBUG costs."""
    return {
        **os.environ,
        "DATABASE_URL": url,
        "DEBUG": "0",
        "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets.token_hex(32),
        "HTTPS": "0",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
    }
