"""Times every list and the dashboard with a million runs: `python -m benchmarks.pages [RUNS]`.

It fills the database of DATABASE_URL unless that has runs already, then asks for each page
several times, and shows the fastest and the median time, and the slowest statement.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from statistics import median
from time import perf_counter, process_time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
# As in production: DEBUG costs time of its own.
os.environ.setdefault("SECRET_KEY", "only-for-this-benchmark-" + 40 * "x")
os.environ.setdefault("HTTPS", "0")
os.environ.setdefault("ALLOWED_HOSTS", "localhost")

import django

django.setup()

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import AutoField, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings, setup_test_environment

from workflows import Event, Step, workflow
from workflows.clock import clock, milliseconds
from workflows.definitions.registry import registry
from workflows.engine.hours import hour_of
from workflows.engine.register import register_workflows
from workflows.ids import first_at, new_id
from workflows.models import Event as StoredEvent
from workflows.models import (
    HourBacklog,
    HourCount,
    HourDuration,
    Housekeeping,
    Measure,
    MinuteBacklog,
    MinuteCount,
    MinuteDuration,
    MinuteError,
    Run,
    RunTag,
    Worker,
)

ROUNDS = 7
SLOW = 20  # milliseconds, from which on a statement is shown
DAYS = 30  # over which the runs are spread
DAYS_OF_ROLL_UPS = 8  # older ones no page reads
WORKFLOWS = 20
IDS = [f"workflow-{number}" for number in range(WORKFLOWS)]
CHUNK = 20_000  # rows that are written at once
SECOND = timedelta(seconds=1)
# Nobody has to collect static files before.
PLAIN_FILES = {
    **settings.STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
ALLOWED = {"postgresql": 100, "sqlite": 200}  # milliseconds

PAGES = {
    "dashboard 24h": "/admin/",
    "dashboard 7d": "/admin/?period=7d",
    "runs": "/admin/workflows/run/",
    "runs, failed": "/admin/workflows/run/?status=failed",
    "runs, failed, 24h": "/admin/workflows/run/?status=failed&period=24h",
    "runs, one workflow": "/admin/workflows/run/?workflow=workflow-7",
    "runs, one workflow, failed": "/admin/workflows/run/?workflow=workflow-7&status=failed",
    "runs, one workflow, cancelled": "/admin/workflows/run/?workflow=workflow-7&status=cancelled",
    "runs, one workflow, 1h": "/admin/workflows/run/?workflow=workflow-7&period=1h",
    "runs, by key": "/admin/workflows/run/?q=customer:4711",
    "runs, by a common key": "/admin/workflows/run/?q=plan:basic",
    "runs, by error": "/admin/workflows/run/?fingerprint=aaaaaaaaaaaaaaa1",
    "runs, page 190": "/admin/workflows/run/?p=190",
    "events": "/admin/workflows/event/",
    "events, one name": "/admin/workflows/event/?name=event/7",
    "events, no run, 24h": "/admin/workflows/event/?state=no-run&period=24h",
    "events, no run": "/admin/workflows/event/?state=no-run",
    "workflows": "/admin/workflows/registeredworkflow/",
    "workflow": "/admin/workflows/registeredworkflow/workflow-7/change/",
    "schedules": "/admin/workflows/schedule/",
    "workers and queue": "/admin/workflows/worker/",
    "bulk operations": "/admin/workflows/bulkoperation/",
    "retry all failed": "/admin/workflows/bulkoperation/start/?kind=retry&status=failed&period=24h",
    "event keys": "/admin/workflows/eventkey/",
    "audit log": "/admin/workflows/operatoraction/",
}


@override_settings(STORAGES=PLAIN_FILES)
def main() -> None:
    """Fill the database, unless it is full already, and time every page."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    call_command("migrate", verbosity=0)
    if not Run.objects.exists():
        begin = perf_counter()
        fill(runs)
        print(f"{runs:,} runs made in {perf_counter() - begin:.0f} s")
    setup_test_environment()
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(
        User.objects.get_or_create(username="ana", is_superuser=True, is_staff=True)[0]
    )
    allowed = ALLOWED[connection.vendor]
    run = Run.objects.order_by("-pk").values_list("pk", "event_id").first()
    assert run is not None
    pages = PAGES | {
        "run": f"/admin/workflows/run/{run[0]}/change/",
        "event": f"/admin/workflows/event/{run[1]}/change/",
    }
    print(
        f"{'page':32}{'fastest':>9}{'median':>9}{'processor':>11}{'queries':>9}{'in SQL':>9}"
        "   slowest query"
    )
    for name, address in pages.items():
        times, processor = zip(*(_time(browser, address) for _ in range(ROUNDS)), strict=True)
        connection.force_debug_cursor = True
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        sql = [(1000 * float(query["time"]), query["sql"]) for query in queries.captured_queries]
        slowest = max(sql)
        flag = " !" if median(times) > allowed else ""
        print(
            f"{name:32}{min(times):7.0f}ms{median(times):7.0f}ms{min(processor):9.0f}ms{len(sql):9}"
            f"{sum(each for each, _ in sql):7.0f}ms{flag:3}{slowest[0]:4.0f}ms "
            f"{slowest[1][:100] if slowest[0] > SLOW else ''}"
        )


