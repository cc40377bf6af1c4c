"""Volumes whose slices are frames: which axis, which greys, which millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import open_loop, open_loops
from m2dino.errors import AmbiguousLoopError, FrameDecodeError, LoopError, UnsupportedLoopError, UsageError

from tests.cine.making import moving_square

FRAMES = moving_square(9, 40, 50)
GREY = FRAMES[..., 0]


def _save(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (0.2, 0.3, 1.0), packed: bool = False) -> Path:
    image = sitk.GetImageFromArray(values, isVector=values.ndim == 4 and values.shape[-1] == 3)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path), packed)
    return path


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_slices_of_the_chosen_axis_are_frames(tmp_path: Path, name: str, packed: bool) -> None:
    path = _save(tmp_path / name, GREY, packed=packed)
    loop = open_loop(path, frame_axis="z")
    assert loop.shape == (9, 40, 50, 3)
    assert loop.reader == "volume"
    assert all(np.array_equal(loop[k], np.repeat(GREY[k][..., None], 3, axis=2)) for k in (8, 0, 3))
    assert loop.calibration is not None
    assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == pytest.approx((0.3, 0.2))
    along_x = open_loop(path, frame_axis="x")
    assert along_x.shape == (50, 9, 40, 3)
    assert np.array_equal(along_x[7][..., 0], GREY[:, :, 7])
    loop.close()
    assert np.array_equal(loop[5][..., 1], GREY[5])


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "a.nii.gz"])
def test_an_axis_that_the_file_does_not_name_is_asked_for(tmp_path: Path, name: str) -> None:
    path = _save(tmp_path / name, GREY)
    with pytest.raises(AmbiguousLoopError, match="z gives 9 frames of 50 × 40") as caught:
        open_loop(path)
    assert caught.value.choices == {"z": (9, 40, 50), "y": (40, 9, 50), "x": (50, 9, 40)}
    with pytest.raises(UsageError, match="no axis t"):
        open_loop(path, frame_axis="t")
    assert len(open_loops(tmp_path, frame_axis="z")[0]) == 9


def test_nifti_with_a_time_axis(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(GREY[:, None], isVector=False)
    image.SetSpacing((0.2, 0.3, 1.0, 0.04))
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    loop = open_loop(tmp_path / "a.nii")
    assert loop.shape == (9, 40, 50, 3)
    assert np.array_equal(loop[4][..., 0], GREY[4])
    assert (loop.frame_time_s, loop.frame_time_source) == (pytest.approx(0.04), "time axis")
    assert loop.calibration is not None
    assert loop.calibration.dx_mm == pytest.approx(0.2)


def test_nifti_without_a_unit_has_no_millimetres(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", GREY)
    data = bytearray(path.read_bytes())
    data[123] = 0
    path.write_bytes(data)
    loop = open_loop(path, frame_axis="z")
    assert loop.calibration is None
    assert "unit" in loop.calibration_reason


def test_nifti_with_the_spacing_of_programs_that_know_none_has_no_millimetres(tmp_path: Path) -> None:
    loop = open_loop(_save(tmp_path / "a.nii", GREY, (1.0, 1.0, 1.0)), frame_axis="z")
    assert loop.calibration is None
    assert "spacing is 1, which programs write that know none" in loop.calibration_reason
    thick = open_loop(_save(tmp_path / "b.nii", GREY, (1.0, 1.0, 5.0)), frame_axis="z")
    assert thick.calibration is not None, "whoever tells how far the slices lie apart knows the pixels too"
    image = sitk.GetImageFromArray(GREY[:, None], isVector=False)
    for name, step in (("c.nii", 1.0), ("d.nii", 0.04)):
        image.SetSpacing((1.0, 1.0, 1.0, step))
        sitk.WriteImage(image, str(tmp_path / name))
    untimed, timed = open_loop(tmp_path / "c.nii"), open_loop(tmp_path / "d.nii")
    assert (len(untimed), untimed.calibration, untimed.frame_time_s) == (9, None, None)
    assert (timed.calibration, timed.frame_time_s) == (None, pytest.approx(0.04))
    image.SetSpacing((0.2, 0.3, 1.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / "e.nii"))
    assert open_loop(tmp_path / "e.nii").frame_time_s == 1.0


def _mhd(folder: Path, more: str) -> Path:
    (folder / "a.raw").write_bytes(GREY.tobytes())
    text = f"ObjectType = Image\nNDims = 3\nDimSize = 50 40 9\nElementType = MET_UCHAR\n{more}ElementDataFile = a.raw\n"
    (folder / "a.mhd").write_text(text)
    return folder / "a.mhd"


def test_a_tracked_sequence_names_its_frames_and_times(tmp_path: Path) -> None:
    times = [5.0, 5.1, 5.2, 5.9, 6.0, 6.1, 6.2, 6.3, 6.4]
    stamps = "".join(f"Seq_Frame{k:04d}_Timestamp = {time}\n" for k, time in enumerate(times))
    loop = open_loop(_mhd(tmp_path, f"Kinds = domain domain list\n{stamps}"))
    assert len(loop) == 9
    assert loop.frame_time_s is None
    assert loop.frame_times_s == pytest.approx(np.subtract(times, 5.0))
    assert loop.calibration is None, "a spacing of 1 is the default of programs that know none"


def test_nrrd_kinds_and_units(tmp_path: Path) -> None:
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 3\nsizes: 50 40 9\nencoding: raw\nkinds: domain domain time\n"
        'spacings: 0.02 0.03 40\nunits: "cm" "cm" "ms"\n\n'
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + GREY.tobytes())
    loop = open_loop(tmp_path / "a.nrrd")
    assert np.array_equal(loop[6][..., 2], GREY[6])
    assert loop.frame_time_s == pytest.approx(0.04)
    assert loop.calibration is not None
    assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == pytest.approx((0.3, 0.2))
    (tmp_path / "b.nrrd").write_bytes(header.replace('"cm" "cm"', '"" ""').encode() + GREY.tobytes())
    unitless = open_loop(tmp_path / "b.nrrd")
    assert unitless.calibration is None
    assert "unit" in unitless.calibration_reason


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_colour_volumes(tmp_path: Path, name: str) -> None:
    loop = open_loop(_save(tmp_path / name, FRAMES), frame_axis="z")
    assert all(np.array_equal(loop[k], FRAMES[k]) for k in (8, 0, 3))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (GREY.astype(np.int16), GREY),
        (GREY.astype(np.float32) / 255, GREY),
        ((GREY.astype(np.uint16) * 257), GREY),
        (np.where(GREY == 255, np.nan, GREY).astype(np.float32), np.where(GREY == 255, 0, GREY)),
    ],
    ids=["int16", "float 0 to 1", "uint16", "with NaN"],
)
def test_values_of_other_kinds_keep_their_greys(tmp_path: Path, values: np.ndarray, shown: np.ndarray) -> None:
    loop = open_loop(_save(tmp_path / "a.mha", values), frame_axis="z")
    assert np.abs(loop[3][..., 0].astype(int) - shown[3]).max() <= 1


def test_a_single_plane_is_one_frame(tmp_path: Path) -> None:
    assert open_loop(_save(tmp_path / "a.mha", GREY[0], (0.2, 0.3))).shape == (1, 40, 50, 3)
    assert open_loop(_save(tmp_path / "b.nrrd", GREY[:1])).shape == (1, 40, 50, 3)


def test_a_volume_over_time_is_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((5, 6, 40, 50), np.uint8), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    with pytest.raises(UnsupportedLoopError, match="one plane over time"):
        open_loop(tmp_path / "a.nii")


def test_pixels_elsewhere_missing_or_too_few(tmp_path: Path) -> None:
    path = _mhd(tmp_path, "")
    text = path.read_text()
    path.write_text(text.replace("= a.raw", "= ../a.raw"))
    with pytest.raises(UnsupportedLoopError, match="another folder"):
        open_loop(path, frame_axis="z")
    path.write_text(text.replace("= a.raw", "= b.raw"))
    with pytest.raises(UnsupportedLoopError, match=r"b\.raw"):
        open_loop(path, frame_axis="z")
    path.write_text(text.replace("50 40 9", "50 40 900000"))
    with pytest.raises(LoopError, match="claims"):
        open_loop(path, frame_axis="z")


def test_a_volume_that_changes_meanwhile_gives_no_other_pixels(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.mha", GREY)
    loop = open_loop(path, frame_axis="z")
    assert loop[0].any()
    _save(path, GREY[::-1].repeat(2, axis=1))
    with pytest.raises(FrameDecodeError):
        loop[5]


def test_identity_is_that_of_the_pixels(tmp_path: Path) -> None:
    one = open_loop(_save(tmp_path / "a.mha", GREY), frame_axis="z").identity
    assert open_loop(_save(tmp_path / "b.mha", GREY, (1.0, 2.0, 3.0)), frame_axis="z").identity == one
    assert open_loop(_save(tmp_path / "c.mha", np.roll(GREY, 1, 2)), frame_axis="z").identity != one
