"""A PostgreSQL server of the test's own, which it may stop at any moment."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Server:
    """A server in a directory of its own, at a free port of this host."""

    def __init__(self, folder: str, port: int) -> None:
        self.folder = folder
        self.port = port
        self._programs = server_programs()
        self._data = f"{folder}/data"

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make its data directory."""
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", f"--pgdata={self._data}", "--username=postgres", "--auth=trust")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        log = f"--log={self.folder}/log"
        self._run(
            "pg_ctl", f"--pgdata={self._data}", log, "--wait", f"--options={options}", "start"
        )

    def stop_at_once(self) -> None:
        """Stop it without any order, as a crash does."""
        self._run("pg_ctl", f"--pgdata={self._data}", "--mode=immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/",
        )


@contextmanager
def own_server() -> Iterator[Server]:
    """Give a server that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="chaos-server-") as folder:
        server = Server(folder, free_port())
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop_at_once()


def server_programs() -> Path:
    """Return the directory with initdb and pg_ctl: on the path, or where Debian puts them."""
    found = [Path(path) for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        message = "PostgreSQL's initdb is not installed: these kinds need a server of their own."
        raise FileNotFoundError(message)
    return found[-1].parent


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
