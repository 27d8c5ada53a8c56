"""Idempotency: one run for each value of a key in a period."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from workflows.engine.gate_rules import IdempotencyRule, Mark
from workflows.models import SeenValue

SPENT_AT_ONCE = 1000  # rows


class SeenValues:
    """The values that have had their run, as one turn of routing finds and leaves them."""

    def __init__(self, keys: Iterable[str], now: datetime) -> None:
        self._now = now
        self._seen = SeenValue.objects.in_bulk(list(keys))
        self._new: dict[str, SeenValue] = {}

    def refusal(self, rule: IdempotencyRule, mark: Mark) -> str | None:
        """Say why an event starts no run: which one it repeats; None where it repeats none."""
        seen = self._new.get(mark.digest) or self._seen.get(mark.digest)
        if seen is None or seen.seen_at <= self._now - rule.period:
            return None
        return f"idempotency: repeats run {seen.run_id}{mark.text}"

    def remember(self, rule: IdempotencyRule, mark: Mark, run_id: str) -> None:
        """Remember that a value has its run now."""
        self._new[mark.digest] = SeenValue(
            key=mark.digest, run_id=run_id, seen_at=self._now, expires_at=self._now + rule.period
        )

    def write(self) -> None:
        """Write what is new, and delete some of what is spent: more than was written."""
        if not self._new:
            return
        SeenValue.objects.bulk_create(
            [seen for _, seen in sorted(self._new.items())],
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=["run_id", "seen_at", "expires_at"],
        )
        spent = SeenValue.objects.filter(expires_at__lte=self._now).order_by("expires_at")
        keys = list(spent.values_list("key", flat=True)[:SPENT_AT_ONCE])
        if keys:
            SeenValue.objects.filter(pk__in=keys).delete()


def forget_values_of(run_ids: Sequence[str]) -> None:
    """Let the values run again whose run was skipped after it had gathered its events."""
    SeenValue.objects.filter(run_id__in=run_ids).delete()
