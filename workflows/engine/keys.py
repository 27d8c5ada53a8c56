"""Event keys: make and revoke them, check what a request shows, and store what it sends."""

import difflib
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F, Q, Value
from django.db.models.functions import Greatest

from workflows.clock import EPOCH, clock
from workflows.definitions.events import Event
from workflows.definitions.triggers import name_matches
from workflows.engine.rows import EventRow
from workflows.engine.send import event_rows
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import WorkflowsError
from workflows.ids import new_id
from workflows.models import EventKey, EventKeyPace, EventSeed
from workflows.models.event_key import PREFIX_LENGTH, digest_of, make_secret

LONGEST_NAME = 100
MOST_REQUESTS_A_MINUTE = 1_000_000
SEED_LIFE = timedelta(hours=24)
SEEDS_FORGOTTEN_AT_ONCE = 10
LAST_USE_IS_EXACT_TO = timedelta(minutes=1)
RATE_PERIOD = 60_000_000  # microseconds: a rate is requests a minute


class EventKeyError(WorkflowsError):
    """An event key cannot be made, found or revoked as asked."""


class KeyRefusedError(WorkflowsError):
    """The key that a request shows is unknown, expired or revoked."""


class KeyScopeError(WorkflowsError):
    """A usable key may not send events of this name."""


class KeyRateError(WorkflowsError):
    """A key has used up its own rate.

    Attributes:
        retry_after: seconds until the next request is let in.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class NewEventKey:
    """A key that was just made: the only time that its secret is known."""

    key: EventKey
    secret: str


def create_event_key(
    name: str,
    *,
    events: Sequence[str] = (),
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
) -> NewEventKey:
    """Make a key.

    Args:
        name: 1 to 100 characters that no other key has.
        events: names or patterns (`shop/*`) of what it may send; none: everything.
        expires_at: an aware datetime in the future.
        rate_limit: requests a minute.

    Raises:
        EventKeyError: one of these cannot be; nothing is made.
    """
    _require_name(name)
    _require_patterns(events)
    _require_rate(rate_limit)
    now = clock.now()
    if expires_at is not None and expires_at <= now:
        message = f"The key would have expired already, at {expires_at.isoformat()}."
        raise EventKeyError(message)
    secret = make_secret()
    row = EventKey(
        id=new_id(),
        name=name,
        prefix=secret[:PREFIX_LENGTH],
        digest=digest_of(secret),
        events=list(events),
        rate_limit=rate_limit,
        created_at=now,
        expires_at=expires_at,
    )
    try:
        with transaction("create key"):
            row.save(force_insert=True)
    except IntegrityError as error:
        message = f"There is already an event key called {name!r}: choose another name."
        raise EventKeyError(message) from error
    return NewEventKey(row, secret)


def revoke_event_key(name: str) -> EventKey:
    """End a key at once and for good; its name stays taken, so that its history can be told.

    Raises:
        EventKeyError: there is no such key, or it is revoked already.
    """
    with transaction("revoke key"):
        revoked = EventKey.objects.filter(name=name, revoked_at=None).update(revoked_at=clock.now())
    key = EventKey.objects.filter(name=name).first()
    if key is None:
        raise EventKeyError(_no_such_key(name))
    if not revoked:
        message = (
            f"The event key {name!r} was revoked already, at {key.revoked_at:%Y-%m-%d %H:%M} UTC."
        )
        raise EventKeyError(message)
    return key


def require_key(secret: str) -> EventKey:
    """Return the usable key that a request shows, and note that it was used.

    It is found by its hash, of which an attacker cannot choose the beginning, and then compared
    in constant time all the same.

    Raises:
        KeyRefusedError: there is none; the message does not say which of the reasons holds.
    """
    now = clock.now()
    key = EventKey.objects.shown(secret).usable(now).first()
    if key is None or not hmac.compare_digest(key.digest, digest_of(secret)):
        message = "The event key is unknown, expired or revoked."
        raise KeyRefusedError(message)
    _note_use(key, now)
    return key


def require_rate(key: EventKey) -> None:
    """Count a request against the key's own rate.

    One conditional statement decides, so that the rate holds however many processes answer
    requests. Up to a minute's worth may come at once; each is given back in its share of a
    minute. Source: the generic cell rate algorithm, ITU-T I.371.

    Raises:
        KeyRateError: the rate is used up; says when to come again.
    """
    if key.rate_limit is None:
        return
    share = RATE_PERIOD // key.rate_limit
    now = _microseconds(clock.now())
    if _move_pace(key, now=now, share=share):
        return
    free_at = EventKeyPace.objects.values_list("free_at", flat=True).get(pk=key.pk)
    wait = max(free_at - (RATE_PERIOD - share) - now, 0)
    message = f"The event key {key.name!r} may make {key.rate_limit} requests a minute."
    raise KeyRateError(message, retry_after=max(1, -(-wait // 1_000_000)))


def require_scope(key: EventKey, names: Iterable[str]) -> None:
    """Check that a key may send events of these names.

    Raises:
        KeyScopeError: it may not; names the first such event's place.
    """
    if not key.events:
        return
    allowed = {name: _is_in_scope(key, name) for name in set(names)}
    for place, name in enumerate(names):
        if not allowed[name]:
            message = f"event {place}: the event key {key.name!r} may not send {name!r}."
            raise KeyScopeError(message)


def send_with_key(
    events: Sequence[Event[Any]], *, key: EventKey, seed: str | None = None
) -> list[str]:
    """Store what a request sends, all or none; return the ids in its order.

    A repeat with the same seed within 24 hours stores nothing again, and gives the same ids by
    position; positions that the first request did not have are stored.

    Raises:
        InvalidEvent: one of the events cannot be one; none is stored.
    """
    rows = event_rows(events, are_listed=True)
    with transaction("receive"):
        if seed is None:
            _insert(rows)
            return [row.id for row in rows]
        remembered = _locked_seed(key, seed)
        known = remembered.event_ids
        fresh = rows[len(known) :]
        if fresh:
            _insert(fresh)
            remembered.event_ids = [*known, *(row.id for row in fresh)]
            remembered.save(update_fields=["event_ids", "created_at"])
        return list(remembered.event_ids[: len(rows)])


def _insert(rows: Sequence[EventRow]) -> None:
    sql().insert_events(rows)
    wake_workers_after_commit()


def _locked_seed(key: EventKey, seed: str) -> EventSeed:
    """Return the seed's row, locked: whoever has the same seed waits here for the ids."""
    now = clock.now()
    _forget_old_seeds(now)
    digest = hashlib.sha256(seed.encode(errors="surrogatepass")).hexdigest()
    fresh = EventSeed(id=new_id(), key=key, digest=digest, event_ids=[], created_at=now)
    EventSeed.objects.bulk_create([fresh], ignore_conflicts=True)
    found = EventSeed.objects.select_for_update(no_key=True).get(key=key, digest=digest)
    if found.created_at <= now - SEED_LIFE:
        found.event_ids, found.created_at = [], now
    return found


