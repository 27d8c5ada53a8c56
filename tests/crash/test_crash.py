"""Whatever is killed, every run completes, no finished step runs again, nothing hangs."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kind", "times"),
    [("idle", 5), ("drained", 5), ("busy", 5), ("pusher", 4), ("cluster", 1), ("parents", 1)],
)
def test_every_run_completes_whoever_is_killed(kind: str, times: int) -> None:
    command = [sys.executable, "-m", "tests.crash", kind, "--times", str(times)]

    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"broken": []' in done.stdout
