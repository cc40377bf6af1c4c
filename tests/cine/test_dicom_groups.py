"""Enhanced files: pixel size and time of each frame in the functional groups, and no date that stays behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.cine.dicom_header import read_header
from m2dino.deid.dicom_copy import copy_dicom
from m2dino.deid.options import DeidOptions
from pydicom.dataset import Dataset

from tests.cine.making import jpeg_loop, moving_square, region

COUNT = 5
FRAMES = moving_square(COUNT, 100, 140)
EVEN = [0.0, 0.04, 0.08, 0.12, 0.16]
UNEVEN = [0.0, 0.04, 0.12, 0.16, 0.2]
DAY = "20010203"


def item(**elements: Any) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def measures(*spacing: float) -> list[Dataset]:
    return [item(PixelSpacing=list(spacing))]


def moments(keyword: str, seconds: list[float], zone: str = "", start: float = 59.9) -> list[Dataset]:
    """Return a functional group a frame, with dates that go over a full minute."""
    at = [start + one for one in seconds]
    texts = [f"{DAY}1759{one:09.6f}" if one < 60 else f"{DAY}1800{one - 60:09.6f}" for one in at]
    return [item(FrameContentSequence=[item(**{keyword: text + zone})]) for text in texts]


def opened(folder: Path, each: list[Dataset] | None = None, shared: Dataset | None = None, **more: Any) -> Any:
    if each is not None:
        more["PerFrameFunctionalGroupsSequence"] = each
    if shared is not None:
        more["SharedFunctionalGroupsSequence"] = [shared]
    return open_loop(jpeg_loop(folder / "a.dcm", FRAMES, **more))


@pytest.mark.parametrize("where", ["each", "shared", "each but one from shared"])
def test_the_pixel_size_is_read_where_the_file_has_it(tmp_path: Path, where: str) -> None:
    shared = item(PixelMeasuresSequence=measures(0.2, 0.3))
    each = [item(PixelMeasuresSequence=measures(0.2, 0.3)) for _ in range(COUNT)]
    if where.endswith("from shared"):
        each[2] = item()
    loop = opened(tmp_path, None if where == "shared" else each, None if where == "each" else shared)
    assert loop.calibration is not None
    assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == (0.2, 0.3)
    assert loop.calibration_reason == "from the file's pixel spacing"


@pytest.mark.parametrize(
    ("spacings", "more", "reason"),
    [
        ([(0.2, 0.3)] * 4 + [(0.2, 0.31)], {}, "the frames of the file differ in their pixel spacing"),
        ([(0.2, 0.3)] * 4 + [None], {}, "the frames of the file differ in their pixel spacing or have none"),
        ([(0.2, 0.3)] * 5, {"PixelSpacing": [0.3, 0.2]}, "and that of its frames disagree"),
        ([(0.0, 0.3)] * 5, {}, "not a plausible pixel size"),
        ([(0.2, 0.3)] * 5, {"SequenceOfUltrasoundRegions": [region()]}, "the pixel spacing disagree"),
        ([(0.2, 0.3)] * 4, {}, "gives no pixel size"),
    ],
)
def test_where_frames_differ_or_contradict_there_are_no_millimetres(
    tmp_path: Path, spacings: list[tuple[float, float] | None], more: dict[str, Any], reason: str
) -> None:
    each = [item() if one is None else item(PixelMeasuresSequence=measures(*one)) for one in spacings]
    loop = opened(tmp_path, each, **more)
    assert loop.calibration is None
    assert reason in loop.calibration_reason


@pytest.mark.parametrize(
    ("spacings", "more"),
    [
        ([(0.5, 0.5)] * 4 + [(0.5, 0.6)], {}),
        ([(0.5, 0.5)] * 4 + [None], {}),
        ([(0.5, 0.5)] * 5, {"PixelSpacing": [0.3, 0.2]}),
    ],
)
def test_spacings_that_contradict_leave_the_regions_where_they_are(
    tmp_path: Path, spacings: list[tuple[float, float] | None], more: dict[str, Any]
) -> None:
    each = [item() if one is None else item(PixelMeasuresSequence=measures(*one)) for one in spacings]
    loop = opened(tmp_path, each, SequenceOfUltrasoundRegions=[region()], **more)
    assert loop.calibration is None
    assert loop.tissue_region == (10, 20, 90, 120)
    assert "pixel spacing of" in loop.calibration_reason or "in their pixel spacing" in loop.calibration_reason
    assert loop.calibration_at([(20, 30), (40, 50)]) == (None, loop.calibration_reason)


@pytest.mark.parametrize(
    ("keyword", "source"),
    [
        ("FrameReferenceDateTime", "frame reference time"),
        ("FrameAcquisitionDateTime", "frame acquisition time"),
    ],
)
def test_the_times_of_the_frames_are_read_over_a_full_minute(tmp_path: Path, keyword: str, source: str) -> None:
    even = opened(tmp_path, moments(keyword, EVEN, zone="+0200"))
    assert even.frame_time_s == pytest.approx(0.04)
    assert even.frame_time_source == source
    uneven = opened(tmp_path, moments(keyword, UNEVEN))
    assert uneven.frame_time_s is None
    assert uneven.frame_times_s == pytest.approx(UNEVEN)


def test_a_temporal_position_goes_before_dates_and_a_frame_time_before_both(tmp_path: Path) -> None:
    each = moments("FrameReferenceDateTime", EVEN)
    for k, group in enumerate(each):
        group.TemporalPositionSequence = [item(TemporalPositionTimeOffset=10 + 0.05 * k)]
    loop = opened(tmp_path, each, CineRate=10)
    assert (loop.frame_time_s, loop.frame_time_source) == (pytest.approx(0.05), "temporal position")
    assert opened(tmp_path, each, FrameTime="30").frame_time_source == "frame time"


@pytest.mark.parametrize("seconds", [[0.0, 0.0, 0.04, 0.04, 0.08], [0.0, 0.04, 0.02, 0.08, 0.12]])
def test_planes_that_share_a_time_are_no_series_in_time(tmp_path: Path, seconds: list[float]) -> None:
    each = moments("FrameReferenceDateTime", seconds)
    assert opened(tmp_path, each).frame_time_source is None
    assert opened(tmp_path, each, CineRate=10).frame_time_source == "cine rate"


def test_what_is_no_date_is_no_time(tmp_path: Path) -> None:
    each = moments("FrameReferenceDateTime", EVEN)
    each[3].FrameContentSequence[0].FrameReferenceDateTime = DAY
    assert opened(tmp_path, each).frame_time_source is None


def test_no_date_of_the_groups_stays_in_memory(tmp_path: Path) -> None:
    each = moments("FrameReferenceDateTime", EVEN)
    shared = item(FrameContentSequence=[item(FrameReferenceDateTime=f"{DAY}180000", FrameComments="Doe")])
    loop = opened(tmp_path, each, shared)
    assert DAY in str(read_header(tmp_path / "a.dcm").elements), "the file does hold it"
    assert isinstance(loop.frame_times_s, np.ndarray)
    seen: list[str] = []
    for value in vars(loop).values():
        seen += [str(value), str(getattr(value, "elements", ""))]
    assert not [text for text in seen if DAY in text or "Doe" in text]


@pytest.mark.parametrize("seconds", [EVEN, UNEVEN])
def test_a_de_identified_copy_keeps_the_steps_and_no_date(tmp_path: Path, seconds: list[float]) -> None:
    each = moments("FrameReferenceDateTime", seconds)
    for group in each:
        group.PixelMeasuresSequence = measures(0.2, 0.3)
    loop = opened(tmp_path, each)
    copy_dicom(loop, tmp_path / "copy.dcm", DeidOptions())
    copy = open_loop(tmp_path / "copy.dcm")
    assert copy.frame_times_s == pytest.approx(loop.frame_times_s)
    assert copy.frame_time_source == "frame time vector"
    assert copy.calibration == loop.calibration
    assert DAY.encode() not in (tmp_path / "copy.dcm").read_bytes()
