"""The arrow keys: tapped they show every frame, held they get through a long loop."""

from __future__ import annotations

import itertools

import pytest

from napari_m2dino.stepping import Stepping


def frames(seconds: float, presses: int, way: int = 1, count: int = 1000) -> list[int]:
    """Return the frames shown by presses so many seconds apart."""
    now = [0.0]
    stepping, shown = Stepping(lambda: now[0]), [0 if way > 0 else count - 1]
    for _ in range(presses):
        shown.append(stepping.step(shown[-1], way, count))
        now[0] += seconds
    return shown


@pytest.mark.parametrize("seconds", [0.125, 0.3])
def test_quick_taps_pass_over_no_frame(seconds: float) -> None:
    assert frames(seconds, 60) == list(range(61))


def test_a_held_key_gets_faster_and_stops_at_the_end() -> None:
    shown = frames(1 / 30, 90)
    strides = [after - before for before, after in itertools.pairwise(shown)]
    assert strides == sorted(strides)
    assert set(strides) == {1, 2, 4, 8}
    assert frames(1 / 30, 90, count=100)[-1] == 99
    assert frames(1 / 30, 90, way=-1, count=100)[-1] == 0


def test_turning_round_starts_slowly() -> None:
    now = [0.0]
    stepping = Stepping(lambda: now[0])
    for _ in range(40):
        frame = stepping.step(500, 1, 1000)
        now[0] += 1 / 30
    assert frame == 508
    assert stepping.step(500, -1, 1000) == 499
