"""Fingerprints of errors: failures with the same cause share one, whatever ids their words name."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable

from workflows.engine.failure import Failure, read_failure
from workflows.engine.rows import Release
from workflows.models import Run, RunStatus

LENGTH = 16  # hexadecimal digits
LONGEST_READ = 1000  # characters of a message
# What differs from one failure to the next: quoted values, addresses, ids, numbers.
_VARYING = re.compile(
    r"'[^'\n]*'|\"[^\"\n]*\"|0x[0-9a-fA-F]+|\b(?=[\w-]*\d)[\w-]{3,}\b|\d+(?:[.,:]\d+)*"
)
_FRAME = re.compile(r'^ *File "(?P<file>[^"]*)", line \d+, in (?P<function>.*)$', re.MULTILINE)


def fingerprint_of(failure: Failure) -> str:
    """Return what an error has in common with others of its kind.

    That is its name, its message without what varies, and the file and function that raised it;
    not the line, so that it outlives an edit of the file above it.
    """
    message = _VARYING.sub("*", failure["message"][:LONGEST_READ])
    text = "\n".join([failure["name"], message, _last_frame(failure["traceback"])])
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def note_fingerprints(releases: Iterable[Release]) -> None:
    """Write the fingerprints of runs that have just failed, in the caller's transaction."""
    failed: dict[str, list[str]] = defaultdict(list)
    for release in releases:
        if release.status == RunStatus.FAILED and release.error:
            failed[fingerprint_of(read_failure(release.error))].append(release.run_id)
    for fingerprint, run_ids in failed.items():
        Run.objects.filter(pk__in=run_ids).update(fingerprint=fingerprint)


def _last_frame(traceback: str) -> str:
    frames = _FRAME.findall(traceback)
    return " ".join(frames[-1]) if frames else ""
