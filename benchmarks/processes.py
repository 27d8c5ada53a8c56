"""What processes cost: CPU seconds and memory, as Linux tells them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def tree_of(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = [int(child) for task in _tasks(pid) for child in _read(task / "children").split()]
    return [pid, *(descendant for child in children for descendant in tree_of(child))]


def database_processes() -> list[int]:
    """Return the PostgreSQL processes of this host; none where the server is elsewhere."""
    return [
        int(entry.name)
        for entry in PROC.iterdir()
        if entry.name.isdigit() and _read(entry / "comm").strip() == "postgres"
    ]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds that processes have used, with those of their dead children."""
    return sum(_ticks(pid) for pid in pids) / TICKS


def memory_megabytes(pids: Iterable[int]) -> float:
    """Return the memory of processes, shared pages counted once (PSS), in MiB."""
    return sum(_pss_kilobytes(pid) for pid in pids) / 1024


def _ticks(pid: int) -> int:
    fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def _pss_kilobytes(pid: int) -> int:
    for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _tasks(pid: int) -> Iterator[Path]:
    try:
        yield from (PROC / str(pid) / "task").iterdir()
    except OSError:
        return


def _read(path: Path) -> str:
    """Return a file's text, or nothing where the process has gone."""
    try:
        return path.read_text()
    except OSError:
        return ""
