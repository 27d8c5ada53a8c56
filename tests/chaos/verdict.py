"""What the journal proves: promises that were broken, each as a sentence.

Nothing here knows the engine or its tables: a fault of the engine cannot hide itself.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.journal import Line

Body = tuple[int, int]  # a run's number and a step's


@dataclass(slots=True)
class Verdict:
    """What a journal says."""

    sent: int = 0
    finished: int = 0
    bodies: int = 0
    repeated: int = 0
    slowest_take_over: float = 0.0
    broken: list[str] = field(default_factory=list)


def judge(
    lines: Sequence[Line], *, effects: Mapping[Body, int], steps: int, transactions: Sequence[int]
) -> Verdict:
    """Judge a journal whose workflows have all come to rest.

    Args:
        lines: the journal, in the order of time.
        effects: how often the effect of each transaction step is there.
        steps: how many steps a run has.
        transactions: which of them are transactions.
    """
    verdict = Verdict()
    sent = {line.run for line in lines if line.what == "sent"}
    finished = {line.run for line in lines if line.what == "finish"}
    begins = [line for line in lines if line.what == "begin"]
    verdict.sent, verdict.finished, verdict.bodies = len(sent), len(finished), len(begins)
    verdict.broken += [f"Run {run} never came to its end." for run in sorted(sent - finished)]
    verdict.broken += [
        f"Run {run}, step {step}: its body never ran, though the run came to its end."
        for run in sorted(finished)
        for step in range(steps)
        if not any(line.run == run and line.step == step for line in begins)
    ]
    verdict.broken += _unexplained_repeats(verdict, lines)
    verdict.broken += _begun_late(begins)
    verdict.broken += _wrong_effects(sent, effects, transactions)
    verdict.broken += _work_of_zombies(lines)
    verdict.slowest_take_over = max(_take_overs(lines), default=0.0)
    return verdict


def _unexplained_repeats(verdict: Verdict, lines: Sequence[Line]) -> list[str]:
    """A body runs again only where a fault came after it had begun, and met its process."""
    broken = []
    for (run, step), begins in _begins_of_bodies(lines).items():
        for before, again in pairwise(begins):
            verdict.repeated += 1
            if not _faults(lines, victim=before.pid, after=before.at, before=again.at):
                broken.append(
                    f"Run {run}, step {step}: its body began in process {before.pid} at "
                    f"{before.at:.3f}, and again in {again.pid} at {again.at:.3f}, "
                    "though nothing had happened to it."
                )
    return broken


def _begun_late(begins: Sequence[Line]) -> list[str]:
    """A body that begins after the next step has begun: its result had been stored before."""
    broken = []
    furthest: dict[int, Line] = {}
    for line in begins:
        first = furthest.setdefault(line.run, line)
        if line.step < first.step:
            broken.append(
                f"Run {line.run}, step {line.step}: its body began at {line.at:.3f} in process "
                f"{line.pid}, after that of step {first.step} had at {first.at:.3f} in {first.pid}."
            )
        elif line.step > first.step:
            furthest[line.run] = line
    return broken


def _wrong_effects(
    sent: set[int], effects: Mapping[Body, int], transactions: Sequence[int]
) -> list[str]:
    """The effect of a transaction step is there exactly once."""
    wanted = {(run, step) for run in sent for step in transactions}
    return [
        f"Run {run}, step {step}: the effect of its transaction is there "
        f"{effects.get((run, step), 0)} times."
        for run, step in sorted(wanted | effects.keys())
        if effects.get((run, step), 0) != 1
    ]


def _work_of_zombies(lines: Sequence[Line]) -> list[str]:
    """A process that was paused past its lease during a body begins no further one under it."""
    begins = [line for line in lines if line.what == "begin"]
    resumed = [
        (line, _leases(begins, line)) for line in lines if line.fault == "resumed past the lease"
    ]
    return [
        f"Run {line.run}, step {line.step}: its body began at {line.at:.3f} in process {line.pid}, "
        f"which had lost its lease {line.worker} during a body before {fault.at:.3f}."
        for fault, lost in resumed
        for line in begins
        if line.at > fault.at and line.worker in lost
    ]


def _leases(begins: Sequence[Line], fault: Line) -> set[str]:
    """Return the leases under which a fault's victims had begun bodies before it."""
    return {line.worker for line in begins if line.pid in fault.victims and line.at < fault.at}


def _take_overs(lines: Sequence[Line]) -> list[float]:
    """Return how long each body that was killed waited for the next worker."""
    waits = []
    for begins in _begins_of_bodies(lines).values():
        for before, again in pairwise(begins):
            kills = _faults(lines, victim=before.pid, after=before.at, before=again.at)
            if kills and kills[0].fault == "killed":
                waits.append(again.at - kills[0].at)
    return waits


def _begins_of_bodies(lines: Sequence[Line]) -> dict[Body, list[Line]]:
    found: dict[Body, list[Line]] = defaultdict(list)
    for line in lines:
        if line.what == "begin":
            found[line.run, line.step].append(line)
    return found


def _faults(lines: Sequence[Line], *, victim: int, after: float, before: float) -> list[Line]:
    """Return the faults that met a process between two moments."""
    return [
        line
        for line in lines
        if line.what == "fault"
        and line.at >= after
        and (line.at if line.since is None else line.since) <= before
        and (not line.victims or victim in line.victims)
    ]
