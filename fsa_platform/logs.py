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
    access = {**quiet, "filters": ["probes"]}
    scrubbing = {
        "scrub": {"()": "workflows.api.log_scrubbing.ScrubEventKeys"},
        "probes": {"()": "workflows.api.log_scrubbing.DropGoodProbes"},
    }
    binding = {"bind": {"()": "workflows.engine.log_context.BindRun"}}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": "workflows.telemetry.TextFormatter"},
            "json": {"()": "workflows.telemetry.JSONFormatter"},
        },
        "filters": {**scrubbing, **binding} if with_runs else scrubbing,
        "handlers": {"console": console},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # Says two lines for each drain, several a second; the engine logs what happens in them.
            "django-q": {"level": "WARNING"},
            # Their own handlers would show event keys in paths.
            "django": quiet,
            "django.server": access,
            "gunicorn.error": quiet,
            "gunicorn.access": access,
        },
    }
