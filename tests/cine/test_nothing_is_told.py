"""Names planted in a file's header come out nowhere: not in rows, messages, logs or warnings, sound or damaged."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import open_loop
from m2dino.errors import M2DinoError
from PIL import Image, PngImagePlugin
from pydicom import Dataset, dcmread

from tests.cine.making import dicom_header, jpeg_loop, moving_square, region, save_native, video, video_stream

NAME = "Zyxwvut^Jane"
SHOWN = ("yxwvu", "YXWVU", "19770707", "ID-777")
FRAMES = moving_square(3)


def _marked(path: Path) -> Path:
    """Write a loop whose every element that could be shown holds a name, a number or a date."""
    item = region(RegionLocationMaxX1=60, RegionLocationMaxY1=40)
    nested = Dataset()
    nested.PatientName, nested.CodeMeaning = NAME, NAME
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jpeg_loop(
            path,
            FRAMES,
            PatientName=NAME,
            PatientID="ID-777",
            PatientBirthDate="19770707",
            StudyDescription=NAME,
            ImageComments=NAME,
            BodyPartExamined=NAME,
            ViewCodeSequence=[nested],
            SequenceOfUltrasoundRegions=[item],
            FrameNumbersOfInterest=[1, 2],
            FrameOfInterestType=[NAME, "ED"],
            FrameOfInterestDescription=[NAME, NAME],
            WindowCenterWidthExplanation=NAME,
            VOILUTFunction="Zyxwvut",
            FrameTime="40",
        )
    return path


def _nothing_told(text: str, path: Path) -> None:
    for word in SHOWN:
        assert word not in text.replace(str(path), "")


def test_rows_and_messages_of_the_command(tmp_path: Path) -> None:
    sound = _marked(tmp_path / "a.dcm")
    bad = [sound]
    for k, change in enumerate(({"NumberOfFrames": 9}, {"Rows": 0}, {"PhotometricInterpretation": "ZYXWVUT"})):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = dcmread(sound)
            for keyword, value in change.items():
                setattr(data, keyword, value)
            data.save_as(tmp_path / f"bad{k}.dcm")
        bad.append(tmp_path / f"bad{k}.dcm")
    for extra in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-W", "always", "-m", "m2dino", "info", *map(str, bad), *extra],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.count("\n") == 3
        _nothing_told(done.stdout + done.stderr, tmp_path)
        if extra:
            (row,) = json.loads(done.stdout)
            assert row["markers"] == [
                {"frame": 0, "name": "frame of interest"},
                {"frame": 1, "name": "end-diastole"},
            ]


def test_a_transfer_syntax_that_is_a_name(tmp_path: Path) -> None:
    path = save_native(tmp_path / "a.dcm", dicom_header(3, 48, 64), FRAMES.tobytes())
    content = path.read_bytes()
    for uid in (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1 "):
        content = content.replace(uid, b"1.2.840.ZYXWVUT^J.1\0")
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(M2DinoError, match="how it is compressed") as caught:
            open_loop(path)
    _nothing_told(str(caught.value), tmp_path)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_headers(tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    path = _marked(tmp_path / "a.dcm")
    content = bytearray(path.read_bytes())
    rng = random.Random(seed)
    for _ in range(rng.choice([1, 3, 10, 40])):
        content[rng.randrange(132, 1600)] = rng.choice([0, 1, 0x20, 0x5C, 0xFF, rng.randrange(256)])
    path.write_bytes(content)
    told = []
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            loop = open_loop(path)
            told += [loop.name, loop.codec, loop.calibration_reason, str(loop.markers), str(loop.frame_time_source)]
            told += [region.reason for region in loop.regions]
            loop[0]
        except M2DinoError as error:
            told += [str(error), repr(error.__cause__)]
    told += [str(each.message) for each in warned] + [caplog.text]
    _nothing_told(" ".join(told), tmp_path)


def test_tags_of_other_kinds_of_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Patient", NAME)
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.png", pnginfo=text)
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.tif", tiffinfo={270: NAME, 315: NAME})
    stream = video_stream(FRAMES, "mpeg4", "mp4", tags={"title": NAME})
    (tmp_path / "a.mp4").write_bytes(stream)
    (tmp_path / "cut.mp4").write_bytes(stream[: len(stream) // 2])
    image = sitk.GetImageFromArray(np.ascontiguousarray(FRAMES[..., 0]))
    image.SetMetaData("PatientName", NAME)
    image.SetMetaData("descrip", NAME)
    for name in ("a.mha", "a.nrrd", "a.nii"):
        sitk.WriteImage(image, str(tmp_path / name))
        if name == "a.nii":
            content = bytearray((tmp_path / name).read_bytes())
            content[148 : 148 + len(NAME)] = NAME.encode()
            (tmp_path / name).write_bytes(content)
        assert b"yxwvu" in (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes((tmp_path / name).read_bytes()[:-3000])
    video(tmp_path / "a.avi", FRAMES, "mjpeg")
    told = []
    for path in sorted(tmp_path.iterdir()):
        axis = "z" if path.suffix in (".mha", ".nrrd", ".nii") else None
        try:
            loop = open_loop(path, axis)
            told += [loop.name, loop.codec, loop.calibration_reason, str(loop[0].shape)]
        except M2DinoError as error:
            told.append(str(error))
    printed = capfd.readouterr()
    _nothing_told(" ".join([*told, printed.out, printed.err]), tmp_path)
