"""Charts as SVG that the server draws, with the same figures as a table.

All is placed by attributes, in a box of 1000 by 100 that is stretched to the page: a strict
Content-Security-Policy allows no style attributes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workflows.admin.display import NOTHING

WIDTH, HEIGHT = 1000.0, 100.0
GAP = 0.15  # of a column
TICKS = 5


@dataclass(frozen=True, slots=True)
class Series:
    """Figures of one kind, one for each column; `kind` is the class that gives their colour."""

    kind: str
    title: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Rect:
    """A piece of a column."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series as a line; where there is no figure there is a gap, so it may be several."""

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws."""

    title: str
    series: list[Series]
    rects: list[Rect]
    lines: list[Line]
    highest: str
    ticks: list[str]
    rows: list[tuple[str, list[str]]]
    is_empty: bool


def stacked(title: str, columns: Sequence[str], series: Sequence[Series]) -> Chart:
    """Return columns of which each is a stack, the first series at the bottom."""
    totals = [sum(each.values[i] or 0 for each in series) for i in range(len(columns))]
    top = max(totals, default=0) or 1
    width = WIDTH / max(1, len(columns))
    rects = []
    for i, column in enumerate(columns):
        floor = HEIGHT
        for each in series:
            value = each.values[i] or 0
            if value:
                height = HEIGHT * value / top
                floor -= height
                says = f"{column}: {value:g} {each.title}"
                left, wide = i * width + width * GAP / 2, width * (1 - GAP)
                rects.append(
                    Rect(
                        round(left, 2),
                        round(floor, 2),
                        round(wide, 2),
                        round(height, 2),
                        each.kind,
                        says,
                    )
                )
    return _chart(title, columns, series, rects=rects, lines=[], highest=f"{top:g}")


def lines(
    title: str, columns: Sequence[str], series: Sequence[Series], *, said: Callable[[float], str]
) -> Chart:
    """Return one line for each series; `said` writes its figures."""
    top = max((value for each in series for value in each.values if value), default=0) or 1
    drawn = [
        Line(each.kind, points) for each in series for points in _strokes(each, len(columns), top)
    ]
    return _chart(title, columns, series, rects=[], lines=drawn, highest=said(top), said=said)


def _strokes(series: Series, columns: int, top: float) -> list[str]:
    """Return the stretches without gaps; a single figure becomes a short dash."""
    width = WIDTH / max(1, columns)
    strokes: list[list[str]] = [[]]
    for i, value in enumerate(series.values):
        if value is None:
            strokes.append([])
            continue
        y = round(HEIGHT - HEIGHT * value / top, 2)
        strokes[-1].append(f"{round((i + 0.5) * width, 2)},{y}")
    return [
        " ".join(stroke if len(stroke) > 1 else [*stroke, _moved(stroke[0], width / 2)])
        for stroke in strokes
        if stroke
    ]


def _moved(point: str, by: float) -> str:
    x, y = point.split(",")
    return f"{round(float(x) + by, 2)},{y}"


def _chart(  # noqa: PLR0913  a chart has as many sides
    title: str,
    columns: Sequence[str],
    series: Sequence[Series],
    *,
    rects: list[Rect],
    lines: list[Line],
    highest: str,
    said: Callable[[float], str] = "{:g}".format,
) -> Chart:
    rows = [
        (column, [said(value) if (value := each.values[i]) else NOTHING for each in series])
        for i, column in enumerate(columns)
    ]
    step = max(1, (len(columns) - 1) // (TICKS - 1))
    return Chart(
        title=title,
        series=list(series),
        rects=rects,
        lines=lines,
        highest=highest,
        ticks=list(columns[::step]),
        rows=[row for row in rows if any(each != NOTHING for each in row[1])],
        is_empty=not (rects or lines),
    )
