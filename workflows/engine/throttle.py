"""How a throttle lets starts through: the generic cell rate algorithm (GCRA), exactly.

Time is counted in whole microseconds, and the distance of two starts is a fraction of them, so
that a limit of three a second lets the sixth through at the end of the second, not a microsecond
later. Source: ITU-T I.371, with the first `limit + burst` at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from workflows.clock import EPOCH
from workflows.engine.limits import ThrottleRule

MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class PaceOf:
    """A throttle's state for one value of its key, while admission works with it.

    Everything is counted in units of a microsecond divided by the limit, of which the distance
    of two starts, and so every theoretical arrival time, is a whole number.

    Attributes:
        rule: the throttle.
        now: the time.
        tat: the theoretical arrival time: when it would be as if it had never been used.
        interval: how far apart starts are once nothing is left to be used at once.
    """

    rule: ThrottleRule
    now: int
    tat: int
    interval: int

    @classmethod
    def at(cls, now: datetime, rule: ThrottleRule, stored: str | None) -> "PaceOf":
        """Return the state at a moment; a time that only a clock gone back explains is cut."""
        moment = microseconds(now) * rule.limit
        interval = rule.period // MICROSECOND
        tat = ceil(Fraction(stored) * rule.limit) if stored else moment
        latest = moment + interval * (rule.limit + rule.burst)
        return cls(rule, moment, min(max(tat, moment), latest), interval)

    @property
    def stored(self) -> str:
        """The theoretical arrival time as it is stored, exactly, whatever the next limit is."""
        return str(Fraction(self.tat, self.rule.limit))

    @property
    def full_at(self) -> datetime:
        """When nothing will be left to be remembered."""
        return moment_of(-(-self.tat // self.rule.limit))

    @property
    def room(self) -> int:
        """How many may start now."""
        return self.rule.limit + self.rule.burst + (self.now - self.tat) // self.interval

    @property
    def next_start(self) -> datetime:
        """The first moment at which one may start."""
        at_once = self.interval * (self.rule.limit + self.rule.burst - 1)
        return moment_of(-(-max(self.now, self.tat - at_once) // self.rule.limit))

    def use(self) -> None:
        """Count one start now."""
        self.tat += self.interval

    def give_back(self) -> None:
        """Take back a start that did not come about."""
        self.tat -= self.interval


def microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def moment_of(count: int) -> datetime:
    """Return the moment so many microseconds after the beginning of 1970."""
    return EPOCH + timedelta(microseconds=count)
