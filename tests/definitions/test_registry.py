"""The registry: what is found in it, what replaces what, and scopes for tests."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from workflows.definitions.events import EventData, event_class
from workflows.definitions.registry import Registry, isolated_registry, registry
from workflows.definitions.workflow import workflow
from workflows.errors import InvalidWorkflow, UnknownWorkflow


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    with isolated_registry():
        yield


def handle(event: Any, step: Any) -> None:
    pass


def handle_error(event: Any, error: Any, step: Any) -> None:
    pass


def test_a_workflow_is_found_by_its_id() -> None:
    declared = workflow(id="a")(handle)

    assert (registry.get("a"), registry.find("a")) == (declared, declared)
    assert "a" in registry


def test_an_unknown_id_is_refused_with_the_nearest() -> None:
    workflow(id="send-invoice")(handle)

    with pytest.raises(UnknownWorkflow, match=r"'send-invoce'; did you mean 'send-invoice'\?"):
        registry.get("send-invoce")
    assert registry.find("send-invoce") is None


def test_workflows_come_in_the_order_of_their_ids() -> None:
    b = workflow(id="b")(lambda event, step: None)
    a = workflow(id="a")(handle)

    assert (registry.ids(), list(registry), len(registry)) == (["a", "b"], [a, b], 2)


def test_the_same_function_declared_again_replaces_itself() -> None:
    workflow(id="a", on_failure=handle_error)(handle)

    second = workflow(id="a")(handle)

    assert registry.get("a") is second
    assert registry.ids() == ["a"]


def test_another_function_with_the_id_is_refused_and_nothing_changes() -> None:
    first = workflow(id="a")(handle)

    with pytest.raises(InvalidWorkflow, match=r"'a' is already the id of .*\.handle\. Two"):
        workflow(id="a", on_failure=handle_error)(lambda event, step: None)

    assert list(registry) == [first]


def test_the_id_of_a_failure_workflow_is_taken_too() -> None:
    workflow(id="a/on-failure")(handle)

    with pytest.raises(InvalidWorkflow, match="'a/on-failure' is already the id"):
        workflow(id="a", on_failure=handle_error)(lambda event, step: None)

    assert registry.ids() == ["a/on-failure"]


def test_what_is_declared_in_a_scope_is_known_there_alone_on_top_of_the_rest() -> None:
    outer = workflow(id="outer")(handle)

    with isolated_registry():
        workflow(id="inner")(lambda event, step: None)
        workflow(id="outer", retries=0)(handle)

        class Passing(EventData, name="test.registry.passing"):
            pass

        assert registry.ids() == ["inner", "outer"]
        assert registry.get("outer").retries == 0
        assert event_class("test.registry.passing") is Passing

    assert list(registry) == [outer]
    assert event_class("test.registry.passing") is None


def test_a_scope_ends_also_when_its_test_fails() -> None:
    def fails() -> None:
        with isolated_registry():
            workflow(id="a")(handle)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

    assert registry.ids() == []


def test_threads_may_add_side_by_side() -> None:
    ours = Registry()
    declared = [workflow(id=f"w{n}")(lambda event, step: None) for n in range(200)]
    barrier = threading.Barrier(4)

    def add(part: int) -> None:
        barrier.wait()
        for each in declared[part::4]:
            ours.add(each)

    threads = [threading.Thread(target=add, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ours) == 200
