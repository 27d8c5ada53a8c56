"""Processes that end with their parent."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it")

# Whoever lives holds the output open, so that its end is the end of both.
PARENT = """
import multiprocessing, os, signal, sys, time
from workflows.workers.parents import end_with_parent

is_early = sys.argv[1] == "early"
parent = os.getpid()
begun, begin = os.pipe()

def outlive():
    while os.getppid() == parent:
        time.sleep(0.01)

def live():
    if not is_early:
        outlive()
    end_with_parent(signal.SIGKILL)
    print("begun", flush=True)
    os.write(begin, b"!")
    outlive()
    time.sleep(0.1)
    print("outlived", flush=True)

multiprocessing.get_context("fork").Process(target=live).start()
if is_early:
    os.read(begun, 1)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("asks", "said"),
    [pytest.param("early", "begun\n", id="it asks first"), pytest.param("late", "", id="too late")],
)
def test_a_process_does_not_outlive_its_parent(asks: str, said: str) -> None:
    command = [sys.executable, "-c", PARENT, asks]

    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)

    assert output.stdout == said
