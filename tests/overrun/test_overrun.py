"""A body that nothing can interrupt: its failure is stored, and its process replaced."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.databases import fresh_database


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_body_that_heeds_nothing_fails_and_harms_no_neighbour(tmp_path: Path) -> None:
    url = os.environ.get("DATABASE_URL", "")
    with fresh_database(url if url.startswith("postgres") else "sqlite", suffix="overrun") as own:
        environment = {
            **os.environ,
            "DATABASE_URL": own,
            "DEBUG": "1",
            "WORKFLOWS_WORKERS": "1",
            "DJANGO_SETTINGS_MODULE": "tests.overrun.settings",
        }
        command = [sys.executable, "-m", "tests.overrun"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "statuses": {"overrunning": "completed", "neighbour": "completed"},
        "losses": {"overrunning": 0, "neighbour": 0},
        "failures": ["StepTimeout"],
        "steps": {
            "overrunning": {"blocked": ["completed", 2], "after": ["completed", 1]},
            "neighbour": {"body": ["completed", 1], "process": ["completed", 1]},
        },
        "is other process": True,
    }
