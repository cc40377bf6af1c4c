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
        ({"FrameTimeVector": ["0", "33", "66", "33", "33"]}, None, "frame time vector"),
        ({"FrameTimeVector": ["0", "33", "33"]}, None, None),
        ({"FrameTimeVector": ["0", "33", "-33", "33", "33"]}, None, None),
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


def test_uneven_frames_each_have_their_time(tmp_path: Path) -> None:
    steps = ["0", "33", "66", "33", "33"]
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES, FrameTimeVector=steps))
    assert loop.frame_times_s == pytest.approx([0, 0.033, 0.099, 0.132, 0.165])
    even = open_loop(jpeg_loop(tmp_path / "b.dcm", FRAMES, FrameTime="40"))
    assert even.frame_times_s == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert open_loop(jpeg_loop(tmp_path / "c.dcm", FRAMES)).frame_times_s is None


def test_moments_that_the_file_names(tmp_path: Path) -> None:
    named = {
        "FrameTime": "40",
        "RWaveTimeVector": [1.0, 118.0, 9000.0],
        "FrameNumbersOfInterest": [2, 4, 5, 99],
        "FrameOfInterestDescription": ["ED", "End Systole", "Doe Jane, bed 7", "ED"],
    }
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES, **named))
    assert [(marker.frame, marker.name) for marker in loop.markers] == [
        (0, "R wave"),
        (1, "end-diastole"),
        (3, "R wave"),
        (3, "end-systole"),
        (4, "frame of interest"),
    ]
    assert "Doe" not in f"{vars(loop)} {loop._display._header.elements}"


def test_r_waves_given_as_times_need_the_times_of_frames(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES, RWaveTimeVector=[40.0]))
    assert loop.markers == ()
    uneven = open_loop(
        jpeg_loop(tmp_path / "b.dcm", FRAMES, RWaveTimeVector=[100.0], FrameTimeVector=["0", "33", "66", "33", "33"])
    )
    assert [marker.frame for marker in uneven.markers] == [2]
    pointed = open_loop(jpeg_loop(tmp_path / "c.dcm", FRAMES, RWavePointer=[1, 5, 6]))
    assert [(marker.frame, marker.name) for marker in pointed.markers] == [(0, "R wave"), (4, "R wave")]
