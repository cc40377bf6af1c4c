"""Millimetres only where nothing in the header speaks against them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m2dino.cine.calibration import Calibration
from m2dino.cine.dicom_calibration import dicom_scale
from pydicom.dataset import Dataset

from tests.cine.making import region

H, W = 100, 160


def dicom_calibration(elements: Dataset, height: int, width: int) -> tuple[Calibration | None, str]:
    scale = dicom_scale(elements, height, width)
    return scale.calibration, scale.reason


def _elements(*regions: Dataset, **more: object) -> Dataset:
    data = Dataset()
    if regions:
        data.SequenceOfUltrasoundRegions = list(regions)
    for keyword, value in more.items():
        setattr(data, keyword, value)
    return data


def test_one_sound_region() -> None:
    found, reason = dicom_calibration(_elements(region(PhysicalDeltaY=0.04)), H, W)
    assert found is not None
    assert (found.dy_mm, found.dx_mm) == pytest.approx((0.4, 0.5))
    assert found.region == (10, 20, 90, 120)
    assert found.covers(10, 20)
    assert found.covers(89, 119)
    assert not found.covers(5, 50)
    assert "region 1" in reason


def test_an_edge_written_one_past_the_last_pixel_still_fits() -> None:
    whole = region(RegionLocationMinX0=0, RegionLocationMinY0=0, RegionLocationMaxX1=W, RegionLocationMaxY1=H)
    found, _ = dicom_calibration(_elements(whole), H, W)
    assert found is not None
    assert found.region == (0, 0, H, W)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"RegionLocationMaxX1": W + 1}, "outside the image"),
        ({"RegionLocationMaxY1": H + 50}, "outside the image"),
        ({"RegionLocationMinX0": 130}, "outside the image"),
        ({"PhysicalUnitsXDirection": 4}, "not the centimetre"),
        ({"PhysicalUnitsYDirection": 0}, "not the centimetre"),
        ({"PhysicalDeltaX": 0.0}, "no positive pixel size"),
        ({"PhysicalDeltaX": float("nan")}, "no positive pixel size"),
        ({"PhysicalDeltaX": 50.0}, "no plausible pixel size"),
        ({"RegionSpatialFormat": 2}, "none is a two-dimensional tissue image"),
        ({"RegionDataType": 3}, "none is a two-dimensional tissue image"),
    ],
)
def test_anything_wrong_with_the_region_means_no_millimetres(change: dict[str, float], reason: str) -> None:
    found, why = dicom_calibration(_elements(region(**change)), H, W)
    assert found is None
    assert reason in why


@pytest.mark.parametrize(
    "keyword",
    ["RegionLocationMaxX1", "PhysicalUnitsXDirection", "PhysicalDeltaX", "PhysicalDeltaY", "RegionSpatialFormat"],
)
def test_a_missing_element_means_no_millimetres(keyword: str) -> None:
    item = region()
    delattr(item, keyword)
    assert dicom_calibration(_elements(item), H, W)[0] is None


def test_several_regions_must_agree() -> None:
    colour = region(RegionDataType=2, RegionLocationMinX0=40, RegionLocationMaxX1=90, PhysicalDeltaX=0.0503)
    found, _ = dicom_calibration(_elements(colour, region()), H, W)
    assert found is not None
    assert found.region == (10, 20, 90, 120), "the larger region holds the colour box"
    found, why = dicom_calibration(_elements(region(), region(PhysicalDeltaX=0.052)), H, W)
    assert found is None
    assert "disagree" in why


def test_a_spectrum_beside_the_image_does_no_harm_unless_it_shows_a_resize() -> None:
    spectrum = {"RegionSpatialFormat": 3, "RegionDataType": 3, "PhysicalUnitsXDirection": 4, "PhysicalDeltaY": 0.0}
    found, _ = dicom_calibration(_elements(region(**spectrum), region()), H, W)
    assert found is not None
    assert found.source == "ultrasound region 2"
    found, why = dicom_calibration(_elements(region(**spectrum, RegionLocationMaxY1=400), region()), H, W)
    assert found is None
    assert "outside" in why


def test_pixel_spacing_serves_where_there_are_no_regions() -> None:
    found, reason = dicom_calibration(_elements(PixelSpacing=[0.2, 0.3]), H, W)
    assert found is not None
    assert (found.dy_mm, found.dx_mm, found.region) == (0.2, 0.3, None)
    assert "pixel spacing" in reason


@pytest.mark.parametrize("spacing", [[0, 0], [0.2, -1], [0.2, 500]])
def test_a_spacing_that_cannot_be_is_refused(spacing: list[float]) -> None:
    found, why = dicom_calibration(_elements(PixelSpacing=spacing), H, W)
    assert found is None
    assert "spacing" in why


def test_a_spacing_that_contradicts_the_region_means_no_millimetres() -> None:
    assert dicom_calibration(_elements(region(), PixelSpacing=[0.5, 0.5]), H, W)[0] is not None
    found, why = dicom_calibration(_elements(region(), PixelSpacing=[0.25, 0.25]), H, W)
    assert found is None
    assert "disagree" in why


def test_a_damaged_spacing_takes_the_scale_from_the_regions_but_not_the_regions() -> None:
    curve = region(RegionSpatialFormat=2, RegionLocationMinY0=90, RegionLocationMaxY1=99)
    scale = dicom_scale(_elements(region(), curve, PixelSpacing=0.5), H, W)
    assert (scale.calibration, scale.reason) == (None, "the file's pixel spacing is damaged")
    assert [(one.box, one.kind) for one in scale.regions] == [
        ((10, 20, 90, 120), "tissue"),
        ((90, 20, 100, 120), "M-mode"),
    ]
    assert all((one.calibration, one.reason) == (None, scale.reason) for one in scale.regions)


@pytest.mark.parametrize("spacing", [{}, {"PixelSpacing": 0.5}])
def test_damaged_regions_are_dropped_and_named_whatever_the_spacing(spacing: dict[str, float]) -> None:
    scale = dicom_scale(_elements(region(RegionLocationMaxX1=[119, 120]), **spacing), H, W)
    assert (scale.regions, scale.reason) == ((), "ultrasound region 1 is damaged")
    # A number where the sequence of the regions belongs.
    unread = _elements(**spacing)
    unread.add_new(0x00186011, "US", 2)
    scale = dicom_scale(unread, H, W)
    assert (scale.calibration, scale.regions) == (None, ())
    assert scale.reason == "the file's ultrasound regions are damaged"


def test_a_bad_region_does_not_fall_back_to_the_spacing() -> None:
    assert dicom_calibration(_elements(region(RegionLocationMaxX1=500), PixelSpacing=[0.5, 0.5]), H, W)[0] is None


@given(
    box=st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(40, 120), st.integers(40, 200)),
    deltas=st.tuples(*[st.floats(-1, 20) | st.sampled_from([0.05, float("nan"), float("inf")])] * 2),
    units=st.tuples(*[st.sampled_from([3, 3, 3, 3, 0, 4, 7])] * 2),
)
def test_millimetres_come_only_from_a_region_that_fits(
    box: tuple[int, ...], deltas: tuple[float, float], units: tuple[int, int]
) -> None:
    y0, x0, y1, x1 = box
    item = region(RegionLocationMinY0=y0, RegionLocationMinX0=x0, RegionLocationMaxY1=y1, RegionLocationMaxX1=x1)
    item.PhysicalDeltaY, item.PhysicalDeltaX = deltas
    item.PhysicalUnitsYDirection, item.PhysicalUnitsXDirection = units
    found, reason = dicom_calibration(_elements(item), H, W)
    fits = y0 < y1 <= H and x0 < x1 <= W and units == (3, 3) and all(0 < abs(delta) < 10 for delta in deltas)
    assert reason
    assert (found is not None) == fits
    if found:
        assert (found.dy_mm, found.dx_mm) == pytest.approx((abs(deltas[0]) * 10, abs(deltas[1]) * 10))
