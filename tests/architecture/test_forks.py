"""Worker processes are forked from one that has used the database before."""

import os
import signal

from django.db import connection, connections

SECONDS_TO_ANSWER = 15


def test_forked_processes_and_their_parent_each_get_their_own_answers(
    transactional_db: None,
) -> None:
    parent_before = answers(parent := os.getpid())
    connections.close_all()

    children = [fork_and_ask() for _ in range(3)]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    parent_after = answers(parent)

    assert statuses == [0, 0, 0]
    assert (parent_before, parent_after) == ([parent] * 20, [parent] * 20)


def fork_and_ask() -> int:
    """Fork a process that ends well only if the database answers it, and what it asked."""
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS_TO_ANSWER)  # ends a process that waits for ever
    try:
        me = os.getpid()
        answered = answers(me) == [me] * 20
    except BaseException:  # noqa: BLE001 - whatever it is, the parent learns of it
        answered = False
    os._exit(0 if answered else 1)


def answers(question: int) -> list[int]:
    """Ask the database the same twenty times, each time with a connection that is given back."""
    answered: list[int] = []
    for _ in range(20):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {question}")
            answered.append(cursor.fetchone()[0])
        connection.close()
    return answered
