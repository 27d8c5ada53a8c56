"""Keep event keys out of the logs: SDKs put them in the path."""

import logging
import re

KEY_IN_PATH = re.compile(r"/e/[^/\s?\"']+")


class ScrubEventKeys(logging.Filter):
    """Writes `/e/***` where a request's line would show a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Scrub the message and its arguments; keep every record."""
        record.msg = _scrubbed(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_scrubbed(argument) for argument in record.args)
        return True


def _scrubbed(value: object) -> object:
    return KEY_IN_PATH.sub("/e/***", value) if isinstance(value, str) else value
