"""Values as they look after a trip through the database."""

from workflows.serialisation.annotations import return_annotation
from workflows.serialisation.events import require_storable_event_data, strict_json_loads
from workflows.serialisation.references import MODEL
from workflows.serialisation.results import decode, encode, round_trip

__all__ = [
    "MODEL",
    "decode",
    "encode",
    "require_storable_event_data",
    "return_annotation",
    "round_trip",
    "strict_json_loads",
]
