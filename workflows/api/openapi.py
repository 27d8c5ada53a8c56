"""The OpenAPI description: DRF's part of it is drawn from the views, the rest is written here."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.permissions import AllowAny

from workflows.api.event_api import MILLISECONDS, SEED_HEADER
from workflows.api.schema import NO_NUL
from workflows.conf import configuration
from workflows.definitions.events import LONGEST_NAME, RESERVED_PREFIXES
from workflows.engine.send import MAX_EXTERNAL_ID

JSON = "application/json"
STRICT = "Body"  # how the names of the schemas end that take no other field

EVENT_REFUSALS = {
    400: "An event is wrong: the message names its place and its fault. Nothing is stored.",
    401: "The event key is unknown, expired or revoked.",
    403: "The event key may not send an event of this name.",
    411: "The body comes in chunks, which this server does not take: send its Content-Length.",
    413: "An event, or the request, is too large.",
    415: "The body is not JSON in UTF-8.",
    429: "The event key's own rate is used up.",
}


class SchemaView(SpectacularJSONAPIView):
    """`GET /api/schema`: the description, in JSON, open to all."""

    permission_classes = [AllowAny]
    authentication_classes = []


@require_safe
def documentation(request: HttpRequest) -> HttpResponse:
    """`GET /api/docs`: its page, all of it from our own host, without a line of inline script."""
    return render(request, "workflows/api_docs.html")


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the calls that DRF does not answer, and say of bodies what DRF does not."""
    schemas = result["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith(STRICT):
            schema["additionalProperties"] = False
    for name in _taken(result["paths"]):
        for field in schemas[name]["properties"].values():
            if "string" in field.get("type", ()) and not {"format", "enum"} & field.keys():
                field.setdefault("pattern", NO_NUL)
    schemas |= _event_schemas()
    result["components"]["securitySchemes"] |= {
        "eventKey": {"type": "http", "scheme": "bearer", "description": "An event key."}
    }
    paths = result["paths"]
    paths.setdefault("/api/v1/events", {})["post"] = _send_events(with_bearer=True)
    paths["/e/{event_key}"] = {"post": _send_events(with_bearer=False)}
    paths["/healthz"] = {"get": _probe("health", "Whether this process answers.", ready=False)}
    paths["/readyz"] = {"get": _probe("readiness", "Whether runs are executed.", ready=True)}
    return result


def _taken(paths: dict[str, Any]) -> set[str]:
    """Return the names of the schemas of all that calls take."""
    calls = [call for path in paths.values() for call in path.values()]
    taken = [
        call["requestBody"]["content"][JSON]["schema"] for call in calls if "requestBody" in call
    ]
    return {schema["$ref"].rsplit("/", 1)[-1] for schema in taken if "$ref" in schema}


def _event_schemas() -> dict[str, Any]:
    return {
        "SentEvent": {
            "type": "object",
            "description": "An event as it is sent; other fields are ignored.",
            "required": ["name"],
            "properties": {
                "name": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": LONGEST_NAME,
                    "pattern": f"^(?!{'|'.join(RESERVED_PREFIXES)})[^\\x00]*$",
                },
                "data": {"type": ["object", "null"], "description": "Missing or null is {}."},
                "id": {
                    "type": ["string", "null"],
                    "maxLength": MAX_EXTERNAL_ID,
                    "pattern": NO_NUL,
                    "description": "Your own id; a repeat within 24 hours starts nothing.",
                },
                "ts": {
                    "type": ["integer", "null"],
                    "anyOf": [
                        {"type": "null"},
                        {"const": 0},
                        {"minimum": MILLISECONDS.start, "maximum": MILLISECONDS.stop - 1},
                    ],
                    "description": "Milliseconds since 1970; missing, null or 0 is now.",
                },
                "user": {"type": ["object", "null"]},
                "v": {"type": ["string", "null"], "pattern": NO_NUL},
            },
        },
        "Stored": {
            "type": "object",
            "required": ["ids", "status"],
            "additionalProperties": False,
            "properties": {
                "ids": {"type": "array", "items": {"type": "string"}},
                "status": {"const": 200},
            },
        },
        "NotStored": {
            "type": "object",
            "required": ["ids", "status", "error"],
            "additionalProperties": False,
            "properties": {
                "ids": {"type": "array", "maxItems": 0},
                "status": {"type": "integer"},
                "error": {"type": "string"},
            },
        },
    }


def _send_events(*, with_bearer: bool) -> dict[str, Any]:
    event = {"$ref": "#/components/schemas/SentEvent"}
    most = configuration().max_events_per_request
    parameters: list[dict[str, Any]] = [
        {
            "name": SEED_HEADER,
            "in": "header",
            "schema": {"type": "string"},
            "description": "A repeat with the same seed and key within 24 hours stores nothing.",
        }
    ]
    if not with_bearer:
        key = {"name": "event_key", "in": "path", "required": True, "schema": {"type": "string"}}
        parameters.append(key)
    return {
        "operationId": "send_events" if with_bearer else "send_events_as_sdks_do",
        "description": "Send one event or a list of them: all are stored, or none.",
        "tags": ["events"],
        "parameters": parameters,
        "security": [{"eventKey": []}] if with_bearer else [],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {
                        "oneOf": [
                            event,
                            {"type": "array", "minItems": 1, "maxItems": most, "items": event},
                        ]
                    }
                }
            },
        },
        "responses": {
            "200": _answer("All are stored; the ids are in their order.", "Stored"),
            **{
                str(code): _answer(description, "NotStored")
                for code, description in EVENT_REFUSALS.items()
            },
        },
    }


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _probe(name: str, description: str, *, ready: bool) -> dict[str, Any]:
    content = {JSON: {"schema": {"type": "object", "required": ["status"]}}}
    answers = {"200": {"description": "It is.", "content": content}}
    if ready:
        answers["503"] = {"description": "What is missing.", "content": content}
    return {
        "operationId": name,
        "description": description,
        "tags": ["health"],
        "security": [],
        "responses": answers,
    }
