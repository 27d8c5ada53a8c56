"""Which runs a worker may take: those of its queues, but of no workflow withheld from it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypedDict

from workflows.engine.catalogue import Catalogue


class Takeable(TypedDict):
    """Which runs a worker may take.

    Attributes:
        queues: of these, in this order.
        unknown: of no workflow with such an id.
    """

    queues: Sequence[str]
    unknown: Sequence[str]


@lru_cache(maxsize=1)
def takeable(
    catalogue: Catalogue, queues: Sequence[str] | None, workflows: frozenset[str]
) -> Takeable:
    """Return which runs a worker may take by a catalogue: the same until that changes.

    Args:
        catalogue: what there is.
        queues: those that the worker serves; None: all.
        workflows: the ids of those that it knows.
    """
    return Takeable(
        queues=catalogue.queues if queues is None else queues,
        unknown=catalogue.withheld_from(workflows),
    )
