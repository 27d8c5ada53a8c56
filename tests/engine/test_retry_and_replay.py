"""Failed runs taken up again, and ended ones done anew."""

from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import CancelOn, Event, RunStateError, Timeouts, send_signal
from workflows.testing import Workflows


@both_forms
def test_a_retry_goes_on_at_the_step_that_failed_and_keeps_its_history(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    def flaky() -> int:
        journal.note("flaky")
        if journal.count("flaky") < 4:
            raise ValueError("not yet")
        return 7

    async def code(event: Event[Any], step: Any) -> Any:
        await step.run("a", journal.note, "a")
        return await step.run("flaky", flaky)

    declare(form, code, retries=1)
    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs()
    assert (run.status, run.attempt, run.steps[1].status) == ("sleeping", 1, "retrying")
    workflows.advance("1h")
    [run] = workflows.runs()
    assert (run.status, run.attempt, journal) == ("failed", 2, ["a", "flaky", "flaky"])
    retried = workflows.retry(run.id)
    assert (retried.status, retried.error, retried.ended_at) == ("queued", None, None)
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output, run.attempt) == ("completed", 7, 0)
    assert [step.attempts for step in run.steps] == [1, 4]
    assert journal == ["a", *["flaky"] * 4]


@both_forms
def test_a_retry_of_failed_code_does_no_step_again(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        await step.run("a", journal.note, "a")
        journal.note("code")
        if journal.count("code") == 1:
            raise ValueError("once")
        return "done"

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.drain()
    workflows.retry(workflows.runs()[0].id)
    workflows.drain()

    assert (workflows.runs()[0].output, journal) == ("done", ["a", "code", "code"])


@both_forms
def test_a_retried_run_has_its_time_anew_and_its_cancel_rules_again(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        if not journal:
            journal.fail("once", ValueError("once"))
        await step.sleep("nap", "50m")
        await step.sleep("nap", "50m")

    declare(
        form,
        code,
        retries=0,
        timeouts=Timeouts(finish="1h"),
        cancel_on=CancelOn("drop", match="data.n"),
    )
    for n in range(2):
        journal.clear()
        workflows.send("go", {"n": n})
        workflows.drain()
    workflows.advance("3h")
    for run in workflows.runs():
        workflows.retry(run.id)
    workflows.advance("10m")
    workflows.send("drop", {"n": 1})
    workflows.drain()
    assert [run.status for run in workflows.runs()] == ["sleeping", "cancelled"]
    workflows.advance("50m")

    [first, _] = workflows.runs()
    assert (first.status, first.reason) == ("cancelled", "timeouts.finish is over")


@both_forms
@pytest.mark.parametrize("comes", ["while it has failed", "after its retry"])
def test_a_run_that_fails_while_it_waits_still_gets_its_event_and_its_signal(
    workflows: Workflows, form: str, comes: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        async def nested() -> Any:
            return None if journal else await step.run("inner", lambda: None)

        told, signalled, _ = await step.parallel(
            lambda: step.wait_for_event("told", event="told", timeout="1h"),
            lambda: step.wait_for_signal("ok", signal="ok", timeout="1h"),
            lambda: step.run("outer", nested),
        )
        return [told and told.data, signalled]

    declare(form, code, id="it", retries=0)
    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs("it")
    assert (run.status, [step.status for step in run.steps]) == ("failed", ["waiting"] * 2)
    assert not send_signal("ok", 1)
    journal.note("retried")
    if comes == "while it has failed":
        workflows.send("told", {"n": 1})
        workflows.advance("2h")
    workflows.retry(run.id)
    workflows.drain()
    if comes == "after its retry":
        workflows.send("told", {"n": 1})
    assert send_signal("ok", 2)
    workflows.drain()

    assert (workflows.run(run.id).status, workflows.run(run.id).output) == (
        "completed",
        [{"n": 1}, 2],
    )


@both_forms
def test_a_replay_from_a_step_keeps_what_came_before(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        for name in ("a", "b", "b", "c"):
            await step.run(name, journal.note, name)
        return event.data["n"]

    declare(form, code)
    workflows.send("go", {"n": 1})
    workflows.drain()
    [original] = workflows.runs()
    journal.clear()
    replay = workflows.replay(original.id, from_step="b:1", data={"n": 2})
    workflows.drain()

    replayed = workflows.run(replay.id)
    assert (replayed.status, replayed.output, replayed.replay_of) == ("completed", 2, original.id)
    assert journal == ["b", "c"]
    assert workflows.run(original.id) == original
    assert replayed.event_ids != original.event_ids


@both_forms
def test_a_replay_from_the_top_does_everything_anew(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        await step.run("a", journal.note, "a")
        return event.data["n"]

    declare(form, code, cancel_on=CancelOn("drop"))
    workflows.send("go", {"n": 1})
    workflows.drain()
    replay = workflows.replay(workflows.runs()[0].id)
    workflows.drain()

    assert (workflows.run(replay.id).output, journal) == (1, ["a", "a"])
    assert workflows.run(replay.id).event_ids == workflows.runs()[0].event_ids


@both_forms
def test_what_a_runs_state_does_not_allow_is_refused(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.sleep("nap", "1h")

    declare(form, code)
    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs()
    for refused in (workflows.retry, workflows.replay):
        with pytest.raises(RunStateError, match="sleeping"):
            refused(run.id)
    workflows.advance("1h")
    for refused in (workflows.retry, workflows.cancel):
        with pytest.raises(RunStateError, match="completed"):
            refused(run.id)
    with pytest.raises(RunStateError, match="no step 'none'"):
        workflows.replay(run.id, from_step="none")

    assert [(each.id, each.status) for each in workflows.runs()] == [(run.id, "completed")]
