"""Tags: the business keys of a run, which its workflow takes from its event."""

import json
from collections.abc import Iterable
from typing import Any

from workflows.engine.catalogue import Route
from workflows.models import RunTag
from workflows.models.run_tag import LONGEST_VALUE

NO_TAGS = "{}"


def tags_of(route: Route, envelope: dict[str, Any]) -> str:
    """Return the tags that a run for an event bears, as JSON; what is null is none."""
    values = {name: tag.evaluate(event=envelope) for name, tag in route.tags}
    return json.dumps({name: _text(value) for name, value in values.items() if value is not None})


def _text(value: object) -> str:
    """Return a value as the sender wrote it: `true`, not Python's `True`."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def add_tags(runs: Iterable[tuple[str, str]]) -> None:
    """Let operators find new runs, each given by its id and its tags, by these."""
    rows = [
        RunTag(run_id=run_id, name=name, value=value[:LONGEST_VALUE])
        for run_id, tags in runs
        if tags != NO_TAGS
        for name, value in json.loads(tags).items()
    ]
    if rows:
        RunTag.objects.bulk_create(rows)
