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
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_color_lut, apply_windowing, pixel_array

from tests.cine.reference import BUNDLED, EXTRA, FOLDER, MADE, TWINS, Row

FOLDER_ROOT = os.environ.get("M2DINO_TEST_LOOPS", "")
IN_PACKAGES = BUNDLED + EXTRA
ALL = IN_PACKAGES + FOLDER + MADE


def _open(row: Row, folder: Path) -> CineLoop:
    if row.make is not None:
        return open_loop(row.make(folder))
    if row in FOLDER:
        if not FOLDER_ROOT:
            pytest.skip("M2DINO_TEST_LOOPS names no folder of more loops")
        return open_loop(Path(FOLDER_ROOT) / row.file, row.frame_axis)
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


def _by_itk(row: Row, loop: CineLoop) -> dict[int, NDArray[np.integer]]:
    """Return the first, the middle and the last frame, (H, W) or (H, W, 3), as SimpleITK reads them."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    source = sorted(map(str, loop.path.glob("*.png"))) if loop.path.is_dir() else str(loop.path)
    frames = sitk.GetArrayFromImage(sitk.ReadImage(source))
    frames = frames if len(frames) == len(loop) else frames[None]
    wanted = {k: frames[k] for k in (0, len(loop) // 2, len(loop) - 1)}
    if row.itk_as:
        return {k: np.asarray(Image.fromarray(v, mode=row.itk_as).convert("RGB")) for k, v in wanted.items()}
    if row.reader != "dicom":
        return wanted
    header = dcmread(loop.path, stop_before_pixels=True, force=True)
    if row.codec != "JPEG Extended" and "WindowWidth" in header and frames.ndim == 3:
        return {k: np.rint(apply_windowing(v, header)).astype(int) for k, v in wanted.items()}
    return {k: v >> 8 if v.dtype == np.uint16 else v for k, v in wanted.items()}


def _in_order(loop: CineLoop) -> dict[int, NDArray[np.integer]]:
    """Return some frames of a video as FFmpeg gives them one after another, without any jump."""
    with av.open(str(loop.path)) as container:
        frames = {
            k: f.to_ndarray(format="rgb24") for k, f in enumerate(container.decode(video=0)) if k in (0, 3, 17, 29)
        }
        return dict(sorted(frames.items(), reverse=True))


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.file)
def test_what_a_file_is(row: Row, tmp_path: Path) -> None:
    loop = _open(row, tmp_path)
    assert loop.shape == (*row.shape, 3)
    assert (loop.reader, loop.codec) == (row.reader, row.codec)
    assert loop.frame_time_s == (None if row.frame_time_ms is None else pytest.approx(row.frame_time_ms / 1000))
    assert loop.frame_time_source == (row.time_source or (None if row.frame_time_ms is None else "frame time"))
    assert (loop.frame_times_s is None) == (loop.frame_time_source is None)
    if row.mm is None:
        assert loop.calibration is None
    else:
        assert loop.calibration is not None
        both = row.mm if isinstance(row.mm, tuple) else (row.mm, row.mm)
        assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == pytest.approx(both, abs=1e-6)
    assert row.reason in loop.calibration_reason
    for (frame, y, x), colour in row.pixels.items():
        assert loop[frame][y, x] == pytest.approx(colour, abs=0 if row.lossless else 2)


@pytest.mark.parametrize(
    "row",
    [row for row in ALL if row.pixels and row.reader == "dicom" and "h264" not in row.codec],
    ids=lambda row: row.file,
)
def test_frames_equal_those_of_pydicom(row: Row, tmp_path: Path) -> None:
    loop = _open(row, tmp_path)
    for index in sorted({0, len(loop) // 2, len(loop) - 1}):
        expected = _by_pydicom(loop, index)
        if expected is None:
            pytest.skip(f"pydicom has no decoder for {row.codec} here; the known pixels are tested above")
        apart = np.abs(loop[index].astype(int) - expected.astype(int)).max()
        assert apart <= (0 if row.lossless else 2)


@pytest.mark.parametrize("row", [row for row in ALL if not row.beyond_itk], ids=lambda row: row.file)
def test_frames_equal_those_of_an_independent_decoder(row: Row, tmp_path: Path) -> None:
    loop = _open(row, tmp_path)
    expected = _in_order(loop) if row.reader == "video" else _by_itk(row, loop)
    for index, frame in expected.items():
        # Volumes of more than 8 bits are compared before they become greys.
        ours = loop._slice(index) if row.reader == "volume" else loop[index]  # type: ignore[attr-defined]
        ours = ours if ours.ndim == frame.ndim else ours[..., 0]
        assert np.abs(ours.astype(int) - frame.astype(int)).max() <= (0 if row.lossless else 2)


def test_the_table_names_every_ultrasound_file_there_is() -> None:
    named = {row.file for row in IN_PACKAGES}
    known = [get_testdata_file(name, download=False) for name in ("examples_palette.dcm", "color3d_jpeg_baseline.dcm")]
    folders = [Path(path).parent for path in known if path] + ([Path(FOLDER_ROOT) / "dicom"] if FOLDER_ROOT else [])
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(found) > 20
    missing = []
    for path in found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                header = dcmread(path, specific_tags=["Modality", "Rows"])
            except InvalidDicomError:
                continue
        listed = path.name in named or f"dicom/{path.name}" in {row.file for row in FOLDER}
        if header.get("Modality") == "US" and "Rows" in header and not listed:
            missing.append(path.name)
    assert not missing


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
