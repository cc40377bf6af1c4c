"""`m2dino info`, as a person and a script call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.cine.making import PATIENT, jpeg_loop, moving_square, region

SAMPLE = Path(__file__).parents[2] / "napari_m2dino" / "samples" / "carotid"
KEYS = [
    "path",
    "frames",
    "height",
    "width",
    "frame_time_ms",
    "calibration",
    "calibration_reason",
    "reader",
    "codec",
    "identity",
    "frame_time_source",
    "markers",
    "tissue_region",
    "frame_axes",
]


def _info(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "m2dino", "info", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_rows_for_machines(tmp_path: Path) -> None:
    item = region(RegionLocationMaxX1=60, RegionLocationMaxY1=40)
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(3), FrameTime="40", SequenceOfUltrasoundRegions=[item])
    done = _info(SAMPLE, path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    images, dicom = json.loads(done.stdout)
    assert list(images) == list(dicom) == KEYS
    assert (images["frames"], images["height"], images["width"]) == (40, 749, 709)
    assert (images["frame_time_ms"], images["calibration"], images["reader"]) == (None, None, "images")
    assert dicom["path"] == str(path)
    assert dicom["frame_time_ms"] == 40
    assert dicom["calibration"] == {"dy_mm": 0.5, "dx_mm": 0.5, "source": "ultrasound region 1"}
    assert PATIENT not in done.stdout


def test_a_folder_of_several_loops_gives_a_row_each(tmp_path: Path) -> None:
    for k in (1, 2, 3):
        jpeg_loop(tmp_path / f"{k}.dcm", moving_square(k))
    assert [row["frames"] for row in json.loads(_info(tmp_path, "--json").stdout)] == [1, 2, 3]


def test_bad_paths_are_told_after_the_good_rows(tmp_path: Path) -> None:
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(3))
    (tmp_path / "bad.dcm").write_text("not a loop")
    done = _info(tmp_path / "bad.dcm", path, tmp_path / "gone.mp4", "--json")
    assert done.returncode == 1
    assert [row["frames"] for row in json.loads(done.stdout)] == [3]
    first, second = done.stderr.splitlines()
    assert "bad.dcm" in first
    assert "gone.mp4" in second
    plain = _info(path, tmp_path / "bad.dcm")
    assert plain.returncode == 1
    assert "3 × 48 × 64" in plain.stdout
    assert "Traceback" not in plain.stderr


def test_no_path_is_wrong_usage() -> None:
    assert _info().returncode == 2


def test_a_volume_that_does_not_name_its_frames_tells_the_choices(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", moving_square(4)[..., 0])
    done = _info(tmp_path / "a.npy", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)
    assert list(row) == KEYS
    assert (row["frames"], row["identity"]) == (None, None)
    assert row["frame_axes"]["0"] == {"frames": 4, "height": 48, "width": 64}
    assert "--frame-axis" in _info(tmp_path / "a.npy").stdout
    (row,) = json.loads(_info(tmp_path / "a.npy", "--frame-axis", "0", "--json").stdout)
    assert (row["frames"], row["frame_axes"]) == (4, None)
