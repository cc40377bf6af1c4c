"""A scale given by hand, remembered for the loop and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from m2dino.cine import open_loop, open_loops
from m2dino.cine.manual_calibration import calibration_of_line, calibration_on, forget, recall, remember
from m2dino.cine.regions import Region
from m2dino.errors import StoreWriteError, UsageError

from tests.cine.making import PATIENT_ID, jpeg_loop, moving_square, numbered_frames, video


def test_a_line_and_its_length_give_the_scale() -> None:
    scale = calibration_of_line((10, 20), (40, 60), 25.0)
    assert (scale.dy_mm, scale.dx_mm, scale.region) == (0.5, 0.5, None)
    assert scale.source == "set by hand"


@pytest.mark.parametrize(
    ("end", "length", "told"),
    [
        ((10.0, 25.0), 5.0, "too short"),
        ((float("nan"), 80.0), 5.0, "too short"),
        ((10.0, 80.0), 0.0, "above 0"),
        ((10.0, 80.0), -3.0, "above 0"),
        ((10.0, 80.0), float("inf"), "above 0"),
        ((10.0, 80.0), 1e6, "check the length"),
    ],
)
def test_lines_that_measure_nothing(end: tuple[float, float], length: float, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        calibration_of_line((10.0, 20.0), end, length)


def test_it_is_remembered_for_the_loop_under_any_name(tmp_path: Path) -> None:
    path = video(tmp_path / f"{PATIENT_ID}.mp4", numbered_frames(5), "mpeg4")
    folder = tmp_path / "scales"
    loop = open_loop(path)
    assert not recall(loop, folder)
    remember(loop, calibration_of_line((0, 0), (0, 100), 30.0), folder)
    assert loop.calibration is not None
    again = open_loop(path.rename(tmp_path / "b.mp4"))
    assert recall(again, folder)
    assert again.calibration == loop.calibration
    assert again.calibration_reason == "set by hand"
    assert again.calibration_at([(1, 1), (90, 90)])[0] == again.calibration
    assert not any(PATIENT_ID in file.name + file.read_text() for file in folder.iterdir())
    other = open_loop(video(tmp_path / "c.mp4", numbered_frames(6), "mpeg4"))
    assert not recall(other, folder)
    forget(again, folder)
    forget(again, folder)
    assert not recall(open_loop(tmp_path / "b.mp4"), folder)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"dy_mm": -1, "dx_mm": 1, "region": null}', '{"dy_mm": 1, "dx_mm": 1, "region": [0, 0, 9999, 5]}'],
)
def test_a_damaged_memory_is_none(tmp_path: Path, content: str) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2)))
    (tmp_path / f"{loop.identity}.json").write_text(content)
    assert not recall(loop, tmp_path)
    assert loop.calibration is None


def test_opening_the_loop_again_brings_the_scale_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2DINO_CALIBRATIONS", str(tmp_path / "scales"))
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(2), PixelSpacing=[0.2, 0.3])
    loop = open_loop(path)
    own = loop.calibration, loop.calibration_reason
    assert own[0] is not None
    for length in (25.0, 30.0):
        remember(loop, calibration_of_line((0, 0), (0, 50), length))
    for known in (loop, open_loop(path), *open_loops(tmp_path)):
        assert known.calibration is not None
        assert known.calibration.dy_mm == pytest.approx(0.6)
        assert known.own_scale == own
    forget(loop)
    for known in (loop, open_loop(path)):
        assert (known.calibration, known.calibration_reason) == own == known.own_scale


@pytest.mark.parametrize("end", [(10.0, 64.0), (-1.0, 20.0), (float("nan"), 20.0), (10.0, float("inf"))])
def test_a_line_has_to_lie_inside_the_frame(tmp_path: Path, end: tuple[float, float]) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2)))
    with pytest.raises(UsageError, match="inside the image"):
        calibration_on(loop, (10.0, 30.0), end, 5.0)
    assert calibration_on(loop, (10.0, 3.0), (10.0, 63.0), 6.0).region is None


def test_pixels_that_are_not_square_by_their_file(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2), PixelAspectRatio=[1, 2]))
    assert loop.pixel_aspect == 2, "DICOM tells the height first"
    for start, end, length in (((4, 10), (44, 10), 20.0), ((4, 10), (4, 50), 40.0), ((10, 10), (40, 30), 25.0)):
        scale = calibration_on(loop, start, end, length)
        assert (scale.dy_mm, scale.dx_mm) == pytest.approx((0.5, 1.0))
    with pytest.raises(UsageError, match="too short"):
        calibration_on(loop, (4, 10), (4, 25), 15.0)
    for told in ([0, 1], [1, 99], 4):
        assert open_loop(jpeg_loop(tmp_path / "b.dcm", moving_square(2), PixelAspectRatio=told)).pixel_aspect == 1


def test_a_line_over_one_image_says_nothing_of_the_curve_below(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2)))
    image, beside, curve = (0, 0, 30, 40), (0, 40, 30, 60), (30, 0, 48, 60)
    loop.regions = (
        Region(image, "tissue", None, "no scale"),
        Region(beside, "tissue", None, "no scale"),
        Region(curve, "M-mode", None, "no lengths"),
    )
    assert calibration_on(loop, (5, 5), (5, 35), 3.0).region == image
    assert calibration_on(loop, (2, 50), (28, 50), 3.0).region == beside
    assert calibration_on(loop, (2, 62), (28, 62), 3.0).region == image, "a depth scale beside the images"
    remember(loop, calibration_on(loop, (5, 5), (5, 35), 3.0), tmp_path / "scales")
    assert loop.calibration_at([(5, 5), (20, 20)])[0] == loop.calibration
    assert loop.calibration_at([(5, 5), (40, 20)])[0] is None


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2)))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreWriteError, match="not remembered"):
        remember(loop, calibration_of_line((0, 0), (0, 40), 30.0), tmp_path / "file")
    assert loop.calibration is None
