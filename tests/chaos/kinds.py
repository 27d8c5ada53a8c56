"""The kinds of chaos: what is done while which work is under way."""

import os
import random
import signal
import time

from django.db import DatabaseError, InterfaceError, connection
from django_q.models import OrmQ
from django_q.tasks import async_task

from tests.chaos.cluster import is_alive, send_signal, wait_until
from tests.chaos.journal import VARIABLE, fault, note, read_journal
from tests.chaos.stage import LONGEST_STOP, Stage
from workflows import Event, send

LEASE = 3.0  # seconds: as the settings say


def pause(most: float) -> None:
    """Let some time pass, so that each fault finds another moment."""
    time.sleep(random.random() * most)


def idle(stage: Stage) -> None:
    """Kill a worker that waits for work, then send some."""
    stage.cluster.kill([random.choice(stage.cluster.workers())])
    pause(0.5)
    stage.send(1, seconds=0)


def drained(stage: Stage) -> None:
    """Kill a worker at about the moment at which it has nothing left to do."""
    stage.send(1, seconds=0)
    pause(0.04)
    stage.cluster.kill([random.choice(stage.cluster.workers())])


def body(stage: Stage) -> None:
    """Kill a worker during bodies that take long."""
    stage.send(4, seconds=0.5)
    time.sleep(0.1)
    pause(0.3)
    stage.cluster.kill([random.choice(stage.cluster.workers())])


def between(stage: Stage) -> None:
    """Kill a worker while it takes, stores, and begins one short body after another."""
    stage.send(40, seconds=0.005)
    pause(0.2)
    stage.cluster.kill([random.choice(stage.cluster.workers())])


def pusher(stage: Stage) -> None:
    """Kill the process that hands out drains, or another one that executes nothing."""
    stage.send(5, seconds=0.01)
    stage.cluster.kill([random.choice(stage.cluster.others())])
    stage.send(1, seconds=0)


def sentinel(stage: Stage) -> None:
    """Kill the process that watches the others: another one takes its place."""
    stage.send(10, seconds=0.1)
    pause(0.2)
    orphans = stage.cluster.everything()[2:]
    with fault("orphaned", orphans):
        stage.cluster.kill([stage.cluster.sentinel])
        wait_for_end_of(orphans)


def parents(stage: Stage) -> None:
    """Kill the process that was started: all its descendants end, and another cluster goes on."""
    stage.send(10, seconds=0.1)
    pause(0.2)
    orphans = stage.cluster.everything()[1:]
    with fault("orphaned", orphans):
        stage.cluster.kill([stage.cluster.pid])
        stage.cluster.wait()
        wait_for_end_of(orphans)
    stage.cluster.start()


def everything(stage: Stage) -> None:
    """Kill every process at once, and start anew: the leases must end first."""
    stage.send(10, seconds=0.1)
    pause(0.3)
    stage.cluster.kill(stage.cluster.everything())
    stage.cluster.wait()
    stage.cluster.start()


def paused(stage: Stage) -> None:
    """Stop a worker during a body until its lease is over, then let it go on: a zombie."""
    stage.send(4, seconds=0.6)
    time.sleep(0.2)
    zombie = [random.choice(stage.cluster.workers())]
    note("fault", fault="paused", victims=zombie)
    send_signal(zombie[0], signal.SIGSTOP)
    time.sleep(LEASE + 1.5)
    note("fault", fault=_resumption(zombie[0]), victims=zombie)
    send_signal(zombie[0], signal.SIGCONT)


def _resumption(pid: int) -> str:
    """Say of a zombie with a body under way that it must not begin another one."""
    lines = [line for line in read_journal(os.environ[VARIABLE]) if line.pid == pid]
    open_bodies = sum((line.what == "begin") - (line.what == "end") for line in lines)
    return "resumed past the lease" if open_bodies > 0 else "resumed"


def stop(stage: Stage) -> None:
    """Stop the cluster during a body of 25 seconds: the run goes on in the next cluster."""
    stage.send(2, seconds=0.1)
    stage.send(1, seconds=25)
    time.sleep(0.5)
    stage.stop()
    stage.cluster.start()


def stop_group(stage: Stage) -> None:
    """Do the same to all processes at once, as systemd does by default."""
    stage.send(2, seconds=0.1)
    stage.send(1, seconds=25)
    time.sleep(0.5)
    stage.stop(whole_group=True)
    stage.cluster.start()


def connections(stage: Stage) -> None:
    """Cut all of the cluster's connections to the server, several times."""
    stage.send(20, seconds=0.05)
    for _ in range(3):
        pause(0.3)
        with fault("connections cut"):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            time.sleep(0.2)  # the server's processes obey after the answer


def server(stage: Stage) -> None:
    """Stop the database server at once, as a crash does, and start it again."""
    stage.send(20, seconds=0.05)
    pause(0.4)
    without_server(stage, seconds=random.random())


def outage(stage: Stage) -> None:
    """Take the server away for longer than leases last."""
    stage.send(20, seconds=0.05)
    pause(0.4)
    without_server(stage, seconds=4 * LEASE)


def without_server(stage: Stage, *, seconds: float) -> None:
    """Let there be no server for a while."""
    assert stage.server is not None  # these kinds are given one
    with fault("without a server"):
        stage.server.stop_at_once()
        time.sleep(seconds)
        stage.server.start()
    hang_up()


def poison_exit(stage: Stage) -> None:
    """Send a run that ends its process, among others that do nothing wrong."""
    poison(stage, "exit")


def poison_segfault(stage: Stage) -> None:
    """Send a run that crashes the interpreter, among others that do nothing wrong."""
    poison(stage, "segfault")


def poison(stage: Stage, how: str) -> None:
    """Send both; whatever the processes' deaths interrupt may be repeated."""
    with fault("poison"):
        send([Event(name="chaos/neighbour", data={}) for _ in range(20)])
        send("chaos/poison", {"how": how})
        stage.send(10, seconds=0.1)
        stage.wait_for_rest()


def ordinary(stage: Stage) -> None:
    """Queue tasks of django-q2's own among runs: the same workers do both."""
    stage.send(5, seconds=0.05)
    for _ in range(3):
        async_task("tests.chaos.workflows.note_ordinary_task", save=False)
    path = os.environ[VARIABLE]
    done = count_of_tasks(path) + 3
    wait_until(lambda: count_of_tasks(path) >= done, what="ordinary tasks")
    wait_until(lambda: not OrmQ.objects.exists(), what="django-q2 to acknowledge its tasks")


def count_of_tasks(path: str) -> int:
    """Return how many ordinary tasks have been done."""
    return sum(line.what == "task" for line in read_journal(path))


def hang_up() -> None:
    """Let this program connect anew."""
    try:
        connection.close()
    except (DatabaseError, InterfaceError):
        return


def wait_for_end_of(pids: list[int]) -> None:
    """Wait until processes have ended: orphans may finish their bodies, and no more."""
    wait_until(
        lambda: not any(map(is_alive, pids)),
        what="orphans to end",
        patience=LONGEST_STOP,
    )


# A killed worker's runs go on at once where the cluster itself is alive.
AT_ONCE = ("idle", "drained", "body", "between", "pusher")
