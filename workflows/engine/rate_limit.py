"""Rate limit: never more than `limit` acceptances in any period, counted from their rows.

A true sliding window: an acceptance at t counts up to, and without, t + period.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Count

from workflows.engine.gate_rules import Mark, RateLimitRule
from workflows.models import Acceptance

SPENT_AT_ONCE = 1000  # rows


class Acceptances:
    """The acceptances that count, as one turn of routing finds and leaves them."""

    def __init__(self, rules: Mapping[str, RateLimitRule], now: datetime) -> None:
        """Count for each of these digests."""
        self._now = now
        self._used = dict.fromkeys(rules, 0)
        for rule in set(rules.values()):
            self._count(rule, [key for key, its in rules.items() if its == rule])
        self._new: list[Acceptance] = []

    def refusal(self, rule: RateLimitRule, mark: Mark) -> str | None:
        """Say why an event starts no run; None where there is room for it."""
        if self._used[mark.digest] < rule.limit:
            return None
        return f"rate limit: {rule.limit} in {rule.period} were accepted{mark.text}"

    def accept(self, rule: RateLimitRule, mark: Mark) -> None:
        """Count an event that starts a run, or is gathered for one."""
        self._used[mark.digest] += 1
        self._new.append(
            Acceptance(key=mark.digest, accepted_at=self._now, expires_at=self._now + rule.period)
        )

    def write(self) -> None:
        """Write what is new, and delete some of what is spent: more than was written."""
        if not self._new:
            return
        Acceptance.objects.bulk_create(self._new)
        spent = Acceptance.objects.filter(expires_at__lte=self._now).order_by("expires_at")
        ids = list(spent.values_list("pk", flat=True)[:SPENT_AT_ONCE])
        if ids:
            Acceptance.objects.filter(pk__in=ids).delete()

    def _count(self, rule: RateLimitRule, keys: Sequence[str]) -> None:
        """Count what lies in the window that ends now: never more than the limit, for each key."""
        counted = Acceptance.objects.filter(
            key__in=keys, accepted_at__gt=self._now - rule.period
        ).values_list("key")
        self._used.update(counted.annotate(Count("pk")))
