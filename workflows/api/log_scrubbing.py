"""Keep out of the logs what must not, or need not, be there: event keys, and health probes."""

import logging
import re

KEY_IN_PATH = re.compile(r"/e/[^/\s?\"']+", re.IGNORECASE)
GOOD_PROBE = re.compile(r"\"(GET|HEAD) /(healthz|readyz)[ ?].* 200 ")


class ScrubEventKeys(logging.Filter):
    """Writes `/e/***` where a request's line would show a key: SDKs put it in the path."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Scrub the message as it will be written, whatever its arguments; keep every record."""
        record.msg, record.args = KEY_IN_PATH.sub("/e/***", record.getMessage()), None
        return True


class DropGoodProbes(logging.Filter):
    """Leaves out health probes that were answered well: they come every few seconds, for ever."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep all other lines of an access log."""
        return GOOD_PROBE.search(record.getMessage()) is None
