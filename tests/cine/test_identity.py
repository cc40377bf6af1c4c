"""A loop is known by its content, and by nothing that names a patient."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import open_loop
from m2dino.cine.identity import EncodedFrame, content_signature
from PIL import Image
from pydicom import dcmread

from tests.cine.making import PATIENT, PATIENT_ID, jpeg_loop, moving_square, numbered_frames, video


def test_it_survives_renaming_and_a_new_header(tmp_path: Path) -> None:
    path = jpeg_loop(tmp_path / "Doe_Jane.dcm", moving_square(4))
    first = open_loop(path)
    data = dcmread(path)
    data.PatientName, data.PatientID, data.StudyDate = "", "", ""
    data.FrameTime = "20"
    data.save_as(tmp_path / "other.dcm")
    assert open_loop(tmp_path / "other.dcm").identity == first.identity
    assert len(first.identity) == 32
    int(first.identity, 16)


def test_one_changed_frame_changes_it(tmp_path: Path) -> None:
    frames = moving_square(4)
    one = open_loop(jpeg_loop(tmp_path / "a.dcm", frames)).identity
    frames[2, 20, 20] = 255
    assert open_loop(jpeg_loop(tmp_path / "b.dcm", frames)).identity != one


def test_folders_count_by_content_and_order(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    a.mkdir(), b.mkdir(), c.mkdir()
    for k, frame in enumerate(moving_square(3)):
        Image.fromarray(frame).save(a / f"{k}.png")
        shutil.copyfile(a / f"{k}.png", b / f"Patient {k}.png")
        shutil.copyfile(a / f"{k}.png", c / f"{2 - k}.png")
    assert open_loop(a).identity == open_loop(b).identity
    assert open_loop(a).identity != open_loop(c).identity


def test_a_video_keeps_it_in_another_container(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", numbered_frames(10), "mjpeg")
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        target.metadata["title"] = PATIENT
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert open_loop(path).identity == open_loop(tmp_path / "b.mkv").identity


def test_neither_name_nor_identity_nor_attributes_hold_patient_data(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "loop.dcm", moving_square(2)))
    assert loop.name == f"dicom {loop.identity[:8]}"
    kept = f"{vars(loop)} {loop._display._header.elements}"
    assert PATIENT not in kept
    assert PATIENT_ID not in kept
    assert "20010203" not in kept


def test_every_frame_of_a_long_loop_counts() -> None:
    noise = np.random.default_rng(0).bytes(2**20)
    frames = [EncodedFrame(len(noise), lambda offset, length: noise[offset : offset + length])] * 40
    changed = bytearray(noise)
    changed[len(noise) // 2] ^= 1
    other = EncodedFrame(len(noise), lambda offset, length: bytes(changed[offset : offset + length]))
    whole = content_signature((40, 8, 8), frames)
    assert all(content_signature((40, 8, 8), [*frames[:k], other, *frames[k + 1 :]]) != whole for k in (0, 15, 39))
    assert content_signature((40, 8, 9), frames) != whole


@pytest.mark.parametrize(
    ("shape", "new"),
    [
        ((6, 7, 8), []),
        ((6, 6, 8), [1]),
        ((8, 6, 6), [2]),
        ((6, 8, 6), []),  # along the first axis it is (6, 8, 6), along the last (6, 6, 8)
        ((6, 6, 6), [1, 2]),
    ],
)
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mha", "a.nii"])
def test_each_frame_axis_of_equal_sides_has_its_own(
    tmp_path: Path, name: str, shape: tuple[int, int, int], new: list[int]
) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path, stored = tmp_path / name, values.tobytes()
    if name.endswith("npy"):
        np.save(path, values)
    elif name.endswith("npz"):
        np.savez_compressed(path, values)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    loops = [open_loop(path, axis) for axis in (range(3) if ".np" in name else "zyx")]
    assert len({loop.identity for loop in loops}) == 3
    for axis, loop in enumerate(loops):
        count, height, width = loop.shape[:3]
        parts = [part.tobytes() for part in np.split(np.frombuffer(stored, np.uint8), count)]
        encoded = [EncodedFrame(len(part), lambda at, size, part=part: part[at : at + size]) for part in parts]  # type: ignore[misc]
        as_ever = content_signature((count, height, width), encoded) == loop.identity
        assert as_ever == (axis not in new), "where nothing was mixed up, records stay those of their loop"
        loop.close()


def test_an_axis_of_one_changes_nothing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (6, 1, 7, 6), np.uint8)
    np.save(tmp_path / "a.npy", values[:, 0])
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=False), str(tmp_path / "a.mha"))
    assert open_loop(tmp_path / "a.mha", "t").identity == open_loop(tmp_path / "a.npy", 0).identity
    np.save(tmp_path / "b.npy", values[0])
    assert open_loop(tmp_path / "b.npy").identity == open_loop(tmp_path / "b.npy", 0).identity
