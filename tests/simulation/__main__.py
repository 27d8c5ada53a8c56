"""Play histories: `make simulate SEEDS=1-500`, or `python -m tests.simulation [SEEDS]`."""

import os
import sys
import time
from collections import Counter

import django

ENDLESS = 10**9


def main() -> int:
    """Play the seeds that the command line names; without any, go on until something breaks."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "fsa_platform.settings_for_tests"
    os.environ.pop("DATABASE_URL", None)
    django.setup()
    from tests.simulation.simulation import BrokenHistory, simulate  # noqa: PLC0415  needs Django

    runs: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    began = time.monotonic()
    broken = []
    for number, seed in enumerate(seeds(sys.argv[1] if len(sys.argv) > 1 else f"1-{ENDLESS}"), 1):
        try:
            history = simulate(seed)
        except BrokenHistory as error:
            print(f"{error}\n", flush=True)
            broken.append(seed)
            continue
        runs += history.runs
        happened += history.happened
        if number % 50 == 0:
            print(f"{number} histories, {runs.total()} runs", flush=True)
    print(f"runs: {dict(runs)}")
    for what, count in sorted(happened.items()):
        print(f"{count:8} {what}")
    print(f"{runs.total() / (time.monotonic() - began):.0f} runs a second; broken seeds: {broken}")
    return 1 if broken else 0


def seeds(text: str) -> range:
    """Read `17` or `1-500`."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
