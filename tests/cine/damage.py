"""Damaged files, made from a number: the same number always gives the same damage."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.cine.making import (
    dicom_header,
    jpeg_loop,
    moving_square,
    region,
    rle_loop,
    save_native,
    video,
    video_dicom,
    video_stream,
)

_REAL = (
    "examples_ybr_color.dcm",
    "examples_palette.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_bigendian.dcm",
    "JPGExtended.dcm",
    "image_dfl.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "color3d_jpeg_baseline.dcm",
    "gdcm-US-ALOKA-16.dcm",
)
# Cut anywhere but in the last bytes, these never open as if they were whole.
COUNTED = (".dcm", ".mp4", ".avi", ".mkv", ".gif", ".wmv", ".npy", ".mha", ".nii", ".nrrd")


def specimens(folder: Path) -> dict[str, bytes]:
    """Return a sound file of every kind, by name: real ones as far as they are installed, and small made ones."""
    found = {}
    for name in _REAL:
        path = get_testdata_file(name, download=False)
        if path is not None:
            found[name] = Path(path).read_bytes()
    frames = moving_square(5, 96, 128)
    grey = np.ascontiguousarray(frames[..., 0])
    item = region(RegionLocationMaxX1=100, RegionLocationMaxY1=80)
    jpeg_loop(folder / "jpeg.dcm", frames, FrameTimeVector=["0", "33", "33", "50", "33"])
    rle_loop(folder / "rle.dcm", frames, SequenceOfUltrasoundRegions=[item])
    save_native(folder / "native.dcm", dicom_header(5, 96, 128), frames.tobytes())
    save_native(folder / "deflated.dcm", dicom_header(5, 96, 128, DeflatedExplicitVRLittleEndian), frames.tobytes())
    video_dicom(folder / "h264.dcm", video_stream(frames, "mpeg4", "mp4"), "1.2.840.10008.1.2.4.102", 5)
    for suffix in ("png", "tif", "jpg", "bmp"):
        Image.fromarray(frames[0]).save(folder / f"still.{suffix}")
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    for name, codec in (
        ("v.mp4", "mpeg4"),
        ("v.avi", "mjpeg"),
        ("v.mkv", "mpeg4"),
        ("v.wmv", "wmv2"),
        ("v.gif", "gif"),
    ):
        video(folder / name, frames, codec)
    image = sitk.GetImageFromArray(grey)
    image.SetSpacing((0.2, 0.2, 1.0))
    for name in ("a.mha", "a.nrrd", "a.nii", "a.nii.gz"):
        sitk.WriteImage(image, str(folder / name), False)
    sitk.WriteImage(image, str(folder / "packed.mha"), True)
    np.save(folder / "a.npy", frames)
    np.savez_compressed(folder / "a.npz", frames=frames)
    return found | {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def damaged(sound: dict[str, bytes], seed: int) -> tuple[str, str, bytes]:
    """Return (kind of damage, file name, content) of case `seed`."""
    rng = random.Random(seed)
    name = rng.choice(sorted(sound))
    content = bytearray(sound[name])
    # Most of what a reader believes stands at the beginning.
    reach = len(content) if rng.random() < 0.4 else min(len(content), 2048)
    kind = rng.choice(["cut", "flip", "flip", "flip", "overwrite", "header", "drop", "repeat"])
    at = rng.randrange(reach)
    if kind == "cut":
        return kind, name, bytes(content[: rng.randrange(len(content))])
    if kind == "flip":
        for _ in range(rng.choice([1, 2, 4, 12])):
            content[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif kind == "overwrite":
        run = rng.choice([1, 2, 4, 8, 64])
        content[at : at + run] = rng.choice([b"\0", b"\xff", b"\x7f", rng.randbytes(1)]) * run
    elif kind == "header":
        suffix = Path(name).suffix
        other = sound[rng.choice(sorted(each for each in sound if Path(each).suffix == suffix))]
        split = rng.randrange(min(len(content), len(other), 4096))
        content = bytearray(other[:split]) + content[split:]
    elif kind == "drop":
        del content[at : at + rng.choice([1, 2, 16, 200])]
    else:
        content[at:at] = content[at : at + rng.choice([1, 2, 16, 200])]
    return kind, name, bytes(content)
