"""A name planted in every element that can hold words, at every depth, is nowhere in the bytes of the copy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from m2dino.cine import open_loop
from m2dino.deid import DeidOptions, deidentify
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.cine.making import dicom_header, jpeg_loop, moving_square, region, save_native, video_dicom, video_stream

NAME = "Zyxwvut^Jane"
# What to plant, by value representation; codes in lower case, for a proper code string may say anything.
MARKS: dict[str, object] = {
    **dict.fromkeys(("PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE"), NAME),
    "CS": "Zyxwvut Jane",
    "UR": "http://zyxwvut.example/Jane",
    "DA": "19770707",
    "DT": "19770707070707.770707",
    "TM": "070707.770707",
    "AS": "077Y",
    "UI": "1.2.840.10008.777.Zyxwvut",
    **dict.fromkeys(("OB", "UN", "OW"), NAME.encode()),
}
FOUND = (b"yxwvu", b"YXWVU", b"Jane", b"19770707", b"070707.77", b"077Y")
# They say what the pixels are, or where elements begin; a file in which they are nonsense is not read at all.
STRUCTURE = {
    "SpecificCharacterSet",
    "PhotometricInterpretation",
    "PixelData",
    "VOILUTFunction",
    "SOPClassUID",
    "NumberOfFrames",
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    "LUTData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
}


def _markable() -> Iterator[tuple[int, str]]:
    from pydicom._dicom_dict import DicomDictionary

    for tag in sorted(DicomDictionary):
        vr = dictionary_VR(tag).split(" or ")[-1]
        group = tag >> 16
        if vr in MARKS and group not in (0x0000, 0x0002, 0xFFFE) and keyword_for_tag(tag) not in STRUCTURE:
            yield tag, vr


MARKABLE = list(_markable())


def _plant(data: Dataset, elements: list[tuple[int, str]]) -> None:
    for tag, vr in elements:
        many = dictionary_VM(tag) not in ("1", "0") and vr not in ("OB", "OW", "UN", "UI")
        data.add_new(tag, vr, [MARKS[vr], MARKS[vr]] if many else MARKS[vr])
    data.add_new(0x00110010, "LO", NAME)
    data.add_new(0x00111001, "UN", NAME.encode())
    data.add_new(0x50003000, "OW", NAME.encode())
    data.add_new(0x60000022, "LO", NAME)


def _copy_holds_nothing(source: Path, target: Path, options: DeidOptions | None = None) -> None:
    raw = source.read_bytes()
    assert any(mark in raw for mark in FOUND)
    (outcome,) = deidentify(source, target, options)
    assert outcome.error is None
    copied = target.read_bytes()
    for mark in FOUND:
        assert mark not in copied
        assert mark.decode().encode("utf-16-le") not in copied


def _save(path: Path, data: Dataset, syntax: str) -> Path:
    frames = moving_square(2)
    header = dicom_header(2, 48, 64, syntax)
    header.update(data)
    header.Modality = "US"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return save_native(path, header, frames.tobytes())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_every_element_of_the_dictionary_at_every_depth(tmp_path: Path, depth: int, syntax: str) -> None:
    data = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _plant(data, MARKABLE)
    # Sequences that the profile keeps, and looks into.
    for keyword in ("ReferencedImageSequence", "ViewCodeSequence", "SharedFunctionalGroupsSequence")[:depth]:
        outer = Dataset()
        setattr(outer, keyword, Sequence([data]))
        data = outer
    path = _save(tmp_path / "a.dcm", data, syntax)
    _copy_holds_nothing(path, tmp_path / "b.dcm")
    assert len(open_loop(tmp_path / "b.dcm")) == 2


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(MARKABLE), min_size=1, max_size=30, unique=True), nesting=st.data())
def test_some_elements_anywhere(tmp_path: Path, chosen: list[tuple[int, str]], nesting: st.DataObject) -> None:
    sequences = [tag for tag in _SEQUENCES if nesting.draw(st.booleans())]
    data = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _plant(data, chosen)
    for tag in sequences:
        outer = Dataset()
        outer.add_new(tag, "SQ", Sequence([data, Dataset()]))
        data = outer
    path = _save(tmp_path / "a.dcm", data, ExplicitVRLittleEndian)
    (tmp_path / "b.dcm").unlink(missing_ok=True)
    _copy_holds_nothing(path, tmp_path / "b.dcm")


_SEQUENCES = [0x00081140, 0x00540220, 0x00540222, 0x00082218, 0x52009229, 0x00089124, 0x00089215]


def test_names_in_codes_go_and_public_codes_stay(tmp_path: Path) -> None:
    public, private = Dataset(), Dataset()
    public.CodeValue, public.CodingSchemeDesignator, public.CodeMeaning = "399214001", "SCT", f"apical, {NAME}"
    private.CodeValue, private.CodingSchemeDesignator, private.CodeMeaning = NAME, "99GE", NAME
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(2), ViewCodeSequence=[public, private])
    _copy_holds_nothing(path, tmp_path / "b.dcm")
    kept, _ = dcmread(tmp_path / "b.dcm").ViewCodeSequence
    assert (kept.CodeValue, kept.CodingSchemeDesignator) == ("399214001", "SCT")


def test_what_the_loop_needs_stays_where_everything_else_is_planted(tmp_path: Path) -> None:
    item = region(RegionLocationMaxX1=60, RegionLocationMaxY1=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = Dataset()
        _plant(data, MARKABLE)
        data.SequenceOfUltrasoundRegions, data.FrameTime, data.HeartRate = [item], "40", "61"
        path = _save(tmp_path / "a.dcm", data, ExplicitVRLittleEndian)
    _copy_holds_nothing(path, tmp_path / "b.dcm")
    before, after = open_loop(path), open_loop(tmp_path / "b.dcm")
    assert before.calibration is not None
    assert (after.calibration, after.frame_time_s) == (before.calibration, 0.04)
    assert dcmread(tmp_path / "b.dcm").HeartRate == 61


def test_preamble_file_meta_and_what_follows_the_pixels(tmp_path: Path) -> None:
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(2))
    data = dcmread(path)
    data.preamble = NAME.encode().ljust(128, b"\0")
    data.file_meta.PrivateInformationCreatorUID, data.file_meta.PrivateInformation = "1.2.3", NAME.encode()
    data.file_meta.SourceApplicationEntityTitle = "Zyxwvut"
    data.add_new(0xFFFCFFFC, "OB", NAME.encode())
    data.save_as(path, enforce_file_format=True)
    _copy_holds_nothing(path, tmp_path / "b.dcm")


@pytest.mark.parametrize("container", ["mp4", "mpegts"])
def test_tags_of_a_video_inside_dicom(tmp_path: Path, container: str) -> None:
    tags = {"title": NAME, "service_name": NAME}
    stream = video_stream(moving_square(12, 96, 128), "mpeg2video", container, tags=tags)
    path = video_dicom(tmp_path / "a.dcm", stream, "1.2.840.10008.1.2.4.100", 12)
    _copy_holds_nothing(path, tmp_path / "b.dcm")
    before, after = open_loop(path), open_loop(tmp_path / "b.dcm")
    assert after.identity == before.identity
    assert all((after[k] == before[k]).all() for k in range(12))


def test_what_hangs_on_a_jpeg_frame(tmp_path: Path) -> None:
    from tests.cine.making import jpeg, save_encapsulated

    coded = jpeg(moving_square(1)[0])
    length = int.from_bytes(coded[4:6], "big")
    # A small picture inside the JFIF header, and text behind the end.
    thumbnail = (NAME * 4).encode()
    head = coded[4:6] and (length + len(thumbnail)).to_bytes(2, "big") + coded[6:18] + b"\x10\x01" + thumbnail
    noted = coded[:4] + head + coded[4 + length :] + NAME.encode()
    data = dicom_header(1, 48, 64, "1.2.840.10008.1.2.4.50", PhotometricInterpretation="YBR_FULL_422")
    path = save_encapsulated(tmp_path / "a.dcm", data, [noted])
    _copy_holds_nothing(path, tmp_path / "b.dcm")
    assert (open_loop(tmp_path / "b.dcm")[0] == open_loop(path)[0]).all()


def test_a_copy_named_after_the_patient_is_warned_of(tmp_path: Path) -> None:
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(2))
    for name, told in (("doe_jane.dcm", True), ("id-4711-xyz.dcm", True), ("copy.dcm", False)):
        (outcome,) = deidentify(path, tmp_path / name)
        assert any("give it another" in warning for warning in outcome.warnings) == told
        assert not any("jane" in warning.casefold() for warning in outcome.warnings)
