"""Read the journal, and nothing else: was any limit exceeded at any moment?

A line is `moment what limit:key body pid`, in nanoseconds of one monotonic clock of the host;
`kill` lines say that a process is dead, and with it every body that it had begun.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

ALLOWED = {"keyed": 3, "all-keyed": 8, "shared": 2, "active": 4}
STARTS_AT_ONCE = 25
STARTS_A_SECOND = 20
# A start follows its admission by the time that a worker needs to take it.
TAKEN_WITHIN = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal."""

    moment: int
    what: str
    limit: str
    body: str
    pid: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the journal says."""

    exceeded: list[str]
    most: dict[str, int]
    bodies: int
    unended: int


def read(text: str) -> list[Line]:
    """Return the journal's lines in the order of their moments."""
    lines = [line.split(" ") for line in text.splitlines()]
    return sorted(
        (Line(int(moment), *rest) for moment, *rest in lines), key=lambda line: line.moment
    )


def check(lines: Iterable[Line]) -> Verdict:
    """Count, from moment to moment, the bodies at work under each limit."""
    at_work: dict[str, dict[str, str]] = defaultdict(dict)  # pids by body, by limit
    most: Counter[str] = Counter()
    exceeded: list[str] = []
    starts: list[int] = []
    bodies = 0
    for line in lines:
        holders = at_work[line.limit]
        name = line.limit.split(":")[0]
        if line.what == "begin":
            bodies += 1
            holders[line.body] = line.pid
            most[name] = max(most[name], len(holders))
            if len(holders) > ALLOWED[name]:
                exceeded.append(f"{line.limit}: {len(holders)} at {line.moment}: {holders}")
        elif line.what == "end":
            holders.pop(line.body, None)
        elif line.what == "start":
            starts.append(line.moment)
        elif line.what == "kill":
            _bury(at_work, line.pid)
    unended = sum(len(holders) for holders in at_work.values())
    return Verdict(exceeded + too_close(starts), dict(most), bodies, unended)


def _bury(at_work: dict[str, dict[str, str]], pid: str) -> None:
    """Forget the bodies of a dead process; a run under an active limit goes on without it."""
    for limit, holders in at_work.items():
        if not limit.startswith("active"):
            for body in [body for body, holder in holders.items() if holder == pid]:
                del holders[body]


def too_close(starts: list[int]) -> list[str]:
    """Return where more runs started than the throttle lets through."""
    found = []
    for first, begin in enumerate(starts):
        for last in range(first, len(starts)):
            seconds = (starts[last] - begin) / 1e9 + TAKEN_WITHIN
            if last - first + 1 > STARTS_AT_ONCE + STARTS_A_SECOND * seconds + 1:
                found.append(f"{last - first + 1} starts in {seconds:.3f} s")
                break
    return found
