"""The ways in which DICOM files store pixels, each written and read back."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from m2dino.cine import open_loop
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from tests.cine.making import (
    dicom_header,
    jpeg,
    jpeg_loop,
    lossless_jpeg,
    moving_square,
    rle_loop,
    save_encapsulated,
    save_native,
)

GREY = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
DEEP = {**GREY, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}


def _ybr(rgb: np.ndarray) -> np.ndarray:
    """Full-range YCbCr by the formula of the standard, rounded."""
    r, g, b = (rgb[..., k].astype(float) for k in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = [y, -0.168736 * r - 0.331264 * g + 0.5 * b + 128, 0.5 * r - 0.418688 * g - 0.081312 * b + 128]
    return np.clip(np.rint(np.stack(planes, -1)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_colour(tmp_path: Path, syntax: str, planar: int) -> None:
    frames = moving_square(4, 31, 33)
    data = dicom_header(4, 31, 33, syntax, PlanarConfiguration=planar)
    stored = frames.transpose(0, 3, 1, 2) if planar else frames
    loop = open_loop(save_native(tmp_path / "a.dcm", data, stored.tobytes()))
    assert all(np.array_equal(loop[k], frames[k]) for k in (3, 0, 2, 1))


def test_big_endian_words_of_bytes(tmp_path: Path) -> None:
    frames = moving_square(3, 31, 33)  # of odd length, so that frames begin in the middle of a word
    raw = frames.tobytes() + b"\0" * (frames.size % 2)
    swapped = np.frombuffer(raw, "<u2").astype(">u2").tobytes()
    loop = open_loop(save_native(tmp_path / "a.dcm", dicom_header(3, 31, 33, ExplicitVRBigEndian), swapped, "OW"))
    assert all(np.array_equal(loop[k], frames[k]) for k in range(3))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_twelve_bits_without_a_window_keep_their_greys(tmp_path: Path, syntax: str) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(2, 32, 64)
    stored = values.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2")
    loop = open_loop(save_native(tmp_path / "a.dcm", dicom_header(2, 32, 64, syntax, **DEEP), stored.tobytes(), "OW"))
    expected = np.rint(values / 4095 * 255).astype(np.uint8)
    assert all(np.array_equal(loop[k][..., c], expected[k]) for k in range(2) for c in range(3))


def test_ten_bits_in_sixteen_are_not_shown_black_and_every_frame_by_one_rule(tmp_path: Path) -> None:
    values = np.full((5, 32, 64), 200, np.uint16)
    values[0, :, :10], values[4, :, :10] = 0, 1000
    header = dicom_header(5, 32, 64, **{**GREY, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15})
    path = save_native(tmp_path / "a.dcm", header, values.tobytes(), "OW")
    forwards, backwards = open_loop(path), open_loop(path)
    assert [int(forwards[k][0, 30, 0]) for k in range(5)] == [51] * 5
    assert all(np.array_equal(forwards[k], backwards[k]) for k in (4, 2, 0))
    assert (int(forwards[0][0, 0, 0]), int(forwards[4][0, 0, 0])) == (0, 255)


def test_window_signs_and_overlays(tmp_path: Path) -> None:
    values = np.array([[-600, -101, 0, 99, 700]], np.int16)
    window = {"WindowCenter": 0.0, "WindowWidth": 201.0, "RescaleSlope": 1, "RescaleIntercept": 0}
    header = dicom_header(1, 1, 5, **DEEP, PixelRepresentation=1, **window)
    stored = (values.astype(np.uint16) & 0x0FFF) | 0xA000  # an overlay in the unused bits
    loop = open_loop(save_native(tmp_path / "a.dcm", header, stored.tobytes(), "OW"))
    assert loop[0][0, :, 0].tolist() == [0, 0, 128, 254, 255]


def test_monochrome1_is_shown_inverted(tmp_path: Path) -> None:
    values = np.array([[[0, 10, 255]]], np.uint8)
    header = dicom_header(1, 1, 3, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME1")
    assert open_loop(save_native(tmp_path / "a.dcm", header, values.tobytes()))[0][0, :, 1].tolist() == [255, 245, 0]


def test_rle_loops_of_colour_and_ybr_and_deep_grey(tmp_path: Path) -> None:
    frames = moving_square(6)
    colour = open_loop(rle_loop(tmp_path / "rgb.dcm", frames))
    assert all(np.array_equal(colour[k], frames[k]) for k in (5, 0, 3))
    ybr = open_loop(rle_loop(tmp_path / "ybr.dcm", _ybr(frames), PhotometricInterpretation="YBR_FULL"))
    assert max(np.abs(ybr[k].astype(int) - frames[k]).max() for k in range(6)) <= 2
    deep = (frames[..., 0].astype(np.uint16) * 16) | 15
    grey = open_loop(rle_loop(tmp_path / "grey.dcm", deep, **DEEP))
    assert np.array_equal(grey[4][..., 0], np.rint(deep[4] / 4095 * 255))


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEGLSLossless, lambda frame: imagecodecs.jpegls_encode(frame)),
        (JPEG2000Lossless, lambda frame: imagecodecs.jpeg2k_encode(frame, level=0, reversible=True, codecformat="j2k")),
        (JPEGLosslessSV1, lambda frame: imagecodecs.jpeg8_encode(frame, lossless=True)),
        (HTJ2KLossless, lambda frame: imagecodecs.htj2k_encode(frame, reversible=True)),
    ],
    ids=["JPEG-LS", "JPEG 2000", "JPEG Lossless", "HTJ2K"],
)
def test_lossless_codecs_in_colour(tmp_path: Path, syntax: str, encode: object) -> None:
    frames = moving_square(3)
    data = dicom_header(3, 48, 64, syntax)
    loop = open_loop(save_encapsulated(tmp_path / "a.dcm", data, [encode(f) for f in frames]))  # type: ignore[operator]
    assert all(np.array_equal(loop[k], frames[k]) for k in range(3))


JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
ADOBE_RGB, ADOBE_YCC = (b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform]) for transform in (0, 1))


@pytest.mark.parametrize(("syntax", "predictor"), [(JPEGLossless, 4), (JPEGLosslessSV1, 1)])
@pytest.mark.parametrize(
    ("stored", "photometric", "marker", "ids"),
    [
        ("YBR", "YBR_FULL", b"", b"\1\2\3"),
        ("YBR", "YBR_FULL", JFIF, b"\1\2\3"),
        ("YBR", "YBR_FULL", b"", b"RGB"),
        ("YBR", "YBR_FULL", ADOBE_YCC, b"\1\2\3"),
        ("YBR", "RGB", ADOBE_YCC, b"\1\2\3"),
        ("RGB", "RGB", b"", b"\1\2\3"),
        ("RGB", "RGB", JFIF, b"\1\2\3"),
        ("RGB", "YBR_FULL", ADOBE_RGB, b"RGB"),
    ],
    ids=["YBR", "YBR JFIF", "YBR ids RGB", "YBR Adobe", "YBR Adobe, header RGB", "RGB", "RGB JFIF", "RGB Adobe"],
)
def test_the_colour_of_lossless_jpeg_is_the_headers_unless_an_adobe_marker_tells_it(
    tmp_path: Path, syntax: str, predictor: int, stored: str, photometric: str, marker: bytes, ids: bytes
) -> None:
    frames = moving_square(3)
    samples = _ybr(frames) if stored == "YBR" else frames
    data = dicom_header(3, 48, 64, syntax, PhotometricInterpretation=photometric)
    coded = [lossless_jpeg(one, marker, ids, predictor=predictor) for one in samples]
    loop = open_loop(save_encapsulated(tmp_path / "a.dcm", data, coded))
    assert max(np.abs(loop[k].astype(int) - frames[k]).max() for k in range(3)) <= (2 if stored == "YBR" else 0)


def test_lossless_jpeg_of_deep_colour_and_of_grey(tmp_path: Path) -> None:
    frames = moving_square(2)
    deep = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    data = dicom_header(2, 48, 64, JPEGLosslessSV1, PhotometricInterpretation="YBR_FULL", **deep)
    coded = [lossless_jpeg(one.astype(np.uint16) << 4, bitspersample=12) for one in _ybr(frames)]
    loop = open_loop(save_encapsulated(tmp_path / "colour.dcm", data, coded))
    assert max(np.abs(loop[k].astype(int) - frames[k]).max() for k in range(2)) <= 2
    greys = np.ascontiguousarray(frames[..., 0])
    coded = [imagecodecs.jpeg8_encode(one, lossless=True) for one in greys]
    grey = open_loop(save_encapsulated(tmp_path / "grey.dcm", dicom_header(2, 48, 64, JPEGLosslessSV1, **GREY), coded))
    assert all(np.array_equal(grey[k][..., c], greys[k]) for k in range(2) for c in range(3))


@pytest.mark.parametrize("how", [{"has_bot": True}, {"has_bot": False}, {"extended": True}])
@pytest.mark.parametrize("fragments", [1, 3])
def test_frames_are_found_whatever_the_offset_tables(tmp_path: Path, how: dict[str, bool], fragments: int) -> None:
    if fragments > 1 and not how.get("extended"):
        how = {**how, "fragments_per_frame": fragments}
    frames = moving_square(7)
    coded = [jpeg(frame) for frame in frames]
    data = dicom_header(7, 48, 64, "1.2.840.10008.1.2.4.50", PhotometricInterpretation="YBR_FULL_422")
    path = save_encapsulated(tmp_path / "a.dcm", data, coded, **how)
    plain = open_loop(jpeg_loop(tmp_path / "b.dcm", frames))
    loop = open_loop(path)
    assert len(loop) == 7
    assert all(np.array_equal(loop[k], plain[k]) for k in (6, 0, 3))
    assert np.abs(loop[6].astype(int) - imagecodecs.jpeg8_decode(coded[6])).max() == 0


def test_a_wrong_offset_table_does_not_mix_frames_up(tmp_path: Path) -> None:
    frames = moving_square(5)
    path = jpeg_loop(tmp_path / "a.dcm", frames)
    good = [np.array(frame) for frame in open_loop(path)]
    data = bytearray(path.read_bytes())
    table = data.index(b"\xfe\xff\x00\xe0\x14\x00\x00\x00") + 8
    data[table : table + 20] = bytes(range(20))
    path.write_bytes(data)
    assert all(np.array_equal(frame, wanted) for frame, wanted in zip(open_loop(path), good, strict=True))
