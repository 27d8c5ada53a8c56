"""A scan begins where the last one found its first row, and misses nothing for long."""

from collections.abc import Sequence

from workflows.engine.scan_start import ScanStart


class Numbers:
    """Rows that are numbers, and what was asked of them."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.asked: list[int | None] = []

    def first_two(self, *, start: int | None) -> Sequence[int]:
        self.asked.append(start)
        return [each for each in self.numbers if start is None or each >= start][:2]


def test_a_scan_begins_where_the_last_one_found_its_first_row() -> None:
    rows, start = Numbers(5, 6, 7, 8), ScanStart[int, int](key=int, every=3600)

    assert list(start.scan(rows.first_two)) == [5, 6]
    rows.numbers = [7, 8, 9]
    assert list(start.scan(rows.first_two)) == [7, 8]
    rows.numbers = [9, 10]
    assert list(start.scan(rows.first_two)) == [9, 10]

    assert rows.asked == [None, 5, 7]


def test_what_lies_before_the_start_is_found_when_nothing_else_is_left() -> None:
    rows, start = Numbers(5), ScanStart[int, int](key=int, every=3600)
    start.scan(rows.first_two)

    rows.numbers = [3]

    assert list(start.scan(rows.first_two)) == [3]
    assert rows.asked == [None, 5, None]


def test_what_lies_before_the_start_is_found_after_a_while_in_any_rush() -> None:
    rows, start = Numbers(5), ScanStart[int, int](key=int, every=0)
    start.scan(rows.first_two)

    rows.numbers = [3, 5, 6]

    assert list(start.scan(rows.first_two)) == [3, 5]


def test_where_nothing_was_found_the_next_scan_begins_at_the_beginning() -> None:
    rows, start = Numbers(), ScanStart[int, int](key=int, every=3600)

    start.scan(rows.first_two)
    start.scan(rows.first_two)

    assert rows.asked == [None, None]
