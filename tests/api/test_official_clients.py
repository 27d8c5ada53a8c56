"""Inngest's own clients send here unchanged: from Python, sync and async, and from Node.js."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import inngest
import pytest
from django.conf import settings
from filelock import FileLock
from pytest_django.live_server_helper import LiveServer

from workflows.engine.keys import create_event_key
from workflows.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

TS = 1_700_000_000_123
WHEN = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
NODE_FILES = Path(__file__).parent / "node"
INSTALL_WITHIN = 300  # seconds

Sdk = Callable[[str], inngest.Inngest]
NodeSdk = Callable[[str, Any], dict[str, Any]]


@pytest.fixture
def sdk(live_server: LiveServer) -> Iterator[Sdk]:
    """Give a function that makes the Python client, which sends with an event key."""
    made = []

    def make(key: str) -> inngest.Inngest:
        client = inngest.Inngest(
            app_id="test", event_key=key, event_api_base_url=live_server.url, is_production=True
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client._http_client._http_client_sync.close()


async def send_from_async_code(client: inngest.Inngest, events: Any) -> list[str]:
    try:
        return await client.send(events)
    finally:
        await client._http_client._http_client.aclose()


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Give the folder into which the client for Node.js is installed: once, git-ignored."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js is not installed: the client for Node.js was not tried.")
    folder = Path(settings.BASE_DIR) / "var" / "node"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        wanted = (NODE_FILES / "package.json").read_text()
        stamp = folder / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            install(folder, wanted)
            stamp.write_text(wanted)
    return folder


def install(folder: Path, package: str) -> None:
    (folder / "package.json").write_text(package)
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(
        ["npm", "install", *options],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=INSTALL_WITHIN,
    )
    if done.returncode != 0:
        pytest.skip("npm could not install the client for Node.js, which was not tried.")


@pytest.fixture
def node_sdk(node_folder: Path, live_server: LiveServer) -> NodeSdk:
    """Give a function that sends events with a key from Node.js, and gives the outcome."""

    def send(key: str, events: Any) -> dict[str, Any]:
        given = {"baseUrl": live_server.url, "eventKey": key, "events": events}
        done = subprocess.run(
            ["node", str(NODE_FILES / "send.mjs")],
            cwd=node_folder,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    return send


def test_the_python_client_sends_one_event(sdk: Sdk) -> None:
    secret = create_event_key("sdk").secret

    ids = sdk(secret).send_sync(inngest.Event(name="sdk/one", data={"n": 1}, id="own", ts=TS))

    event = Event.objects.get()
    assert ids == [event.pk]
    assert (event.name, event.data, event.external_id, event.ts) == (
        *("sdk/one", {"n": 1}),
        *("own", WHEN),
    )


def test_the_python_client_sends_a_list_and_hears_the_ids_in_its_order(sdk: Sdk) -> None:
    secret = create_event_key("sdk").secret

    ids = sdk(secret).send_sync([inngest.Event(name=f"sdk/{n}") for n in range(3)])

    assert [Event.objects.get(pk=id_).name for id_ in ids] == ["sdk/0", "sdk/1", "sdk/2"]


def test_events_to_which_the_python_client_gives_no_id_have_none(sdk: Sdk) -> None:
    secret = create_event_key("sdk").secret

    sdk(secret).send_sync([inngest.Event(name="sdk/one"), inngest.Event(name="sdk/one")])

    assert [event.external_id for event in Event.objects.all()] == [None, None]


def test_the_python_client_sends_from_async_code(sdk: Sdk) -> None:
    secret = create_event_key("sdk").secret

    events = [inngest.Event(name="sdk/a"), inngest.Event(name="sdk/b")]
    ids = asyncio.run(send_from_async_code(sdk(secret), events))

    names = {event.pk: event.name for event in Event.objects.all()}
    assert [names[id_] for id_ in ids] == ["sdk/a", "sdk/b"]


def test_the_python_client_hears_of_a_wrong_key(sdk: Sdk) -> None:
    with pytest.raises(Exception, match="unknown, expired or revoked"):
        sdk("wrong").send_sync(inngest.Event(name="sdk/one"))

    assert Event.objects.count() == 0


def test_the_python_client_hears_of_a_wrong_key_in_async_code(sdk: Sdk) -> None:
    with pytest.raises(Exception, match="unknown, expired or revoked"):
        asyncio.run(send_from_async_code(sdk("wrong"), inngest.Event(name="sdk/one")))

    assert Event.objects.count() == 0


@pytest.mark.timeout(INSTALL_WITHIN + 60)
def test_the_node_client_sends_one_event(node_sdk: NodeSdk) -> None:
    secret = create_event_key("sdk").secret

    outcome = node_sdk(secret, {"name": "sdk/one", "data": {"n": 1}, "id": "own", "ts": TS})

    event = Event.objects.get()
    assert outcome == {"ids": [event.pk]}
    assert (event.name, event.data, event.external_id, event.ts) == (
        *("sdk/one", {"n": 1}),
        *("own", WHEN),
    )


@pytest.mark.timeout(INSTALL_WITHIN + 60)
def test_the_node_client_sends_a_list_and_hears_the_ids_in_its_order(node_sdk: NodeSdk) -> None:
    secret = create_event_key("sdk").secret

    outcome = node_sdk(secret, [{"name": f"sdk/{n}"} for n in range(3)])

    assert [Event.objects.get(pk=id_).name for id_ in outcome["ids"]] == [
        *("sdk/0", "sdk/1", "sdk/2"),
    ]


@pytest.mark.timeout(INSTALL_WITHIN + 60)
def test_the_node_client_hears_of_a_wrong_key(node_sdk: NodeSdk) -> None:
    outcome = node_sdk("wrong", {"name": "sdk/one"})

    assert "unknown, expired or revoked" in outcome["error"]
    assert Event.objects.count() == 0
