"""Values that most operators see masked, wherever they stand: passwords, tokens and the like.

For whoever may see payloads, but is no superuser; whoever may not sees none of a payload anyway. A
form gets the masked values too, and what comes back masked is what it was.
"""

from typing import Any

from django.http import HttpRequest

from workflows.conf import configuration

MASK = "[redacted]"


class MisplacedMaskError(ValueError):
    """A mask stands where there was no value before; the message names the key."""


def sees_all(request: HttpRequest) -> bool:
    """Tell whether somebody sees what is masked for others."""
    return bool(request.user.is_active and request.user.is_superuser)


def masked_for(request: HttpRequest, value: Any) -> Any:
    """Return JSON as somebody may see it."""
    return value if sees_all(request) else masked(value)


def masked(value: Any) -> Any:
    """Return JSON in which the values of the keys in `REDACT_KEYS` are masked."""
    return _masked(value, _names())


def unmasked(given: Any, original: Any) -> Any:
    """Return JSON that was filled in on masked values, with what these hide.

    Raises:
        MisplacedMaskError: a mask stands where the original has nothing.
    """
    return _unmasked(given, original, _names())


def plain(key: str) -> str:
    """Return a key as keys are compared: `apiKey`, `API-KEY` and `api_key` are the same."""
    return key.lower().replace("-", "").replace("_", "")


def _names() -> frozenset[str]:
    return frozenset(plain(key) for key in configuration().redact_keys)


def _masked(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, list | tuple):
        return [_masked(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: MASK if _hides(key, item, names) else _masked(item, names)
        for key, item in value.items()
    }


def _unmasked(given: Any, original: Any, names: frozenset[str]) -> Any:
    if isinstance(given, list):
        known = original if isinstance(original, list) else []
        return [
            _unmasked(item, known[place] if place < len(known) else None, names)
            for place, item in enumerate(given)
        ]
    if not isinstance(given, dict):
        return given
    before = original if isinstance(original, dict) else {}
    restored = {}
    for key, item in given.items():
        if item == MASK and plain(key) in names:
            if key not in before:
                message = f"{key!r} is {MASK}, but there was no value of it here: write one."
                raise MisplacedMaskError(message)
            restored[key] = before[key]
        else:
            restored[key] = _unmasked(item, before.get(key), names)
    return restored


def _hides(key: object, item: Any, names: frozenset[str]) -> bool:
    """Tell whether a value is masked; that there is none hides nothing."""
    return item is not None and isinstance(key, str) and plain(key) in names
