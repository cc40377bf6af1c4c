"""A figure over the frames of a loop, and its change from end-diastole to end-systole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from m2dino.cine.markers import Marker
from m2dino.measure.result import Measurement, absent

_MOMENTS = ("end-diastole", "end-systole")


class Cycle(NamedTuple):
    """Frames of end-diastole and end-systole, and how they were found."""

    diastole: int
    systole: int
    source: str


def cycle_of(series: Mapping[int, float], markers: Sequence[Marker] = ()) -> Cycle | None:
    """Return the frames of end-diastole and end-systole.

    The file's own markers are used where they name both on frames that were measured: the first end-diastole and the
    end-systole that follows it, or else the first. Otherwise they are the frames of the largest and the smallest value.

    Parameters
    ----------
    series : mapping of int to float
        Area or volume of the cavity by frame.
    markers : sequence of Marker
        Those of the loop.

    Returns
    -------
    Cycle or None
        None for fewer than two frames, or where nothing changes.
    """
    if len(series) < 2:
        return None
    first, last = (sorted(m.frame for m in markers if m.name == name and m.frame in series) for name in _MOMENTS)
    if first and last:
        after = [frame for frame in last if frame > first[0]]
        return Cycle(first[0], (after or last)[0], "markers of the file")
    most, least = max(series, key=series.__getitem__), min(series, key=series.__getitem__)
    return None if series[most] == series[least] else Cycle(most, least, "largest and smallest of the frames measured")


def relative_change(name: str, measured: Sequence[Measurement], markers: Sequence[Marker] = ()) -> Measurement:
    """Return (diastole - systole) / diastole in percent: of areas the fractional area change, of volumes the
    ejection fraction.

    Parameters
    ----------
    name : str
        Of the result.
    measured : sequence of Measurement
        One figure by frame; frames without a value are left out.
    markers : sequence of Marker
    """
    units = {m.unit for m in measured if m.value is not None}
    series = {m.frame: m.value for m in measured if m.value is not None and m.frame is not None}
    if len(units) > 1:
        return absent(name, "some frames are measured in millimetres and some in pixels", unit="%")
    cycle = cycle_of(series, markers)
    if cycle is None:
        return absent(name, "it takes at least two frames that differ", unit="%")
    before, after = series[cycle.diastole], series[cycle.systole]
    inputs = f"frames {cycle.diastole} (end-diastole) and {cycle.systole} (end-systole), {cycle.source}"
    if before <= 0:
        return absent(name, "the cavity is empty at end-diastole", inputs, "%")
    remark = next((m.remark for m in measured if m.value is not None and m.remark), "")
    return Measurement(name, 100 * (before - after) / before, "%", inputs=inputs, remark=remark)