def _time(browser: Client, address: str) -> tuple[float, float]:
    """Return how long a page takes, and how long it keeps the processor: busy machines differ."""
    begin, processor = perf_counter(), process_time()
    response = browser.get(address)
    assert response.status_code == 200, (address, response.status_code)  # noqa: PLR2004
    return 1000 * (perf_counter() - begin), 1000 * (process_time() - processor)


def fill(runs: int) -> None:
    """Make workflows, events, runs, tags and roll-ups."""
    for number in range(WORKFLOWS):
        declare(number)
    register_workflows(registry, declared_at=clock.now())
    begin = clock.now() - timedelta(days=DAYS)
    source = runs_of(runs, begin)
    while rows := list(islice(source, CHUNK)):
        write(StoredEvent, (row.event() for row in rows))
        write(Run, (row.run() for row in rows))
        write(RunTag, (tag for row in rows for tag in row.tags()))
    with transaction.atomic():
        roll_up(runs)
    Worker.objects.create(
        id=new_id(),
        host="bench",
        pid=1,
        cluster="bench",
        queues=None,
        workflows=list(registry.ids()),
        threads=64,
        started_at=clock.now(),
        beat_at=clock.now(),
        lease_until=clock.now() + timedelta(hours=1),
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def declare(number: int) -> None:
    """Declare one of the workflows."""

    @workflow(
        id=f"workflow-{number}", trigger=f"event/{number}", tags={"customer": "event.data.customer"}
    )
    def _work(event: Event[dict[str, str]], step: Step) -> None:
        step.run("work", lambda: None)


@dataclass(frozen=True, slots=True)
class Row:
    """One run with its event, from its number alone."""

    number: int
    at: datetime

    @property
    def id(self) -> str:
        """A run's id; its event's ends otherwise."""
        return f"{first_at(milliseconds(self.at))[:10]}{self.number:015d}R"

    @property
    def status(self) -> str:
        """Nine in ten complete; a few of each other kind."""
        if self.number % 50_000 == 0:
            return "queued"
        return STATUSES.get(self.number % 100, "completed")

    def event(self) -> dict[str, Any]:
        """Its event's row."""
        data = {"customer": str(self.number % 100_000), "text": "x" * 200}
        return {
            "id": self._event_id(),
            "name": f"event/{self.number % WORKFLOWS}",
            "data": json.dumps(data),
            "ts": self.at,
            "received_at": self.at,
            "due_at": self.at,
            "position": self.number,
        }

    def run(self) -> dict[str, Any]:
        """Its own row."""
        status = self.status
        is_open = status in ("queued", "sleeping", "waiting")
        row = {
            "id": self.id,
            "workflow": f"workflow-{self.number % WORKFLOWS}",
            "event_id": self._event_id(),
            "status": status,
            "queue": "default",
            "admitted": True,
            "rank": milliseconds(self.at),
            "place": 1000 * milliseconds(self.at),
            "created_at": self.at,
            "tags": json.dumps({"customer": str(self.number % 100_000)}),
        }
        if status not in ("queued", "skipped"):
            row["started_at"] = self.at + SECOND
        if is_open:
            row["due_at"] = None if status == "queued" else self.at + timedelta(days=60)
        else:
            row["ended_at"] = self.at + SECOND * (2 + self.number % 60)
            row["output"] = '{"ok":true}'
        if status == "failed":
            row["fingerprint"] = f"aaaaaaaaaaaaaaa{self.number // 100 % 8}"
            row["error"] = json.dumps({"name": "E", "message": "no", "traceback": "..."})
        return row

    def tags(self) -> Iterator[dict[str, Any]]:
        """Its tags: one that few runs share, and one that half of them do."""
        yield {"run_id": self.id, "name": "customer", "value": str(self.number % 100_000)}
        yield {"run_id": self.id, "name": "plan", "value": "basic" if self.number % 2 else "pro"}

    def _event_id(self) -> str:
        return f"{self.id[:-1]}E"


STATUSES = {
    **dict.fromkeys(range(5), "failed"),
    **dict.fromkeys((5, 6), "cancelled"),
    **dict.fromkeys((7, 8), "skipped"),
    9: "sleeping",
    10: "waiting",
}


def runs_of(count: int, begin: datetime) -> Iterator[Row]:
    """Give all runs, oldest first."""
    apart = timedelta(days=DAYS) / count
    return (Row(number, begin + number * apart) for number in range(count))


def write(model: type[Model], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows in the fastest way that the database has; what they leave out has its default."""
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    fields = [field for field in fields if not isinstance(field, AutoField)]
    defaults = {
        field.column: field.get_db_prep_save(field.get_default(), connection) for field in fields
    }
    names = ", ".join(f'"{column}"' for column in defaults)
    values = (tuple((defaults | row).values()) for row in rows)
    table = model._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for value in values:
                    copy.write_row(value)
        else:
            marks = ", ".join(["%s"] * len(defaults))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values))  # noqa: S608


def roll_up(runs: int) -> None:
    """Write what the engine would have rolled up in the last days."""
    each = max(1, runs // (DAYS * 24 * 60) // WORKFLOWS)
    now = clock.now()
    for hours in range(DAYS_OF_ROLL_UPS * 24, -1, -1):
        hour = hour_of(now) - timedelta(hours=hours)
        _roll_up_minutes(hour, each)
        some = [{"hour": hour, "workflow": name} for name in ["", *IDS]]
        write(HourCount, ({**row, "result": "completed", "count": 60 * each} for row in some))
        write(HourCount, ({**row, "result": "failed", "count": 3} for row in some))
        write(HourBacklog, ({**row, "queued": 3} for row in some))
        write(HourDuration, (row | duration for row in some for duration in HOURS_DURATIONS))
    Housekeeping.objects.create(rolled_up_to=now.replace(second=0, microsecond=0), prune_at=now)


def _roll_up_minutes(hour: datetime, each: int) -> None:
    some: list[dict[str, Any]] = [
        {"minute": hour + timedelta(minutes=minute), "workflow": f"workflow-{number}"}
        for minute in range(60)
        for number in range(WORKFLOWS)
    ]
    failed = [row for row in some if row["minute"].minute % 20 == 0]
    write(MinuteCount, ({**row, "result": "completed", "count": each} for row in some))
    write(MinuteCount, ({**row, "result": "failed", "count": 1} for row in failed))
    write(MinuteError, ({**row, **_error_at(row["minute"])} for row in failed))
    write(MinuteBacklog, ({**row, "queued": 3, "running": 1} for row in some))
    write(MinuteDuration, (row | duration for row in some for duration in DURATIONS))


DURATIONS = [
    {"measure": measure, "bucket": bucket, "count": 1, "total_ms": 100}
    for measure in Measure.values
    for bucket in (20, 30)
]
HOURS_DURATIONS = [
    {"measure": measure, "bucket": bucket, "count": 60}
    for measure in Measure.values
    for bucket in range(20, 40)
]


def _error_at(minute: datetime) -> dict[str, Any]:
    return {
        "fingerprint": f"aaaaaaaaaaaaaaa{minute.minute // 20}",
        "count": 1,
        "last_run": first_at(milliseconds(minute)),
        "last_error": "E: no",
    }


if __name__ == "__main__":
    main()
