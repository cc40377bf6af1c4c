"""De-identified copies of videos, images and mixed folders."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import open_loop
from m2dino.deid import DeidOptions, deidentify
from m2dino.errors import AmbiguousLoopError, UsageError
from PIL import Image, PngImagePlugin

from tests.cine.making import jpeg_loop, moving_square, number_of, numbered_frames, video

SECRET = "Zyxwvut"


def _tagged(path: Path, count: int = 20) -> Path:
    video(path.with_name("plain.mp4"), numbered_frames(count), "mpeg4", g="6", bf="2")
    with av.open(str(path.with_name("plain.mp4"))) as source, av.open(str(path), "w") as target:
        target.metadata.update(title=SECRET, comment=SECRET)
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.metadata["handler_name"] = SECRET
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    path.with_name("plain.mp4").unlink()
    assert SECRET.encode() in path.read_bytes()
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_video_loses_its_tags_and_keeps_its_frames(tmp_path: Path, suffix: str) -> None:
    source = _tagged(tmp_path / f"a{suffix}")
    (outcome,) = deidentify(source, tmp_path / f"b{suffix}")
    assert outcome.error is None
    assert "burnt" in outcome.warnings[0]
    assert SECRET.encode() not in (tmp_path / f"b{suffix}").read_bytes()
    before, after = open_loop(source), open_loop(tmp_path / f"b{suffix}")
    assert after.identity == before.identity
    assert [number_of(frame) for frame in after] == list(range(20))


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.wmv", "wmv2"), ("a.gif", "gif")])
def test_other_containers_are_copied_frame_by_frame(tmp_path: Path, name: str, codec: str) -> None:
    source = video(tmp_path / name, numbered_frames(20), codec)
    (outcome,) = deidentify(source, tmp_path / f"b{source.suffix}")
    assert outcome.error is None
    assert [number_of(frame) for frame in open_loop(tmp_path / f"b{source.suffix}")] == list(range(20))


def test_comments_inside_motion_jpeg_go(tmp_path: Path) -> None:
    note = b"\xff\xfe" + (len(SECRET) + 2).to_bytes(2, "big") + SECRET.encode()
    video(tmp_path / "plain.avi", numbered_frames(6), "mjpeg")
    with av.open(str(tmp_path / "plain.avi")) as source, av.open(str(tmp_path / "a.avi"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                coded = bytes(packet)
                noted = av.Packet(coded[:2] + note + coded[2:])
                noted.pts, noted.dts, noted.time_base = packet.pts, packet.dts, packet.time_base
                noted.is_keyframe, noted.stream = True, stream
                target.mux(noted)
    assert SECRET.encode() in (tmp_path / "a.avi").read_bytes()
    (outcome,) = deidentify(tmp_path / "a.avi", tmp_path / "b.avi")
    assert outcome.error is None
    assert SECRET.encode() not in (tmp_path / "b.avi").read_bytes()
    assert [number_of(frame) for frame in open_loop(tmp_path / "b.avi")] == list(range(6))


def test_the_comment_of_an_animated_gif_goes(tmp_path: Path) -> None:
    pages = [Image.fromarray(frame) for frame in numbered_frames(4)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=40, comment=SECRET.encode())
    assert SECRET.encode() in (tmp_path / "a.gif").read_bytes()
    (outcome,) = deidentify(tmp_path / "a.gif", tmp_path / "b.gif")
    assert outcome.error is None
    assert SECRET.encode() not in (tmp_path / "b.gif").read_bytes()
    assert [number_of(frame) for frame in open_loop(tmp_path / "b.gif")] == list(range(4))


@pytest.mark.parametrize("size", [(96, 128), (97, 129)])
def test_a_video_is_black_outside_the_box(tmp_path: Path, size: tuple[int, int]) -> None:
    source = video(tmp_path / "a.avi", moving_square(6, *size), "mjpeg")
    (outcome,) = deidentify(source, tmp_path / "b.mp4", DeidOptions(box=(16, 0, 96, 64)))
    assert outcome.error is None
    before, after = open_loop(source), open_loop(tmp_path / "b.mp4")
    assert after.shape == before.shape
    assert after.frame_time_s == pytest.approx(before.frame_time_s, rel=0.01)
    for k in range(6):
        assert after[k][:12].max() <= 2
        assert after[k][20:, 72:].max() <= 2
        assert np.abs(after[k][24:90, 8:56].astype(int) - before[k][24:90, 8:56]).mean() < 6


@pytest.mark.parametrize("box", [None, (0, 0, 40, 64)])
def test_a_video_keeps_the_shape_of_its_pixels(tmp_path: Path, box: tuple[int, int, int, int] | None) -> None:
    source = video(tmp_path / "a.mp4", moving_square(4, 96, 128), "mpeg4", aspect=Fraction(4, 3))
    (outcome,) = deidentify(source, tmp_path / "b.mp4", DeidOptions(box=box))
    assert outcome.error is None
    assert open_loop(tmp_path / "b.mp4").pixel_aspect == pytest.approx(4 / 3)


def test_images_become_png_without_text(tmp_path: Path) -> None:
    frames = moving_square(3)
    folder = tmp_path / "in"
    folder.mkdir()
    for k, frame in enumerate(frames):
        text = PngImagePlugin.PngInfo()
        text.add_text("Patient", SECRET)
        Image.fromarray(frame).save(folder / f"{SECRET} {k}.png", pnginfo=text)
    (outcome,) = deidentify(folder, tmp_path / "out", DeidOptions(box=(0, 0, 40, 64)))
    assert outcome.target is not None
    assert [file.name for file in sorted(outcome.target.iterdir())] == ["000.png", "001.png", "002.png"]
    assert all(SECRET.encode() not in file.read_bytes() for file in outcome.target.iterdir())
    copy = open_loop(outcome.target)
    assert np.array_equal(copy[2][:40], frames[2][:40])
    assert not copy[2][40:].any()


def test_a_tiff_of_pages_beside_single_images_is_copied_as_well(tmp_path: Path) -> None:
    frames = moving_square(7)
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(3):
        Image.fromarray(frames[k]).save(folder / f"{k}.png")
    first, *rest = [Image.fromarray(frame) for frame in frames[3:]]
    first.save(folder / "1.tif", save_all=True, append_images=rest)
    outcomes = list(deidentify(folder, tmp_path / "out"))
    assert [outcome.error for outcome in outcomes] == [None, None]
    copies = [open_loop(outcome.target) for outcome in outcomes if outcome.target]
    for copy, wanted in zip(copies, (frames[:3], frames[3:]), strict=True):
        assert np.array_equal(np.stack(list(copy)), wanted)


def test_a_photograph_loses_its_exif_and_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, SECRET
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "a.jpg", exif=exif)
    (outcome,) = deidentify(tmp_path / "a.jpg", tmp_path / "b.png")
    assert outcome.error is None
    assert SECRET.encode() not in (tmp_path / "b.png").read_bytes()
    assert np.array_equal(open_loop(tmp_path / "b.png")[0], open_loop(tmp_path / "a.jpg")[0])


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "a.nii.gz", "a.npy"])
def test_of_a_volume_the_pictures_are_copied(tmp_path: Path, name: str) -> None:
    frames = np.ascontiguousarray(moving_square(5)[..., 0])
    if name.endswith(".npy"):
        np.save(tmp_path / name, frames)
    else:
        image = sitk.GetImageFromArray(frames)
        image.SetMetaData("descrip", SECRET)
        image.SetMetaData("PatientName", SECRET)
        sitk.WriteImage(image, str(tmp_path / name))
    axis = "0" if name.endswith(".npy") else "z"
    (outcome,) = deidentify(tmp_path / name, tmp_path / "out", DeidOptions(frame_axis=axis))
    assert outcome.error is None
    assert "scale and times are not in it" in outcome.warnings[1]
    copy = open_loop(tmp_path / "out")
    assert all(np.array_equal(copy[k][..., 0], frames[k]) for k in range(5))
    assert all(SECRET.encode() not in file.read_bytes() for file in (tmp_path / "out").iterdir())


def test_a_tree_of_folders_under_names_that_tell_nothing(tmp_path: Path) -> None:
    deep = tmp_path / "in" / SECRET / "study"
    deep.mkdir(parents=True)
    jpeg_loop(deep / f"{SECRET}.dcm", moving_square(3))
    (deep / "other").mkdir()
    _tagged(deep / "other" / f"{SECRET}.mp4")
    (deep / "arrays").mkdir()
    np.save(deep / "arrays" / "volume.npy", np.zeros((4, 20, 30, 3), np.uint8))
    np.save(deep / "arrays" / "grey.npy", np.zeros((4, 20, 30), np.uint8))
    (deep / "report.txt").write_text(SECRET)
    outcomes = list(deidentify(tmp_path / "in", tmp_path / "in" / "out"))
    copies = sorted(file.name for file in (tmp_path / "in" / "out").iterdir())
    assert [name.partition("-")[0] for name in copies] == ["array", "dicom", "video"]
    assert not any(SECRET in name for name in copies)
    failed = [outcome.error for outcome in outcomes if outcome.error]
    assert len(failed) == 1, "nobody said which axis of the plain volume counts the frames"
    assert isinstance(failed[0], AmbiguousLoopError)
    with pytest.raises(UsageError, match="choose another"):
        list(deidentify(tmp_path / "in", tmp_path / "in"))
