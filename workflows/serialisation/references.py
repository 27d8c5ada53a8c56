"""Django model instances in results: stored as references, loaded again on replay."""

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, models

from workflows.errors import StepResultNotStorable

MODEL = "$model"
ESCAPED = "$$"


def reference_to(instance: models.Model) -> dict[str, Any]:
    """Return what is stored of a model instance.

    Raises:
        StepResultNotStorable: the instance is not in the database.
    """
    label = instance._meta.label  # noqa: SLF001  Django's public way
    if instance.pk is None or instance._state.adding:  # noqa: SLF001  as above
        message = (
            f"{label} has not been saved, so there is nothing that a reference could load again."
        )
        raise StepResultNotStorable(message)
    reference = {MODEL: label, "pk": instance.pk}
    database = instance._state.db  # noqa: SLF001  as above
    return reference if database in (None, DEFAULT_DB_ALIAS) else {**reference, "db": database}


def load(reference: dict[str, Any]) -> models.Model:
    """Load the instance that a reference stands for.

    Raises:
        Model.DoesNotExist: it has been deleted meanwhile.
    """
    model = apps.get_model(reference[MODEL])
    rows = model._default_manager.using(reference.get("db"))  # noqa: SLF001  Django's public way
    instance: models.Model = rows.get(pk=reference["pk"])
    return instance


def escaped(value: Any) -> Any:
    """Return plain JSON in which no dict of the author's looks like a reference."""
    if isinstance(value, dict):
        return {_escaped_key(key): escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def loaded(value: Any) -> Any:
    """Return plain JSON with its references loaded, and the author's dicts as they were."""
    if isinstance(value, list):
        return [loaded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if MODEL in value:
        return load(value)
    return {_unescaped_key(key): loaded(item) for key, item in value.items()}


def _escaped_key(key: str) -> str:
    return f"${key}" if key == MODEL or key.startswith(ESCAPED) else key


def _unescaped_key(key: str) -> str:
    return key[1:] if key.startswith(ESCAPED) else key
