"""Which scale holds where: regions of several kinds in one frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from m2dino.cine import CineLoop, open_loop
from m2dino.cine.manual_calibration import calibration_of_line
from pydicom.dataset import Dataset

from tests.cine.making import jpeg_loop, moving_square, region

LEFT = {"RegionLocationMinX0": 0, "RegionLocationMaxX1": 79, "RegionLocationMinY0": 0, "RegionLocationMaxY1": 59}
RIGHT = {**LEFT, "RegionLocationMinX0": 80, "RegionLocationMaxX1": 159}
BELOW = {"RegionLocationMinX0": 0, "RegionLocationMaxX1": 159, "RegionLocationMinY0": 60, "RegionLocationMaxY1": 99}
M_MODE = {"RegionSpatialFormat": 2, "PhysicalUnitsXDirection": 4, "PhysicalDeltaX": 0.005}
SPECTRUM = {"RegionSpatialFormat": 3, "RegionDataType": 3, "PhysicalUnitsXDirection": 4, "PhysicalUnitsYDirection": 7}


def _loop(folder: Path, *regions: Dataset, **more: object) -> CineLoop:
    return open_loop(
        jpeg_loop(folder / "a.dcm", moving_square(2, 100, 160), SequenceOfUltrasoundRegions=list(regions), **more)
    )


def test_side_by_side_images_have_a_scale_each_but_none_across(tmp_path: Path) -> None:
    loop = _loop(tmp_path, region(**LEFT), region(**RIGHT, PhysicalDeltaX=0.1, PhysicalDeltaY=0.1))
    assert loop.calibration is None, "one scale for the frame would be wrong in one of them"
    assert [item.kind for item in loop.regions] == ["tissue", "tissue"]
    left, reason = loop.calibration_at([(10, 10), (50, 70)])
    assert left is not None
    assert (left.dx_mm, reason) == (0.5, "from ultrasound region 1 of the file")
    right, _ = loop.calibration_at([(10, 90), (50, 150)])
    assert right is not None
    assert right.dx_mm == 1.0
    across, reason = loop.calibration_at([(10, 10), (10, 150)])
    assert across is None
    assert "one two-dimensional image" in reason


@pytest.mark.parametrize(
    ("form", "kind"), [(M_MODE, "M-mode"), (SPECTRUM, "spectrum"), ({"RegionSpatialFormat": 4}, "waveform")]
)
def test_no_length_across_the_axes_of_a_curve(tmp_path: Path, form: dict[str, object], kind: str) -> None:
    loop = _loop(tmp_path, region(**{**LEFT, "RegionLocationMaxX1": 159}), region(**{**BELOW, **form}))
    assert loop.regions[1].kind == kind
    assert loop.regions[1].calibration is None
    assert loop.tissue_region == (0, 0, 60, 160)
    for points in ([(70, 10), (90, 150)], [(10, 10), (90, 10)]):
        scale, reason = loop.calibration_at(points)
        assert scale is None
        assert kind in reason
    assert loop.calibration_at([(10, 10), (50, 150)])[0] is not None


def test_a_colour_box_in_its_image(tmp_path: Path) -> None:
    inner = {"RegionLocationMinX0": 30, "RegionLocationMaxX1": 60, "RegionLocationMinY0": 20, "RegionLocationMaxY1": 40}
    loop = _loop(tmp_path, region(**LEFT), region(RegionDataType=2, **inner))
    assert loop.regions[1].kind == "colour flow"
    assert loop.tissue_region == (0, 0, 60, 80)
    for points in ([(25, 35), (35, 55)], [(5, 5), (35, 55)]):
        assert loop.calibration_at(points)[0] is not None
    odd = _loop(tmp_path, region(**LEFT), region(RegionDataType=2, PhysicalDeltaX=0.2, **inner))
    assert odd.calibration_at([(25, 35), (35, 55)])[0] is None
    assert odd.calibration_at([(5, 5), (5, 70)])[0] is not None, "only one image holds these"


def test_an_axis_that_runs_backwards_has_the_same_lengths(tmp_path: Path) -> None:
    loop = _loop(tmp_path, region(PhysicalDeltaY=-0.05, PhysicalDeltaX=-0.04))
    assert loop.calibration is not None
    assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == pytest.approx((0.5, 0.4))


def test_regions_of_another_image_size_are_dropped_altogether(tmp_path: Path) -> None:
    loop = _loop(tmp_path, region(), region(**{**RIGHT, "RegionLocationMaxX1": 500}))
    assert (loop.regions, loop.tissue_region, loop.calibration) == ((), None, None)
    assert "outside" in loop.calibration_at([(20, 30)])[1]


def test_a_contradicting_spacing_leaves_no_scale_anywhere(tmp_path: Path) -> None:
    loop = _loop(tmp_path, region(), PixelSpacing=[0.25, 0.25])
    assert loop.tissue_region == (10, 20, 90, 120)
    assert loop.calibration_at([(20, 30), (40, 50)]) == (None, loop.calibration_reason)


@pytest.mark.parametrize(
    ("keyword", "told"), [("ImagerPixelSpacing", "detector"), ("NominalScannedPixelSpacing", "film")]
)
def test_spacings_that_are_not_lengths_in_the_body(tmp_path: Path, keyword: str, told: str) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2), **{keyword: [0.3, 0.3]}))
    assert loop.calibration is None
    assert told in loop.calibration_reason


def test_pixel_spacing_holds_in_the_whole_frame(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(2), PixelSpacing=[0.3, 0.2]))
    scale, reason = loop.calibration_at([(0, 0), (40, 60)])
    assert scale is not None
    assert (scale.dy_mm, scale.dx_mm, "pixel spacing" in reason) == (0.3, 0.2, True)
    assert loop.regions == ()


def test_a_scale_set_by_a_person_goes_before_those_of_the_file(tmp_path: Path) -> None:
    loop = _loop(tmp_path, region())
    loop.calibration = calibration_of_line((20, 30), (20, 80), 100.0, (15, 25, 60, 90))
    scale, _ = loop.calibration_at([(20, 30), (50, 80)])
    assert scale is not None
    assert scale.dx_mm == 2.0
    assert loop.calibration_at([(20, 30), (80, 110)])[0] is None, "it was set for a part of the frame"
