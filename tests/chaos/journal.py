"""The journal: what bodies and the program that disturbs them did, apart from the engine's tables.

Each line is written at once, so that lines of many processes stay whole and survive a kill. Times
are those of the system's monotonic clock, which all processes of a host share.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "CHAOS_JOURNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened.

    Attributes:
        what: `sent`, `begin` or `end` of a body, `finish` of a run's code, or `fault`.
        at: when.
        run: the number of the run; for a fault -1.
        step: the number of the step; else -1.
        pid: the process that did it.
        worker: where a body begins, the lease under which its run was taken.
        fault: what was done to `victims`, which are all processes where it names none.
        since: for a fault that lasted, when it began.
    """

    what: str
    at: float
    run: int = -1
    step: int = -1
    pid: int = 0
    worker: str = ""
    fault: str = ""
    victims: tuple[int, ...] = ()
    since: float | None = None


def note(  # noqa: PLR0913  a line has as many columns
    what: str,
    *,
    run: int = -1,
    step: int = -1,
    worker: str = "",
    fault: str = "",
    victims: Iterable[int] = (),
    since: float | None = None,
) -> None:
    """Append a line; nothing where no journal is kept."""
    if VARIABLE not in os.environ:
        return
    line = Line(
        what=what,
        at=time.monotonic(),
        run=run,
        step=step,
        pid=os.getpid(),
        worker=worker,
        fault=fault,
        victims=tuple(victims),
        since=since,
    )
    file = os.open(os.environ[VARIABLE], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(file, json.dumps(asdict(line)).encode() + b"\n")
    finally:
        os.close(file)


@contextmanager
def fault(name: str, victims: Iterable[int] = ()) -> Iterator[None]:
    """Note something that is done to processes, or, where none is named, to all: before and after.

    A body that begins in the middle of it has met it too.
    """
    met = list(victims)
    began = time.monotonic()
    note("fault", fault=name, victims=met)
    yield
    note("fault", fault=name, victims=met, since=began)


def read_journal(path: str) -> list[Line]:
    """Return all lines, in the order of their times."""
    lines = [json.loads(text) for text in Path(path).read_text().splitlines()]
    read = [Line(**{**line, "victims": tuple(line["victims"])}) for line in lines]
    return sorted(read, key=lambda line: line.at)
