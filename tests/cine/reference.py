"""What is known of real files: size, frame time, scale, and the colour of some pixels.

The pixels were read with pydicom's own decoders (palettes with `apply_color_lut`) or, where it has none for a file,
follow from its uncompressed twin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Pixel = tuple[int, int, int]
"""(frame, row, column)."""


@dataclass(frozen=True)
class Row:
    """One real file.

    Attributes
    ----------
    file : str
        Name in pydicom's test data, or in the package pydicom-data.
    shape : tuple of int
        (frames, height, width).
    codec : str
    pixels : dict
        RGB of a pixel.
    lossless : bool
        Whether every pixel must match other decoders exactly; otherwise within 2 grey levels.
    frame_time_ms : float or None
    mm : float or None
        Pixel size, equal on both axes.
    reason : str
        Part of the reason for the scale, or for having none.
    beyond_itk : str
        Why SimpleITK cannot be asked; empty where it can.
    """

    file: str
    shape: tuple[int, int, int]
    codec: str
    pixels: dict[Pixel, tuple[int, int, int]] = field(default_factory=dict)
    lossless: bool = True
    frame_time_ms: float | None = None
    mm: float | None = None
    reason: str = "gives no pixel size"
    beyond_itk: str = ""


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

# In a folder of more loops, where there is one: (path, shape, mm).
FOLDER = [
    ("dicom/sonoque_anechoic-3mm-3mm.dcm", (1, 1455, 2083), 0.0291),
    ("dicom/US1_RLE", (1, 480, 640), None),
    ("video/clarius-ocular-short.mp4", (50, 960, 1280), None),
    ("video/butterfly-ocular-phantom.mp4", (369, 1080, 776), None),
    ("video/sonosite-anon-eye1-video.mp4", (100, 720, 960), None),
    ("simulated/heart/frames", (24, None, None), None),
    ("simulated/vessel/frames", (16, None, None), None),
    ("dicom/OBXXXX1A_2frame.dcm", (2, 600, 800), 0.262288),
    ("dicom/OBXXXX1A_rle_2frame.dcm", (2, 600, 800), 0.262288),
    ("dicom/US1_J2KI.dcm", (1, 480, 640), None),
    ("dicom/US1_UNCI.dcm", (1, 480, 640), None),
    ("dicom/color-pl.dcm", (1, 120, 256), None),
    ("dicom/color-px.dcm", (1, 120, 256), None),
    ("dicom/examples_jpeg2k.dcm", (1, 480, 640), None),
    ("dicom/examples_palette.dcm", (1, 350, 800), None),
    ("dicom/examples_rgb_color.dcm", (1, 240, 320), None),
    ("dicom/examples_ybr_color.dcm", (30, 240, 320), None),
    ("dicom/sonoque_axial-lateral-resolution-2020.dcm", (1, 1455, 2083), 0.0291),
    ("volume/sonivate-anechoic_1-1.nrrd", (1, 512, 512), 0.07760156),
    ("volume/MouseLiverB.mha", (4, 512, 128), 0.0385753),
    ("volume/MouseLiverRF-label.mha", (4, 128, 1536), 0.1),
    ("volume/EyeRoundOverChuck_5.0MHz_20V.mha", (1, 241, 2048), None),
]
