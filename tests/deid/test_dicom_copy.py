"""The de-identified copy of a DICOM loop: nothing of the patient, the same pixels in the regions, the same scale."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import open_loop
from m2dino.deid import DeidOptions, copy_loop, copy_name, copy_suffix, deidentify
from m2dino.deid.masking import TEXT_IN_BOX
from m2dino.errors import FrameDecodeError, UsageError
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
)

from tests.cine.making import (
    dicom_header,
    jpeg_loop,
    lossless_jpeg,
    moving_square,
    region,
    rle_loop,
    save_encapsulated,
    save_native,
    video_dicom,
    video_stream,
)

SECRET = "Zyxwvut"
FRAMES = moving_square(4, 100, 160)
WITH_SECRETS: dict[str, object] = {
    "PatientName": f"{SECRET}^Jane",
    "PatientID": f"{SECRET}-1",
    "PatientBirthDate": "19770707",
    "PatientAge": "047Y",
    "StudyDate": "19770707",
    "ContentTime": "070707.770707",
    "AcquisitionDateTime": "19770707070707",
    "InstitutionName": f"{SECRET} Hospital",
    "ReferringPhysicianName": f"{SECRET}^Doc",
    "StationName": SECRET,
    "DeviceSerialNumber": f"{SECRET}-SN",
    "StudyDescription": f"{SECRET} study",
    "ImageComments": f"seen with {SECRET}",
    "StudyInstanceUID": "1.2.840.777.1",
    "SeriesInstanceUID": "1.2.840.777.2",
    "FrameOfInterestDescription": [f"{SECRET}"],
    "FrameNumbersOfInterest": [1],
    "FrameTime": "40",
}


def _nested() -> Dataset:
    inner = Dataset()
    inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.777.9"
    inner.PatientName = f"{SECRET}^Nested"
    inner.add_new(0x00091001, "LO", SECRET)
    return inner


def _fill(data: FileDataset) -> None:
    data.add_new(0x00091010, "LO", f"{SECRET} private")
    data.add_new(0x60003000, "OW", SECRET.encode() + b"\0")
    data.ReferencedImageSequence = [_nested()]


def _loop(path: Path, **more: object) -> Path:
    jpeg_loop(path, FRAMES, **{**WITH_SECRETS, **more})
    data = dcmread(path)
    _fill(data)
    data.save_as(path)
    return path


def _one(source: Path, target: Path, options: DeidOptions | None = None) -> Path:
    (outcome,) = deidentify(source, target, options)
    assert outcome.error is None
    assert outcome.target is not None
    return outcome.target


def _holds_no_secret(path: Path) -> None:
    raw = path.read_bytes()
    for secret in (SECRET, "19770707", "070707.77", "1.2.840.777", "047Y"):
        assert secret.encode() not in raw
        assert secret.encode("utf-16-le") not in raw


def test_nothing_of_the_patient_is_in_the_copy(tmp_path: Path) -> None:
    copy = _one(_loop(tmp_path / "a.dcm"), tmp_path / "b.dcm")
    _holds_no_secret(copy)
    data = dcmread(copy)
    assert not [element for element in data.iterall() if element.tag.is_private]
    assert data.PatientName == ""
    assert data.PatientIdentityRemoved == "YES"
    assert [code.CodeValue for code in data.DeidentificationMethodCodeSequence] == ["113100"]
    assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
    assert data.SOPClassUID == "1.2.840.10008.5.1.4.1.1.3.1"
    nested = data.ReferencedImageSequence[0]
    assert nested.ReferencedSOPInstanceUID.startswith("2.25.")
    assert nested.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.3.1"


def test_what_is_measured_stays(tmp_path: Path) -> None:
    item = region(RegionLocationMaxX1=150)
    source = _loop(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[item], BurnedInAnnotation="NO")
    before, after = open_loop(source), open_loop(_one(source, tmp_path / "b.dcm"))
    assert (after.calibration, after.frame_time_s, after.shape) == (before.calibration, 0.04, before.shape)
    assert after.identity == before.identity, "pixels free of text are copied as they are"
    assert all(np.array_equal(after[k], before[k]) for k in range(4))


def test_pixels_that_the_file_calls_free_of_text_stay_and_that_is_told(tmp_path: Path) -> None:
    source = _loop(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[region()], BurnedInAnnotation="NO")
    (outcome,) = deidentify(source, tmp_path / "b.dcm")
    assert not outcome.masked
    assert np.array_equal(open_loop(tmp_path / "b.dcm")[2], open_loop(source)[2])
    (told,) = outcome.warnings
    assert "no text is burnt into its pixels, so they were left as they are: look at the copy" in told
    (unasked,) = deidentify(source, tmp_path / "c.dcm", DeidOptions(mask=False))
    assert unasked.warnings == (), "nobody expects black there"
    (boxed,) = deidentify(source, tmp_path / "d.dcm", DeidOptions(box=(10, 20, 50, 60)))
    assert (boxed.masked, boxed.warnings) == (True, (TEXT_IN_BOX,))


@pytest.mark.parametrize("says", ["YES", None])
def test_all_outside_the_regions_is_black_where_text_may_be(tmp_path: Path, says: str | None) -> None:
    item = region(RegionLocationMaxX1=119, RegionLocationMaxY1=89)
    more = {} if says is None else {"BurnedInAnnotation": says}
    source = _loop(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[item], **more)
    (outcome,) = deidentify(source, tmp_path / "b.dcm")
    assert outcome.masked
    assert "text inside them was not looked for: look at the copy" in outcome.warnings[0]
    before, after = open_loop(source), open_loop(tmp_path / "b.dcm")
    assert after.calibration == before.calibration
    by_itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "b.dcm")))
    for k in range(4):
        expected = np.zeros_like(before[k])
        expected[10:90, 20:120] = before[k][10:90, 20:120]
        assert np.array_equal(after[k], expected)
        assert np.array_equal(by_itk[k], expected)
    data = dcmread(tmp_path / "b.dcm")
    # Nobody looked inside the regions, so the copy does not claim to be free of text.
    assert data.get("BurnedInAnnotation") == says
    assert "113101" not in [code.CodeValue for code in data.DeidentificationMethodCodeSequence]
    assert "Pixels outside the part to keep made black" in data.DeidentificationMethod
    _holds_no_secret(tmp_path / "b.dcm")


def _measured(spacing: float) -> Dataset:
    group, measures = Dataset(), Dataset()
    measures.PixelSpacing = [spacing, spacing]
    group.PixelMeasuresSequence = [measures]
    return group


@pytest.mark.parametrize(
    "spacing",
    [
        {"PixelSpacing": 0.5},
        {"PixelSpacing": [0.3, 0.3], "PerFrameFunctionalGroupsSequence": [_measured(0.5) for _ in range(4)]},
        {"PerFrameFunctionalGroupsSequence": [_measured(0.5 + 0.1 * k) for k in range(4)]},
    ],
    ids=["one value", "file and frames", "frames differ"],
)
def test_text_outside_the_regions_goes_whatever_the_pixel_spacing(tmp_path: Path, spacing: dict[str, object]) -> None:
    source = _loop(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[region()], **spacing)
    (outcome,) = deidentify(source, tmp_path / "b.dcm")
    assert outcome.masked
    assert "all outside its ultrasound regions was made black" in outcome.warnings[0]
    before, after = open_loop(source), open_loop(tmp_path / "b.dcm")
    for k in range(4):
        expected = np.zeros_like(before[k])
        expected[10:90, 20:120] = before[k][10:90, 20:120]
        assert np.array_equal(after[k], expected)


def test_a_copy_of_lossless_jpeg_in_ybr_can_be_masked(tmp_path: Path) -> None:
    ybr = [np.asarray(Image.fromarray(frame).convert("YCbCr")) for frame in FRAMES]
    how = {"PhotometricInterpretation": "YBR_FULL", "SequenceOfUltrasoundRegions": [region()]}
    source = save_encapsulated(
        tmp_path / "a.dcm", dicom_header(4, 100, 160, JPEGLosslessSV1, **how), [*map(lossless_jpeg, ybr)]
    )
    (outcome,) = deidentify(source, tmp_path / "b.dcm")
    assert (outcome.error, outcome.masked) == (None, True)
    before, after = open_loop(source), open_loop(tmp_path / "b.dcm")
    assert np.array_equal(after[3][10:90, 20:120], before[3][10:90, 20:120])
    # There and back through 8-bit YCbCr, each time rounded.
    assert np.abs(before[3].astype(int) - FRAMES[3]).max() <= 3
    assert not after[3][:10].any()


def test_an_open_loop_is_copied_and_stays_open_and_masking_can_be_left_out(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()]))
    black = copy_loop(loop, tmp_path / f"{copy_name(loop)}{copy_suffix(loop)}")
    plain = copy_loop(loop, tmp_path / "plain.dcm", DeidOptions(mask=False))
    assert (black.masked, plain.masked) == (True, False)
    assert black.target is not None
    assert not open_loop(black.target)[0][:10].any()
    assert np.array_equal(open_loop(tmp_path / "plain.dcm")[0], loop[0])
    assert "nothing was made black" in plain.warnings[0]
    with pytest.raises(UsageError, match="has to end in"):
        copy_loop(loop, tmp_path / "copy.png")
    with pytest.raises(UsageError, match="not overwritten"):
        copy_loop(loop, loop.path)


def test_a_file_that_names_no_region_is_not_called_clean(tmp_path: Path) -> None:
    (outcome,) = deidentify(_loop(tmp_path / "a.dcm"), tmp_path / "b.dcm")
    assert not outcome.masked
    assert "look at the copy" in outcome.warnings[0]
    assert "BurnedInAnnotation" not in dcmread(tmp_path / "b.dcm")
    (boxed,) = deidentify(tmp_path / "a.dcm", tmp_path / "c.dcm", DeidOptions(box=(10, 20, 50, 60)))
    assert boxed.masked
    assert boxed.warnings == (TEXT_IN_BOX,)
    assert dcmread(tmp_path / "c.dcm").BurnedInAnnotation == "NO", "a person chose what to keep"
    frame = open_loop(tmp_path / "c.dcm")[2]
    assert not frame[:10].any()
    assert not frame[50:].any()
    assert frame[10:50, 20:60].any()
    (outside,) = deidentify(tmp_path / "a.dcm", tmp_path / "d.dcm", DeidOptions(box=(10, 20, 500, 60)))
    assert isinstance(outside.error, UsageError)
    assert not (tmp_path / "d.dcm").exists()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, "RLE"])
def test_every_storage_keeps_its_pixels(tmp_path: Path, syntax: str) -> None:
    if syntax == "RLE":
        path = rle_loop(tmp_path / "a.dcm", FRAMES, **WITH_SECRETS)
    else:
        path = save_native(tmp_path / "a.dcm", dicom_header(4, 100, 160, syntax, **WITH_SECRETS), FRAMES.tobytes())
    copy = open_loop(_one(path, tmp_path / "b.dcm"))
    assert all(np.array_equal(copy[k], FRAMES[k]) for k in range(4))
    assert np.array_equal(dcmread(tmp_path / "b.dcm").pixel_array, FRAMES)
    _holds_no_secret(tmp_path / "b.dcm")


def test_a_video_in_dicom(tmp_path: Path) -> None:
    stream = video_stream(moving_square(6, 96, 128), "mpeg2video", "mpegts")
    path = video_dicom(tmp_path / "a.dcm", stream, "1.2.840.10008.1.2.4.100", 6, **WITH_SECRETS)
    before, after = open_loop(path), open_loop(_one(path, tmp_path / "b.dcm"))
    assert after.identity == before.identity
    boxed = open_loop(_one(path, tmp_path / "c.dcm", DeidOptions(box=(0, 0, 40, 50))))
    assert len(boxed) == 6
    assert np.array_equal(boxed[5][:40, :50], before[5][:40, :50])
    assert not boxed[5][40:].any()


def test_comments_inside_compressed_frames_go(tmp_path: Path) -> None:
    from tests.cine.making import jpeg

    note = SECRET.encode()
    coded = [jpeg(frame) for frame in FRAMES]
    noted = [c[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + c[2:] for c in coded]
    data = dicom_header(4, 100, 160, "1.2.840.10008.1.2.4.50", PhotometricInterpretation="YBR_FULL_422")
    path = save_encapsulated(tmp_path / "a.dcm", data, noted)
    assert SECRET.encode() in path.read_bytes()
    copy = _one(path, tmp_path / "b.dcm")
    _holds_no_secret(copy)
    assert all(np.array_equal(open_loop(copy)[k], open_loop(path)[k]) for k in range(4))


def test_uids_stay_consistent_under_one_salt_and_tell_nothing_under_another(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k in range(2):
        _loop(
            tmp_path / "in" / f"{k}.dcm", SOPInstanceUID=f"1.2.840.777.5.{k}", NumberOfFrames=4, FrameTime=str(40 + k)
        )
    uids = []
    for run, salt in enumerate((b"one", b"one", b"two")):
        copies = [o.target for o in deidentify(tmp_path / "in", tmp_path / f"out{run}", DeidOptions(salt=salt))]
        datasets = [dcmread(copy) for copy in copies if copy]
        assert len({data.StudyInstanceUID for data in datasets}) == 1
        assert len({data.SOPInstanceUID for data in datasets}) == 2
        uids.append({data.SOPInstanceUID for data in datasets})
    assert uids[0] == uids[1]
    assert not uids[0] & uids[2]
    unsalted = [next(iter(deidentify(tmp_path / "in" / "0.dcm", tmp_path / f"{k}.dcm"))) for k in range(2)]
    first, second = (dcmread(one.target).StudyInstanceUID for one in unsalted if one.target)
    assert first != second


def test_what_is_to_be_kept_is_kept_and_named(tmp_path: Path) -> None:
    source = _loop(tmp_path / "a.dcm")
    copy = dcmread(_one(source, tmp_path / "b.dcm", DeidOptions(retain=frozenset({"patient", "device"}))))
    assert copy.PatientAge == "047Y"
    assert copy.DeviceSerialNumber == f"{SECRET}-SN"
    assert copy.PatientID != f"{SECRET}-1"
    assert copy.InstitutionName == "REMOVED"
    assert [code.CodeValue for code in copy.DeidentificationMethodCodeSequence] == ["113100", "113109", "113108"]


def test_nothing_is_overwritten_or_half_written(tmp_path: Path) -> None:
    item = region(RegionLocationMaxX1=150)
    source = _loop(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[item])
    (tmp_path / "b.dcm").write_bytes(b"mine")
    (outcome,) = deidentify(source, tmp_path / "b.dcm")
    assert isinstance(outcome.error, UsageError)
    assert (tmp_path / "b.dcm").read_bytes() == b"mine"
    loop = open_loop(source)
    at = loop._frames[3][0].offset  # type: ignore[attr-defined]
    data = bytearray(source.read_bytes())
    data[at : at + 40] = b"\xaa" * 40
    source.write_bytes(data)
    (outcome,) = deidentify(source, tmp_path / "c.dcm")
    assert isinstance(outcome.error, FrameDecodeError)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.dcm", "b.dcm"]


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "examples_palette.dcm", "US1_J2KI.dcm", "image_dfl.dcm"])
def test_real_files_keep_picture_and_scale(tmp_path: Path, name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} comes with the package pydicom-data, which is not installed")
    before = open_loop(path)
    after = open_loop(_one(Path(path), tmp_path / "b.dcm"))
    assert (after.shape, after.calibration) == (before.shape, before.calibration)
    assert np.array_equal(after[len(after) - 1], before[len(before) - 1])
    original, copy = dcmread(path), dcmread(tmp_path / "b.dcm")
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyInstanceUID", "SOPInstanceUID"):
        value = original.get(keyword)
        assert not value or copy.get(keyword) != value


def test_no_warning_quotes_the_header(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = _loop(tmp_path / "a.dcm", BodyPartExamined=f"{SECRET}/lower case is not allowed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _one(source, tmp_path / "b.dcm")


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / SECRET).mkdir()
    _loop(tmp_path / SECRET / f"{SECRET}.dcm")
    command = [sys.executable, "-m", "m2dino", "deid", str(tmp_path / SECRET), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "look at the copy" in done.stderr) == (0, True)
    (copy,) = (tmp_path / "out").iterdir()
    assert copy.name.startswith("dicom-")
    assert SECRET not in done.stdout + done.stderr
    wrong = subprocess.run([*command[:-2], str(tmp_path / "no"), str(tmp_path / "x.dcm"), "--box", "1,2"],
                           capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
