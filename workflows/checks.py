"""What `manage.py check` finds before the first event does."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's name

from workflows.conf import faults

BROKER = "workflows.workers.broker.WorkflowBroker"
HOST_KEYS = ("WORKFLOWS_WORKERS", "WORKFLOWS_THREADS")


@register("workflows")
def check_settings(**_: object) -> list[CheckMessage]:
    """Name every key and value of the engine's settings that is wrong."""
    given = getattr(settings, "WORKFLOWS", {})
    if not isinstance(given, Mapping):
        hint = "Write WORKFLOWS = {}, and in it only what differs from the defaults."
        return [Error("WORKFLOWS must be a dict.", hint=hint, id="workflows.E001")]
    return [Error(fault, id="workflows.E002") for fault in faults(given)]


@register("workflows")
def check_host_settings(**_: object) -> list[CheckMessage]:
    """Name what cannot be a number of processes or threads."""
    found: list[CheckMessage] = []
    for key in HOST_KEYS:
        value = getattr(settings, key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            found.append(
                Error(f"{key} must be a whole number from 1, not {value!r}.", id="workflows.E003")
            )
    return found


@register("workflows")
def check_cluster(**_: object) -> list[CheckMessage]:
    """See that django-q2 is set up so that it feeds the engine's workers."""
    cluster: dict[str, Any] = getattr(settings, "Q_CLUSTER", {})
    return [*_broker_faults(cluster), *_time_faults(cluster), *_recycling_faults(cluster)]


@register("workflows")
def check_database(**_: object) -> list[CheckMessage]:
    """See that SQLite is set up so that a committed event is safe, and workers do not starve."""
    database = settings.DATABASES["default"]
    if "sqlite" not in database["ENGINE"]:
        return []
    return [*_sqlite_faults(database.get("OPTIONS", {})), *_sqlite_worker_faults()]


def _broker_faults(cluster: Mapping[str, Any]) -> Iterable[CheckMessage]:
    if cluster.get("broker_class") != BROKER:
        hint = f'Set Q_CLUSTER["broker_class"] = "{BROKER}".'
        yield Error(
            "django-q2 has another broker: no run would start.", hint=hint, id="workflows.E004"
        )


def _time_faults(cluster: Mapping[str, Any]) -> Iterable[CheckMessage]:
    timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
    if timeout is not None and retry <= timeout:
        hint = "Otherwise django-q2 hands an ordinary task out again while it still runs."
        yield Error(
            'Q_CLUSTER["retry"] must be larger than Q_CLUSTER["timeout"].',
            hint=hint,
            id="workflows.E005",
        )


def _recycling_faults(cluster: Mapping[str, Any]) -> Iterable[CheckMessage]:
    if cluster.get("recycle", 500) or cluster.get("max_rss"):
        hint = 'Set Q_CLUSTER["recycle"] = 0 and leave "max_rss" out: drains are tasks too.'
        yield Warning(
            "django-q2 recycles workers, each of which waits for its bodies.",
            hint=hint,
            id="workflows.W001",
        )


def _sqlite_faults(options: Mapping[str, Any]) -> Iterable[CheckMessage]:
    if options.get("transaction_mode") != "IMMEDIATE":
        hint = 'Set DATABASES["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".'
        yield Error(
            "On SQLite transactions must begin as writers: upgrades fail under load.",
            hint=hint,
            id="workflows.E006",
        )
    if "wal" not in str(options.get("init_command", "")).lower():
        hint = 'Put "PRAGMA journal_mode = WAL" into OPTIONS["init_command"].'
        yield Warning(
            "On SQLite readers block writers without WAL.", hint=hint, id="workflows.W002"
        )


def _sqlite_worker_faults() -> Iterable[CheckMessage]:
    if getattr(settings, "WORKFLOWS_WORKERS", 1) > 1:
        hint = "Set WORKFLOWS_WORKERS=1 and use threads, or move to PostgreSQL."
        yield Warning(
            "Several worker processes share SQLite's one write lock, which is unfair among them.",
            hint=hint,
            id="workflows.W003",
        )
