"""Where logs go and how they look: to standard error, as text, or as JSON with LOG_FORMAT=json."""

from typing import Any


def logging_settings(*, log_format: str, with_runs: bool = True) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes.

    Args:
        log_format: "text" or "json".
        with_runs: name the run in whose code a line was written; needs Django set up.
    """
    filters = ["scrub", "bind"] if with_runs else ["scrub"]
    console = {"class": "logging.StreamHandler", "formatter": log_format, "filters": filters}
    quiet = {"handlers": ["console"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": "workflows.telemetry.TextFormatter"},
            "json": {"()": "workflows.telemetry.JSONFormatter"},
        },
        "filters": {
            "scrub": {"()": "workflows.api.log_scrubbing.ScrubEventKeys"},
            "bind": {"()": "workflows.engine.log_context.BindRun"},
        }
        if with_runs
        else {"scrub": {"()": "workflows.api.log_scrubbing.ScrubEventKeys"}},
        "handlers": {"console": console},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # Says two lines for each drain, several a second; the engine logs what happens in them.
            "django-q": {"level": "WARNING"},
            # Their own handlers would show event keys in paths.
            "django": quiet,
            "django.server": quiet,
            "gunicorn.error": quiet,
            "gunicorn.access": quiet,
        },
    }
