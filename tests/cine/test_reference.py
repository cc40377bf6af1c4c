"""Real files read right, measured against what is known of them and against pydicom's own decoders."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import CineLoop, open_loop
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, pixel_array

from tests.cine.reference import BUNDLED, EXTRA, FOLDER, TWINS, Row


def _open(row: Row) -> CineLoop:
    path = get_testdata_file(row.file, download=False)
    if path is None:
        pytest.skip(f"{row.file} comes with the package pydicom-data, which is not installed")
    return open_loop(path)


def _by_pydicom(loop: CineLoop, index: int) -> NDArray[np.integer] | None:
    """Return a frame as pydicom decodes it, or None where it has no decoder for the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = dcmread(loop.path, force=True)
        try:
            frame = pixel_array(data, index=index)
        except (RuntimeError, AttributeError):
            return None
        if data.PhotometricInterpretation == "PALETTE COLOR":
            frame = apply_color_lut(frame, data)
    if frame.ndim == 2:
        return frame[..., None]
    return frame >> 8 if frame.max() > 255 else frame


@pytest.mark.parametrize("row", BUNDLED + EXTRA, ids=lambda row: row.file)
def test_real_dicom_file(row: Row) -> None:
    loop = _open(row)
    assert loop.shape == (*row.shape, 3)
    assert (loop.reader, loop.codec) == ("dicom", row.codec)
    assert loop.frame_time_s == (None if row.frame_time_ms is None else pytest.approx(row.frame_time_ms / 1000))
    assert (loop.frame_time_source is None) == (row.frame_time_ms is None)
    if row.mm is None:
        assert loop.calibration is None
    else:
        assert loop.calibration is not None
        assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == pytest.approx((row.mm, row.mm), abs=1e-6)
    assert row.reason in loop.calibration_reason
    for (frame, y, x), colour in row.pixels.items():
        assert loop[frame][y, x] == pytest.approx(colour, abs=0 if row.lossless else 2)


@pytest.mark.parametrize("row", [row for row in BUNDLED + EXTRA if row.pixels], ids=lambda row: row.file)
def test_frames_equal_those_of_pydicom(row: Row) -> None:
    loop = _open(row)
    for index in sorted({0, len(loop) // 2, len(loop) - 1}):
        expected = _by_pydicom(loop, index)
        if expected is None:
            pytest.skip(f"pydicom has no decoder for {row.codec} here; the known pixels are tested above")
        apart = np.abs(loop[index].astype(int) - expected.astype(int)).max()
        assert apart <= (0 if row.lossless else 2)


@pytest.mark.parametrize("row", [row for row in BUNDLED + EXTRA if not row.beyond_itk], ids=lambda row: row.file)
def test_frames_equal_those_of_an_independent_decoder(row: Row) -> None:
    loop = _open(row)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    frames = sitk.GetArrayFromImage(sitk.ReadImage(str(loop.path)))
    for index in sorted({0, len(loop) // 2, len(loop) - 1}):
        expected = frames[index] >> 8 if frames.dtype == np.uint16 else frames[index]
        ours = loop[index] if expected.ndim == 3 else loop[index][..., 0]
        apart = np.abs(ours.astype(int) - expected.astype(int)).max()
        assert apart <= (0 if row.lossless else 2)


@pytest.mark.parametrize(("plain", "twin"), [(plain, twin) for plain, twins in TWINS for twin in twins])
def test_every_lossless_coding_shows_the_same_picture(plain: str, twin: str) -> None:
    pictures = [open_loop(get_testdata_file(name, download=False))[0] for name in (plain, twin)]
    assert np.array_equal(*pictures)
    assert len(np.unique(pictures[0])) > 50


def test_a_header_that_lies_about_colour_is_not_believed(tmp_path: Path) -> None:
    source = get_testdata_file("examples_ybr_color.dcm", download=False)
    data = dcmread(source)
    data.PhotometricInterpretation = "RGB"
    data.save_as(tmp_path / "lies.dcm")
    assert np.array_equal(open_loop(tmp_path / "lies.dcm")[4], open_loop(source)[4])


FOLDER_ROOT = os.environ.get("M2DINO_TEST_LOOPS")


@pytest.mark.skipif(not FOLDER_ROOT, reason="M2DINO_TEST_LOOPS names no folder of more loops")
@pytest.mark.parametrize(("name", "shape", "mm"), FOLDER, ids=[name for name, _, _ in FOLDER])
def test_loops_of_a_folder_named_by_the_environment(
    name: str, shape: tuple[int, int | None, int | None], mm: float | None
) -> None:
    path = Path(FOLDER_ROOT or "") / name
    if not path.exists():
        pytest.skip(f"{name} is not in the folder")
    loop = open_loop(path, frame_axis="z")
    assert all(wanted in (None, found) for wanted, found in zip(shape, loop.shape[:3], strict=True))
    assert (loop.calibration.dy_mm if loop.calibration else None) == (
        None if mm is None else pytest.approx(mm, rel=1e-5)
    )
    if loop.reader == "video":
        with av.open(str(path)) as container:
            decoded = [f.to_ndarray(format="rgb24") for k, f in enumerate(container.decode(video=0)) if k < 30]
        assert all(np.array_equal(loop[k], decoded[k]) for k in (29, 3, 17, 0, 18))
    else:
        assert loop[len(loop) - 1].std() > 0.1
