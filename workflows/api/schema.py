"""What the OpenAPI description says of the operators' calls: filters, answers and refusals."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from workflows import ids
from workflows.api.paging import DEFAULT_LIMIT, MOST
from workflows.models import RunStatus

REFUSALS = {
    400: "Something in the request cannot be read, or cannot be.",
    401: "Nobody has signed in.",
    403: "The permission for this is missing.",
    404: "There is nothing with this id.",
    406: "The answer is JSON, which the request does not accept.",
    409: "The state does not allow what was asked.",
    413: "The body is too large.",
    415: "The body is not JSON in UTF-8.",
}
ALWAYS = (400, 401, 403, 406, 413, 415)

NO_NUL = r"^[^\x00]*$"


def parameter(name: str, description: str, **schema: Any) -> OpenApiParameter:
    """Return a text in the query."""
    return OpenApiParameter(
        name, type={"type": "string", "pattern": NO_NUL} | schema, description=description
    )


ID_PATTERN = f"^[{ids.ALPHABET}]{{{ids.LENGTH}}}$"

PAGE = [
    OpenApiParameter(
        "limit",
        type={"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT},
        description="How many a page has.",
    ),
    parameter("cursor", "The `next` of the page before."),
]
PAGE_BY_ID = [PAGE[0], parameter("cursor", "The `next` of the page before.", pattern=ID_PATTERN)]
PERIOD = [
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="From then on: ISO 8601."),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Before then: ISO 8601."),
]
RUN_FILTERS = [
    parameter("workflow", "The workflow's id."),
    parameter("status", "Where the run stands.", enum=RunStatus.values),
    parameter("event", "The id of the event that it is for."),
    parameter("tag", "A tag, as in customer:4711.", pattern=r"^[^\x00:]*:[^\x00]*$"),
    *PERIOD,
    *PAGE_BY_ID,
]
EVENT_FILTERS = [
    parameter("name", "The event's name."),
    parameter("external_id", "The id that its sender gave it."),
    *PERIOD,
    *PAGE_BY_ID,
]


def answers(shape: Any, *, status: int = 200, or_else: Sequence[int] = ()) -> dict[Any, Any]:
    """Return all that a call may answer.

    Args:
        shape: of its success; None: what the caller says itself.
        status: of its success.
        or_else: refusals besides those that every call knows.
    """
    refusals = {
        code: OpenApiResponse(OpenApiTypes.OBJECT, description=REFUSALS[code])
        for code in sorted({*ALWAYS, *or_else})
    }
    return refusals if shape is None else {status: shape, **refusals}
