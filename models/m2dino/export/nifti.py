"""Masks as NIfTI-1: one file a loop and task, axes x, y, z (of length 1), t, with the pixel size and the frame time.

The header is written here, since SimpleITK would call the units millimetres and seconds even where nobody knows them.
The layout is that of nifti1.h. There is no place in the patient to tell: both transform codes are 0.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m2dino.cine.calibration import Calibration
from m2dino.errors import ExportError
from m2dino.export.annotated import AnnotatedLoop
from m2dino.export.pictures import about_task
from m2dino.values import Mask

_MM, _SECONDS, _UINT8, _LABELS = 2, 8, 2, 1002
_LONGEST = 32767


def write_niftis(loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str]) -> None:
    """Write `<task>/<loop>.nii.gz` and `<task>/labels.json` into a folder that is there.

    Frames without an annotation are background; labels.json says which have one. Without the loop's file, a volume ends
    with the last annotated frame and has neither pixel size nor frame time.

    Raises
    ------
    ExportError
        A loop is longer or larger than the format can say.
    """
    listed: dict[str, dict[str, Any]] = {}
    for loop in loops:
        task = loop.task
        (folder / task.id).mkdir(exist_ok=True)
        about = listed.setdefault(task.id, {**about_task(task), "volumes": []})
        name = f"{stems[loop.loop_id]}.nii.gz"
        calibration = _scale(loop)
        _write(loop, folder / task.id / name, calibration)
        about["volumes"].append(
            {
                "file": name,
                "loop_id": loop.loop_id,
                "annotated_frames": list(loop.frames),
                "mm_per_px": None if calibration is None else [calibration.dy_mm, calibration.dx_mm],
                "frame_time_s": None if loop.loop is None else loop.loop.frame_time_s,
            }
        )
    for task_id, about in listed.items():
        (folder / task_id / "labels.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def _scale(loop: AnnotatedLoop) -> Calibration | None:
    """Return the one scale that a whole volume can have: the loop's own, unless its regions have different ones."""
    calibration = None if loop.loop is None else loop.loop.calibration
    if calibration is None or loop.loop is None:
        return None
    others = [region.calibration for region in loop.loop.regions if region.calibration is not None]
    return calibration if all(calibration.agrees_with(other) for other in others) else None


def _write(loop: AnnotatedLoop, path: Path, calibration: Calibration | None) -> None:
    height, width = loop.size
    count = loop.frames[-1] + 1 if loop.loop is None else len(loop.loop)
    if max(height, width, count) > _LONGEST:
        raise ExportError(f"A loop of {count} frames of {width} × {height} pixels is more than NIfTI-1 can hold.")
    step = None if loop.loop is None else loop.loop.frame_time_s
    empty = np.zeros((height, width), np.uint8).tobytes()
    annotated = set(loop.frames)
    # No name and no time in the compressed stream: both would tell where and when the file was made.
    with path.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
        stream.write(_header((width, height, 1, count), calibration, step))
        for frame in range(count):
            if frame not in annotated:
                stream.write(empty)
                continue
            value = loop.read(frame).value
            assert isinstance(value, Mask)
            stream.write(value.labels.tobytes())


def _header(shape: tuple[int, int, int, int], calibration: Calibration | None, step_s: float | None) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 4, *shape, 1, 1, 1)
    struct.pack_into("<hhh", header, 68, _LABELS, _UINT8, 8)
    sides = (1.0, 1.0) if calibration is None else (calibration.dx_mm, calibration.dy_mm)
    struct.pack_into("<8f", header, 76, 1.0, *sides, 1.0, step_s or 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<fff", header, 108, 352.0, 1.0, 0.0)
    header[123] = (0 if calibration is None else _MM) | (0 if step_s is None else _SECONDS)
    header[344:348] = b"n+1\0"
    return bytes(header)
