"""Event keys: what an outside program shows to send events. Only a hash is stored."""

import hashlib
import secrets
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q

from workflows.models.fields import IdField, JSONTextField

PREFIX_LENGTH = 8


class EventKeyQuerySet(models.QuerySet["EventKey"]):
    """The questions that are asked about keys."""

    def usable(self, now: datetime) -> Self:
        """Keys that are neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)

    def shown(self, key: str) -> Self:
        """The key whose secret is shown: found by its hash."""
        return self.filter(digest=digest_of(key))


class EventKey(models.Model):
    """The right to send events, or some of them, and nothing else."""

    id = IdField(primary_key=True)
    name = models.CharField(max_length=100, unique=True)
    prefix = models.CharField(max_length=PREFIX_LENGTH, help_text="The key's first characters.")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the key.")
    events: Any = JSONTextField(
        default=list, help_text="Names or patterns it may send; empty: all."
    )
    rate_limit = models.IntegerField(
        null=True, blank=True, help_text="Requests a minute; empty: no limit."
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = EventKeyQuerySet.as_manager()

    class Meta:
        permissions = [("manage_eventkey", "Can create and revoke event keys")]

    def __str__(self) -> str:
        return self.name


def make_secret() -> str:
    """Return a new key: 256 bits of chance, so that a fast hash of it is safe to store."""
    return secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
