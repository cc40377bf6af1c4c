"""Measured figures as a person reads them in a narrow dock. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from m2dino.measure import Measurement

_DIGITS = {"px": 0, "px²": 0, "px³": 0, "mm²": 1, "mm": 1, "ml": 1, "degrees": 1, "weeks": 1, "%": 1}
_PLAIN = ("perimeter", "long axis", "short axis")


def figure(value: float, unit: str) -> str:
    """Return a value with its unit: "34.2 mm²", "112.4°"."""
    digits = _DIGITS.get(unit, 2)
    number = f"{value:.{digits}f}"
    return f"{number}°" if unit == "degrees" else f"{number}%" if unit == "%" else f"{number} {unit}".strip()


def in_words(one: Measurement) -> str:
    """Return name and value, or name and dash where there is none."""
    return f"{one.name} {'–' if one.value is None else figure(one.value, one.unit)}"


def most_telling(measured: Iterable[Measurement], most: int) -> list[Measurement]:
    """Return the figures to show first: what is known of the anatomy before perimeters and axes, `most` at most."""
    return sorted(measured, key=lambda one: one.name.endswith(_PLAIN))[:most]


def table_html(measured: Iterable[Measurement]) -> str:
    """Return names and values as the rows of a table, in rich text."""
    cells = ((escape(one.name), "–" if one.value is None else figure(one.value, one.unit)) for one in measured)
    rows = "".join(f'<tr><td>{name}</td><td align="right">{value}</td></tr>' for name, value in cells)
    return f'<table width="100%" cellspacing="0" cellpadding="1">{rows}</table>' if rows else ""


def why_absent(measured: Iterable[Measurement]) -> str:
    """Return the reasons for the gaps, a line each, for a tooltip."""
    return "\n".join(f"{one.name}: {one.reason}" for one in measured if one.reason)
