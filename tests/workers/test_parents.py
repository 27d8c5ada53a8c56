"""Processes that end with their parent."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it")

PARENT = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from workflows.workers.parents import end_with_parent

def live(before, after):
    time.sleep(before)
    end_with_parent(signal.SIGKILL)
    Path(sys.argv[1]).touch()
    time.sleep(after)
    Path(sys.argv[2]).touch()

fork = multiprocessing.get_context("fork")
fork.Process(target=live, args=[float(sys.argv[3]), 1.0]).start()
time.sleep(float(sys.argv[4]))
os._exit(0)
"""


@pytest.mark.parametrize(
    ("asks_after", "dies_after", "has_begun"),
    [pytest.param(0, 0.5, True, id="while it lives"), pytest.param(0.5, 0, False, id="before")],
)
def test_a_process_does_not_outlive_its_parent(
    tmp_path: Path, asks_after: float, dies_after: float, has_begun: bool
) -> None:
    begun, outlived = tmp_path / "begun", tmp_path / "outlived"

    given = [str(each) for each in (begun, outlived, asks_after, dies_after)]
    command = [sys.executable, "-c", PARENT, *given]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    time.sleep(2)

    assert (begun.exists(), outlived.exists()) == (has_begun, False)
