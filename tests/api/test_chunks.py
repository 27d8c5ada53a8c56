"""Bodies in chunks, which a real gunicorn puts together."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings
from django.test import RequestFactory

from workflows.api.event_api import receive
from workflows.models import Event

pytestmark = pytest.mark.timeout(120)


class Site:
    """A gunicorn with a database of its own, and a key for it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "DEBUG": "1",
            "BIND": f"127.0.0.1:{self.port}",
            "DATABASE_URL": f"sqlite:///{folder}/chunks.sqlite3",
        }
        self.manage("migrate", "--verbosity", "0")
        self.key = self.manage("create_event_key", "chunks").split()[-1]

    def manage(self, *arguments: str) -> str:
        return self.python("manage.py", *arguments)

    def python(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def connection(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30))

    def wait(self) -> None:
        for _ in range(300):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=10):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("gunicorn did not start.")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("chunks"))
    with subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=settings.BASE_DIR,
        env=site.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            site.wait()
            yield site
        finally:
            server.terminate()


def post(
    connection: http.client.HTTPConnection, key: str, pieces: list[bytes]
) -> tuple[int, dict[str, object]]:
    connection.request(
        "POST",
        f"/e/{key}",
        body=iter(pieces),
        headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    with connection.getresponse() as answer:
        return answer.status, json.load(answer)


@pytest.mark.slow
def test_a_body_in_chunks_is_stored_whole_and_the_connection_goes_on(site: Site) -> None:
    text = json.dumps([{"name": "chunk/sent", "data": {"n": n}} for n in range(1000)]).encode()
    pieces = [text[at : at + 1000] for at in range(0, len(text), 1000)]

    with site.connection() as connection:
        status, answer = post(connection, site.key, pieces)
        again, _ = post(connection, site.key, [b'{"name": ', b'"chunk/again"}'])

    ids = answer["ids"]
    assert (status, again) == (200, 200)
    assert isinstance(ids, list)
    assert len(set(ids)) == 1000


@pytest.mark.slow
def test_chunks_without_end_are_refused_where_they_are_too_many(site: Site) -> None:
    spaces = [b" " * 1024 * 1024] * 17

    with site.connection() as connection:
        status, answer = post(connection, site.key, spaces)

    assert (status, answer["ids"]) == (413, [])


@pytest.mark.slow
def test_what_is_no_chunk_is_refused_and_not_read_as_an_empty_body(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
        raw.sendall(
            f"POST /e/{site.key} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\nnot-a-length\r\n{}\r\n0\r\n\r\n".encode()
        )
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        status, error = answer.status, json.load(answer)["error"]
        answer.close()

    assert (status, error) == (400, "The body's chunks are malformed, or end too early.")


def test_a_server_that_leaves_chunks_as_they_are_asks_for_the_length(db: None, key: str) -> None:
    request = RequestFactory().post(
        "/e/key", content_type="application/json", HTTP_TRANSFER_ENCODING="chunked"
    )

    answer = receive(request, key)

    assert answer.status_code == 411
    assert json.loads(answer.content) == {
        "ids": [],
        "status": 411,
        "error": "Send the body's Content-Length: this server takes no chunks.",
    }
    assert not Event.objects.exists()
