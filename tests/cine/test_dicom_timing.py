"""The time between frames, from whichever element gives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from m2dino.cine import open_loop

from tests.cine.making import jpeg_loop, moving_square

FRAMES = moving_square(5)


@pytest.mark.parametrize(
    ("elements", "seconds", "source"),
    [
        ({"FrameTime": "40"}, 0.04, "frame time"),
        ({"FrameTime": "40", "CineRate": "10"}, 0.04, "frame time"),
        ({"FrameTimeVector": ["0", "33", "33", "34", "33"]}, 0.03325, "frame time vector"),
        ({"FrameTimeVector": ["0", "33", "66", "33", "33"]}, None, None),
        ({"CineRate": "50"}, 0.02, "cine rate"),
        ({"FrameTime": "0", "CineRate": "50"}, 0.02, "cine rate"),
        ({"RecommendedDisplayFrameRate": "25"}, 0.04, "recommended display rate"),
        ({"CineRate": "0"}, None, None),
        ({"FrameTime": "-5"}, None, None),
        ({}, None, None),
    ],
)
def test_frame_time(tmp_path: Path, elements: dict[str, object], seconds: float | None, source: str | None) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES, **elements))
    assert loop.frame_time_s == (None if seconds is None else pytest.approx(seconds))
    assert loop.frame_time_source == source


def test_a_single_frame_has_no_frame_time(tmp_path: Path) -> None:
    assert open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES[:1], FrameTime="40")).frame_time_s is None
