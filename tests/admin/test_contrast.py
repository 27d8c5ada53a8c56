"""Every text of the skin has a contrast of 4.5 to 1 on its ground, in both themes."""

import re
from pathlib import Path

import pytest

import workflows

CSS = (Path(workflows.__file__).parent / "static/workflows/operators.css").read_text()
LEAST = 4.5  # WCAG 2.2, level AA
GROUNDS = ("--body-bg", "--wf-card", "--wf-side", "--darkened-bg")
PAIRS = [
    *[("--body-fg", ground) for ground in (*GROUNDS, "--selected-bg", "--selected-row")],
    *[("--body-quiet-color", ground) for ground in GROUNDS],
    *[("--body-medium-color", ground) for ground in GROUNDS],
    *[("--link-fg", ground) for ground in (*GROUNDS, "--selected-bg")],
    *[(f"--wf-{name}", f"--wf-{name}-bg") for name in ("green", "red", "blue", "amber", "grey")],
    *[(f"--wf-{name}", "--wf-card") for name in ("red", "amber")],
    ("--primary-fg", "--button-bg"),
    ("--primary-fg", "--button-hover-bg"),
    ("--header-color", "--header-bg"),
]


def themes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r"\{\s*(--primary: [^}]*)\}", CSS)
    names = ("light", "dark by the system", "dark by choice")
    return {
        name: dict(re.findall(r"(--[\w-]+): ([^;]+);", block))
        for name, block in zip(names, blocks, strict=True)
    }


@pytest.mark.parametrize("theme", ["light", "dark by the system"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_is_legible(theme: str, text: str, ground: str) -> None:
    colours = themes()[theme]

    assert contrast(colours[text], colours[ground]) >= LEAST


def test_dark_is_the_same_by_the_system_and_by_choice() -> None:
    found = themes()

    assert found["dark by the system"] == found["dark by choice"]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
