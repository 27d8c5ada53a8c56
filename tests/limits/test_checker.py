"""The checker finds what it is there to find."""

import subprocess
import sys

import pytest

from tests.limits.checker import check, read


def journal(*lines: str) -> str:
    return "\n".join(lines)


def test_bodies_within_the_limit_are_fine() -> None:
    lines = journal("1 begin shared:1 a 7", "2 begin shared:1 b 7", "3 begin shared:2 c 7")

    verdict = check(read(lines))

    assert (verdict.exceeded, verdict.most, verdict.unended) == ([], {"shared": 2}, 3)


def test_one_body_too_many_is_found_whatever_the_order_of_the_lines() -> None:
    lines = journal(
        "5 end shared:1 a 7", "3 begin shared:1 c 7", "1 begin shared:1 a 7", "2 begin shared:1 b 7"
    )

    verdict = check(read(lines))

    assert len(verdict.exceeded) == 1
    assert verdict.exceeded[0].startswith("shared:1: 3 at 3")


def test_a_killed_process_holds_nothing_any_more() -> None:
    lines = journal(
        "1 begin shared:1 a 7",
        "2 begin shared:1 b 7",
        "3 kill - - 7",
        "4 begin shared:1 c 8",
        "5 begin shared:1 d 8",
    )

    assert check(read(lines)).exceeded == []


def test_starts_that_are_too_many_for_a_throttle_are_found() -> None:
    at_once = journal(*[f"{n} start spread: {n} 7" for n in range(60)])

    assert check(read(at_once)).exceeded[0] == "47 starts in 1.000 s"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_limit_is_exceeded_while_workers_are_killed() -> None:
    command = [sys.executable, "-m", "tests.limits", "--seconds", "15"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"exceeded": []' in done.stdout