def _forget_old_seeds(now: datetime) -> None:
    """Delete a few seeds that are spent: each request leaves one, so that they never gather."""
    old = EventSeed.objects.filter(created_at__lte=now - SEED_LIFE).order_by("created_at")
    ids = list(
        old.select_for_update(skip_locked=True).values_list("pk", flat=True)[
            :SEEDS_FORGOTTEN_AT_ONCE
        ]
    )
    if ids:
        EventSeed.objects.filter(pk__in=ids).delete()


def _note_use(key: EventKey, now: datetime) -> None:
    """Note when a key was last used, to the minute; never wait for whoever else notes it."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USE_IS_EXACT_TO)
    if key.last_used_at is not None and key.last_used_at > now - LAST_USE_IS_EXACT_TO:
        return
    with transaction("note key use"):
        unlocked = EventKey.objects.filter(stale, pk=key.pk).select_for_update(
            skip_locked=True, no_key=True
        )
        if list(unlocked.values_list("pk", flat=True)):
            EventKey.objects.filter(pk=key.pk).update(last_used_at=now)


def _move_pace(key: EventKey, *, now: int, share: int) -> bool:
    moment = Value(now)
    with transaction("count request"):
        EventKeyPace.objects.bulk_create([EventKeyPace(key=key)], ignore_conflicts=True)
        return bool(
            EventKeyPace.objects.filter(pk=key.pk, free_at__lte=now + RATE_PERIOD - share).update(
                free_at=Greatest(F("free_at"), moment) + share
            )
        )


def _is_in_scope(key: EventKey, name: str) -> bool:
    return any(name_matches(pattern, name) for pattern in key.events)


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _require_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= len(name) <= LONGEST_NAME or not name.isprintable():
        message = (
            f"An event key's name has 1 to {LONGEST_NAME} printable characters, not {name!r:.120}."
        )
        raise EventKeyError(message)


def _require_patterns(patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if (
            not pattern
            or "*" in pattern[:-1]
            or (len(pattern) > 1 and pattern[-1] == "*" and pattern[-2] not in "/.")
        ):
            message = (
                f"{pattern!r} is no event name or pattern: a * may stand at the end, "
                "after a / or a dot, as in shop/*."
            )
            raise EventKeyError(message)


def _require_rate(rate_limit: int | None) -> None:
    if rate_limit is not None and not 1 <= rate_limit <= MOST_REQUESTS_A_MINUTE:
        message = f"A rate is 1 to {MOST_REQUESTS_A_MINUTE} requests a minute, not {rate_limit}."
        raise EventKeyError(message)


def _no_such_key(name: str) -> str:
    names = EventKey.objects.order_by("name").values_list("name", flat=True)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no event key called {name!r}.{hint}"
