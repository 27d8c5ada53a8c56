"""Logs: as text or JSON, bound to the run and step, without keys, and without forged lines."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from django.conf import settings

from fsa_platform.environment import EnvironmentValueError, choice
from fsa_platform.logs import logging_settings
from workflows import Event, Step, current_run, workflow
from workflows.api.log_scrubbing import DropGoodProbes
from workflows.engine.log_context import BindRun
from workflows.telemetry import JSONFormatter, TextFormatter
from workflows.testing import Workflows


def record(message: str, **bound: str) -> logging.LogRecord:
    made = logging.LogRecord("tests", logging.INFO, __file__, 1, message, None, None)
    made.__dict__.update(bound)
    return made


def test_a_line_of_json_says_what_happened_where() -> None:
    line = json.loads(JSONFormatter().format(record("run.rescued count=2", run="1", step="charge")))

    assert line["event"] == "run.rescued"
    assert (line["level"], line["logger"], line["message"]) == (
        *("INFO", "tests", "run.rescued count=2"),
    )
    assert (line["run"], line["step"]) == ("1", "charge")


def test_what_is_put_into_a_line_cannot_begin_another_one() -> None:
    text = TextFormatter().format(record("name=a\n2026-01-01 forged\x1b[2J"))
    as_json = JSONFormatter().format(record("name=a\nforged"))

    assert text.count("\n") == as_json.count("\n") == 0
    assert r"a\n2026-01-01 forged\x1b[2J" in text


def test_the_lines_of_any_logger_name_the_run_and_step_in_which_they_were_written(
    workflows: Workflows, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(id="logs", trigger="go")
    def logs(event: Event[Any], step: Step) -> None:
        step.run("charge", lambda: logging.getLogger("some.library").warning("asked"))
        current_run().logger.warning("done")

    caplog.handler.addFilter(BindRun())
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs("logs")
    asked, done = (r for r in caplog.records if r.getMessage().startswith(("asked", "done")))
    assert (asked.run, asked.workflow, asked.step) == (run.id, "logs", "charge")  # type: ignore[attr-defined]
    assert f" run={run.id} workflow=logs step=charge" in TextFormatter().format(asked)
    assert TextFormatter().format(done).count(f"run={run.id}") == 1


def test_the_format_is_text_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")

    with pytest.raises(EnvironmentValueError, match="LOG_FORMAT must be text or json, not 'xml'"):
        choice("LOG_FORMAT", among=("text", "json"))

    assert logging_settings(log_format="json")["handlers"]["console"]["formatter"] == "json"


@pytest.mark.slow
def test_gunicorn_serves_the_site_and_shows_no_key_in_its_log() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DEBUG": "1",
        "BIND": f"127.0.0.1:{port}",
        "LOG_FORMAT": "json",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=settings.BASE_DIR,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            status = when_it_answers(f"http://127.0.0.1:{port}/e/top-secret-key")
        finally:
            server.terminate()
        _, log = server.communicate(timeout=20)

    assert status == 405
    assert "/e/***" in log
    assert "top-secret-key" not in log
    assert all(json.loads(line)["logger"] for line in log.splitlines() if line.startswith("{"))


def when_it_answers(address: str) -> int:
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return refusal.code
        except OSError:
            time.sleep(0.2)
    raise AssertionError("It did not answer.")


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ('"GET /healthz HTTP/1.1" 200 16', False),
        ('10.0.0.1 - - "GET /readyz?verbose HTTP/1.1" 200 19', False),
        ('"GET /readyz HTTP/1.1" 503 40', True),
        ('"GET /admin/?next=/healthz HTTP/1.1" 200 16', True),
    ],
)
def test_of_health_probes_only_bad_answers_are_logged(line: str, is_kept: bool) -> None:
    assert DropGoodProbes().filter(record(line)) is is_kept
