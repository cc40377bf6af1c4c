"""What is known of real files: size, frame time, scale, and the colour of some pixels.

The pixels were read with pydicom's own decoders (palettes with `apply_color_lut`) or, where it has none for a file,
follow from its uncompressed twin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from tests.cine.making import (
    dicom_header,
    jpeg,
    numbered_frames,
    rle_loop,
    save_encapsulated,
    video,
    video_dicom,
    video_stream,
)

Pixel = tuple[int, int, int]
"""(frame, row, column)."""


@dataclass(frozen=True)
class Row:
    """One real file.

    Attributes
    ----------
    file : str
        Name in pydicom's test data or in the package pydicom-data, path in the folder of more loops, or name to make.
    shape : tuple of int
        (frames, height, width).
    codec : str
    pixels : dict
        RGB of a pixel.
    lossless : bool
        Whether every pixel must match other decoders exactly; otherwise within 2 grey levels.
    frame_time_ms : float or None
    mm : float, tuple of float, or None
        Pixel size: on both axes, or height and width.
    reason : str
        Part of the reason for the scale, or for having none.
    beyond_itk : str
        Why SimpleITK cannot be asked; empty where it can.
    reader : str
    time_source : str
        Where the times come from; empty means the frame time, where there is one.
    frame_axis : str or None
        To choose, for a volume that does not say it.
    itk_as : str
        What SimpleITK's colours are where it believes a header that lies.
    make : callable, or None
        Writes the file into a folder and returns its path.
    """

    file: str
    shape: tuple[int, int, int]
    codec: str
    pixels: dict[Pixel, tuple[int, int, int]] = field(default_factory=dict)
    lossless: bool = True
    frame_time_ms: float | None = None
    mm: float | tuple[float, float] | None = None
    reason: str = "gives no pixel size"
    beyond_itk: str = ""
    reader: str = "dicom"
    time_source: str = ""
    frame_axis: str | None = None
    itk_as: str = ""
    make: Callable[[Path], Path] | None = None


OUTSIDE = "lies outside the image"
REGION = "from ultrasound region 1"
SPACING = "pixel spacing"
GREEN, BLUE, DARK = (128, 255, 128), (57, 96, 150), (14, 14, 14)

# In the wheel of pydicom.
BUNDLED = [
    Row(
        "examples_ybr_color.dcm",
        (30, 240, 320),
        "JPEG Baseline",
        {(29, 80, 160): (41, 41, 41)},
        False,
        33.333,
        None,
        OUTSIDE,
    ),
    Row("examples_rgb_color.dcm", (1, 240, 320), "uncompressed", {(0, 80, 160): (104, 104, 104)}),
    Row("examples_palette.dcm", (1, 350, 800), "uncompressed", {(0, 116, 400): (113, 113, 113)}, reason=OUTSIDE),
    Row("examples_jpeg2k.dcm", (1, 480, 640), "JPEG 2000 Lossless", {(0, 160, 320): (115, 115, 115)}),
    Row("ExplVR_BigEnd.dcm", (1, 60, 80), "uncompressed", {(0, 20, 40): (255, 255, 0)}),
    Row(
        "SC_rgb_jpeg_dcmtk.dcm",
        (1, 100, 100),
        "JPEG Baseline",
        {(0, 33, 50): (129, 255, 129)},
        False,
        None,
        1.0,
        SPACING,
    ),
    Row(
        "SC_rgb_dcmtk_+eb+cr.dcm",
        (1, 100, 100),
        "JPEG Baseline",
        {(0, 33, 50): (128, 255, 128)},
        False,
        None,
        1.0,
        SPACING,
    ),
    Row("SC_jpeg_no_color_transform.dcm", (1, 256, 256), "JPEG Baseline", {(0, 85, 128): (244, 244, 244)}, False),
    Row(
        "SC_rgb_rle_2frame.dcm",
        (2, 100, 100),
        "RLE",
        {(0, 33, 50): (128, 255, 128), (1, 33, 50): (127, 0, 127)},
        mm=1.0,
        reason=SPACING,
    ),
    Row(
        "SC_rgb_rle_16bit_2frame.dcm",
        (2, 100, 100),
        "RLE",
        {(1, 33, 50): (127, 0, 127)},
        mm=1.0,
        reason=SPACING,
        beyond_itk="GDCM swaps the bytes of 16-bit run lengths in colour",
    ),
    Row("SC_rgb_jpeg_gdcm.dcm", (1, 100, 100), "JPEG Lossless", {(0, 33, 50): (128, 255, 128)}, mm=1.0, reason=SPACING),
    Row("SC_rgb_jls_lossy_line.dcm", (1, 100, 100), "JPEG-LS Near-Lossless", {(0, 33, 50): (130, 255, 130)}),
    Row(
        "SC_ybr_full_422_uncompressed.dcm",
        (1, 100, 100),
        "uncompressed",
        {(0, 33, 50): (128, 255, 128)},
        False,
        None,
        1.0,
        SPACING,
    ),
    Row(
        "SC_rgb_small_odd_big_endian.dcm",
        (1, 3, 3),
        "uncompressed",
        {(0, 1, 1): (63, 87, 176)},
        mm=33.333333,
        reason=SPACING,
    ),
    # 12-bit JPEG, 264 at most: stretched, for it uses a 16th of its range.
    Row("JPGExtended.dcm", (1, 1024, 256), "JPEG Extended", {}, False, None, 2.26, SPACING, "stretched to 8 bits here"),
    Row("image_dfl.dcm", (1, 512, 512), "deflated", {(0, 170, 256): (164, 164, 164)}),
    Row("SC_rgb_jls_lossy_sample.dcm", (1, 100, 100), "JPEG-LS Near-Lossless", {(0, 33, 50): (130, 255, 130)}),
    Row("SC_rgb_jpeg_app14_dcmd.dcm", (1, 256, 256), "JPEG Baseline", {(0, 85, 128): (242, 245, 243)}, False),
    Row(
        "SC_rgb_gdcm_KY.dcm", (1, 100, 100), "JPEG 2000", {(0, 33, 50): (128, 255, 128)}, False, mm=1.0, reason=SPACING
    ),
    Row("GDCMJ2K_TextGBR.dcm", (1, 400, 400), "JPEG 2000 Lossless", {(0, 133, 200): (128, 128, 128)}),
    Row(
        "SC_rgb_small_odd_jpeg.dcm",
        (1, 3, 3),
        "JPEG Baseline",
        {(0, 1, 1): (62, 87, 179)},
        False,
        mm=33.333333,
        reason=SPACING,
    ),
    *(
        Row(
            f"SC_rgb_dcmtk_+eb+cy+{sampling}.dcm",
            (1, 100, 100),
            "JPEG Baseline",
            {(0, 33, 50): colour},
            False,
            mm=1.0,
            reason=SPACING,
        )
        for sampling, colour in (
            ("n1", (130, 255, 129)),
            ("np", (130, 255, 129)),
            ("s2", (129, 255, 129)),
            ("s4", (129, 255, 129)),
        )
    ),
]

# In the package pydicom-data.
EXTRA = [
    Row(
        "color3d_jpeg_baseline.dcm",
        (120, 480, 640),
        "JPEG Baseline",
        {(119, 160, 320): (19, 19, 19)},
        False,
        33.333,
        0.510497,
        REGION,
    ),
    Row(
        "OBXXXX1A_2frame.dcm", (2, 600, 800), "uncompressed", {(1, 200, 400): (57, 96, 150)}, mm=0.262288, reason=REGION
    ),
    Row("OBXXXX1A_rle_2frame.dcm", (2, 600, 800), "RLE", {(1, 200, 400): (57, 96, 150)}, mm=0.262288, reason=REGION),
    Row("US1_J2KI.dcm", (1, 480, 640), "JPEG 2000", {(0, 160, 320): (116, 115, 116)}, False),
    Row(
        "gdcm-US-ALOKA-16_big.dcm",
        (1, 480, 640),
        "uncompressed",
        {(0, 160, 320): (14, 14, 14)},
        mm=0.382653,
        reason=REGION,
    ),
    Row("color-pl.dcm", (1, 120, 256), "uncompressed", {(0, 40, 128): (16, 16, 152)}),
    Row("color-px.dcm", (1, 120, 256), "uncompressed", {(0, 40, 128): (16, 16, 152)}),
    Row("US1_UNCI.dcm", (1, 480, 640), "uncompressed", {(0, 160, 320): (116, 115, 116)}),
    Row("US1_UNCR.dcm", (1, 480, 640), "uncompressed", {(0, 160, 320): (115, 115, 115)}),
    Row("US1_J2KR.dcm", (1, 480, 640), "JPEG 2000 Lossless", {(0, 160, 320): (115, 115, 115)}),
    Row(
        "gdcm-US-ALOKA-16.dcm", (1, 480, 640), "uncompressed", {(0, 160, 320): (14, 14, 14)}, mm=0.382653, reason=REGION
    ),
    Row("OBXXXX1A.dcm", (1, 600, 800), "uncompressed", {(0, 200, 400): (1, 1, 1)}, mm=0.262288, reason=REGION),
    Row("OBXXXX1A_rle.dcm", (1, 600, 800), "RLE", {(0, 200, 400): (1, 1, 1)}, mm=0.262288, reason=REGION),
    Row(
        "OBXXXX1A_expb_2frame.dcm",
        (2, 600, 800),
        "uncompressed",
        {(1, 200, 400): (57, 96, 150)},
        mm=0.262288,
        reason=REGION,
    ),
    Row("OT-PAL-8-face.dcm", (1, 480, 640), "uncompressed", {(0, 160, 320): (182, 182, 182)}),
    Row(
        "SC_ybr_full_uncompressed.dcm",
        (1, 100, 100),
        "uncompressed",
        {(0, 33, 50): (128, 255, 128)},
        False,
        mm=1.0,
        reason=SPACING,
    ),
    # A window of 254 around 127 leaves out the greys at both ends.
    Row("JPGLosslessP14SV1_1s_1f_8b.dcm", (1, 768, 1024), "JPEG Lossless", mm=0.254767, reason=REGION),
    Row("OBXXXX1A_expb.dcm", (1, 600, 800), "uncompressed", {(0, 200, 400): (1, 1, 1)}, mm=0.262288, reason=REGION),
]

# Grey files of one content in several codings: all must show the same picture.
TWINS = [
    (
        "MR_small.dcm",
        [
            "MR_small_RLE.dcm",
            "MR_small_bigendian.dcm",
            "MR_small_implicit.dcm",
            "MR_small_jp2klossless.dcm",
            "MR_small_jpeg_ls_lossless.dcm",
        ],
    ),
]


def _in_folder(row: Row, **more: Any) -> Row:
    return replace(row, file=f"dicom/{row.file}", **more)


_BY_NAME = {row.file: row for row in BUNDLED + EXTRA}
_SPACING_1 = "spacing is 1, which programs write that know none"

# In a folder of more loops, where there is one.
FOLDER = [
    *(
        _in_folder(_BY_NAME[name])
        for name in (
            "OBXXXX1A_2frame.dcm",
            "OBXXXX1A_rle_2frame.dcm",
            "US1_J2KI.dcm",
            "US1_UNCI.dcm",
            "color-pl.dcm",
            "color-px.dcm",
            "examples_jpeg2k.dcm",
            "examples_palette.dcm",
            "examples_rgb_color.dcm",
            "examples_ybr_color.dcm",
        )
    ),
    Row("dicom/US1_RLE", (1, 480, 640), "RLE", {(0, 160, 320): (115, 115, 115)}),
    *(
        Row(
            f"dicom/sonoque_{name}.dcm",
            (1, 1455, 2083),
            "JPEG Baseline",
            {(0, 485, 1041): (grey,) * 3},
            lossless=False,
            mm=0.0291,
            reason=REGION,
            itk_as="YCbCr",
        )
        for name, grey in (("anechoic-3mm-3mm", 50), ("axial-lateral-resolution-2020", 45))
    ),
    *(
        Row(
            f"video/{name}.mp4",
            shape,
            "h264",
            {(shape[0] - 1, shape[1] // 3, shape[2] // 2): (grey,) * 3},
            frame_time_ms=step,
            reader="video",
            time_source="timestamps",
        )
        for name, shape, grey, step in (
            ("clarius-ocular-short", (50, 960, 1280), 1, 40.0),
            # Its frames are not evenly spaced.
            ("butterfly-ocular-phantom", (369, 1080, 776), 180, None),
            ("sonosite-anon-eye1-video", (100, 720, 960), 0, 40.0),
        )
    ),
    Row(
        "volume/sonivate-anechoic_1-1.nrrd",
        (1, 512, 512),
        "NRRD (compressed)",
        {(0, 170, 256): (45, 45, 45)},
        mm=0.07760156,
        reason="anatomical space",
        reader="volume",
    ),
    Row(
        "volume/MouseLiverB.mha",
        (4, 512, 128),
        "MetaImage (compressed)",
        {(3, 170, 64): (65, 65, 65)},
        mm=(0.0385753, 0.1),
        reason="the volume's spacing in mm",
        reader="volume",
        frame_axis="z",
    ),
    Row(
        "volume/MouseLiverRF-label.mha",
        (4, 128, 1536),
        "MetaImage (compressed)",
        {(3, 42, 768): (1, 1, 1)},
        mm=(0.1, 0.0128417),
        reason="the volume's spacing in mm",
        reader="volume",
        frame_axis="z",
    ),
    # Radio frequency: values of either sign, mapped to greys.
    Row(
        "volume/EyeRoundOverChuck_5.0MHz_20V.mha",
        (1, 241, 2048),
        "MetaImage (uncompressed)",
        {},
        reason=_SPACING_1,
        reader="volume",
    ),
    *(
        Row(
            f"simulated/{name}",
            shape,
            "PNG",
            {(shape[0] - 1, shape[1] // 3, shape[2] // 2): (grey,) * 3},
            reason="still images give no pixel size",
            reader="images",
        )
        for name, shape, grey in (
            ("heart/frames", (24, 246, 320), 109),
            ("heart/masks", (24, 246, 320), 1),
            ("vessel/frames", (16, 240, 160), 211),
            ("vessel/masks", (16, 240, 160), 0),
        )
    ),
]


def _numbered(count: int) -> dict[Pixel, tuple[int, int, int]]:
    """Return the colour of each block of the last of `numbered_frames(count)`: they spell its number."""
    last = count - 1
    blocks = {
        (last, 26 + 24 * y, 18 + 30 * x): 235 if last >> (4 * y + x) & 1 else 20 for y in range(3) for x in range(4)
    }
    return {pixel: (grey,) * 3 for pixel, grey in blocks.items()}


def _mpeg4(folder: Path) -> Path:
    stream = video_stream(numbered_frames(60), "libx264", "mp4", g="12", bf="2", crf="4")
    return video_dicom(folder / "a.dcm", stream, "1.2.840.10008.1.2.4.102", 60, FrameTime="33.333")


def _transport(ending: str) -> Callable[[Path], Path]:
    return lambda folder: video(folder / f"a.{ending}", numbered_frames(60), "libx264", g="12", bf="2", crf="4")


def _rle_ybr(folder: Path) -> Path:
    ycbcr = [np.asarray(Image.fromarray(frame).convert("YCbCr")) for frame in numbered_frames(5)]
    return rle_loop(folder / "a.dcm", np.stack(ycbcr), PhotometricInterpretation="YBR_FULL", CineRate=25)


def _ten_thousand(folder: Path) -> Path:
    coded = [jpeg(frame, 95) for frame in numbered_frames(10)]
    header = dicom_header(10_000, 96, 128, JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422")
    return save_encapsulated(folder / "a.dcm", header, coded * 1000, has_bot=False)


def _vector(steps: list[str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return rle_loop(folder / "a.dcm", numbered_frames(4), FrameTimeVector=steps)

    return make


# Made where it is tested, for no package has one.
MADE = [
    Row(
        "MPEG-4 in DICOM",
        (60, 96, 128),
        "MPEG-4 AVC (h264)",
        _numbered(60),
        False,
        33.333,
        make=_mpeg4,
        beyond_itk="it reads no video",
    ),
    *(
        Row(
            f"transport stream, {ending}",
            (60, 96, 128),
            "h264",
            _numbered(60),
            False,
            frame_time_ms=40.0,
            time_source="timestamps",
            reason="a video gives no pixel size",
            reader="video",
            make=_transport(ending),
            beyond_itk="it reads no video",
        )
        for ending in ("ts", "m2ts", "mts")
    ),
    Row(
        "RLE, YBR, several frames",
        (5, 96, 128),
        "RLE",
        _numbered(5),
        False,
        40.0,
        time_source="cine rate",
        make=_rle_ybr,
        beyond_itk="it leaves run lengths in YBR",
    ),
    Row(
        "10,000 frames without an offset table",
        (10_000, 96, 128),
        "JPEG Baseline",
        {(9999, y, x): grey for (_, y, x), grey in _numbered(10).items()},
        False,
        make=_ten_thousand,
        beyond_itk="it reads all of it at once",
    ),
    Row(
        "FrameTimeVector, even",
        (4, 96, 128),
        "RLE",
        _numbered(4),
        frame_time_ms=40.0,
        time_source="frame time vector",
        make=_vector(["0", "40", "40", "40"]),
    ),
    Row(
        "FrameTimeVector, uneven",
        (4, 96, 128),
        "RLE",
        _numbered(4),
        time_source="frame time vector",
        make=_vector(["0", "40", "80", "40"]),
    ),
]
