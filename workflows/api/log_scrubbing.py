"""Keep event keys out of the logs: SDKs put them in the path."""

import logging
import re

KEY_IN_PATH = re.compile(r"/e/[^/\s?\"']+", re.IGNORECASE)


class ScrubEventKeys(logging.Filter):
    """Writes `/e/***` where a request's line would show a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Scrub the message as it will be written, whatever its arguments; keep every record."""
        record.msg, record.args = KEY_IN_PATH.sub("/e/***", record.getMessage()), None
        return True
