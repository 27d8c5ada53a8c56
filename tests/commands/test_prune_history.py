"""`prune_history`: what it deletes, and what it says."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from workflows import Event, Step, workflow
from workflows.models import Event as StoredEvent
from workflows.models import OperatorAction
from workflows.testing import Workflows


def prune(older_than: str) -> str:
    out = StringIO()
    call_command("prune_history", "--older-than", older_than, stdout=out)
    return out.getvalue()


def test_what_is_older_goes_and_the_deed_is_noted(workflows: Workflows) -> None:
    @workflow(id="quick", trigger="go")
    def quick(event: Event[Any], step: Step) -> None:
        step.run("work", lambda: None)

    for _ in range(3):
        workflows.send("go")
    workflows.advance("40d")
    workflows.send("go")
    workflows.drain()

    said = prune("30d")

    assert said == "Deleted 3 runs with their steps, 3 events and 0 other rows.\n"
    assert len(workflows.runs()) == StoredEvent.objects.count() == 1
    assert OperatorAction.objects.get().action == "prune_history"


@pytest.mark.parametrize("older_than", ["30", "0s", "a month"])
def test_an_age_that_is_none_deletes_nothing(workflows: Workflows, older_than: str) -> None:
    workflows.send("go")
    workflows.advance("40d")

    with pytest.raises(CommandError, match="--older-than"):
        prune(older_than)

    assert StoredEvent.objects.count() == 1
