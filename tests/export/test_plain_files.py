"""FM_UIA, PNG, NIfTI and CSV: other programs, and our own readers, find in them what was annotated."""

from __future__ import annotations

import csv
import filecmp
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import CineLoop, open_loop
from m2dino.colours import colour
from m2dino.data.fmuia import check_root, read_root
from m2dino.data.image_files import mask_pixels
from m2dino.data.records import Record
from m2dino.data.row_values import label_value
from m2dino.data.store import Store
from m2dino.data.store_export import export_view
from m2dino.errors import DatasetError, MissingFileError
from m2dino.export import AnnotatedLoop, annotated_loop, export_annotations, loops_of_store, read_fmuia
from m2dino.values import Box, Keypoints, Mask
from PIL import Image, ImageColor

from tests.cine.making import moving_square, video
from tests.export.conftest import HEIGHT, TASKS, WIDTH, Setup, value_of


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_fmuia_is_the_view_of_the_store(setup: Setup, tmp_path: Path) -> None:
    with Store.open(setup.store) as store:
        export_annotations(loops_of_store(store), tmp_path / "ours", "fmuia")
        export_view(store, tmp_path / "view")
    files = sorted(path.relative_to(tmp_path / "view") for path in (tmp_path / "view").rglob("*.*"))
    assert files == sorted(path.relative_to(tmp_path / "ours") for path in (tmp_path / "ours").rglob("*.*"))
    assert filecmp.cmpfiles(tmp_path / "view", tmp_path / "ours", map(str, files), shallow=False)[1:] == ([], [])
    assert check_root(tmp_path / "ours") == []


OFFICIAL = {
    "segmentation": "image_path,task_id,task_name,num_classes,mask_path,",
    "classification": "image_path,task_id,task_name,num_classes,mask,",
    "detection": "image_path,task_id,task_name,num_classes,x_min,y_min,x_max,y_max,",
    "regression": "image_path,task_id,task_name,num_classes,point_1_xy,point_2_xy,",
}


@pytest.mark.parametrize("kind", TASKS)
def test_fmuia_has_the_official_columns_first_and_comes_back(setup: Setup, tmp_path: Path, kind: str) -> None:
    export_annotations([setup.annotated(kind)], tmp_path / "out", "fmuia")
    (written,) = (tmp_path / "out" / "csv_files").iterdir()
    assert written.read_text(encoding="utf-8").startswith(OFFICIAL[kind])
    values = {frame: value_of(kind, frame) for frame in (0, 1, 4)}
    assert [label_value(row) for row in read_root(tmp_path / "out")] == list(values.values())
    assert read_fmuia(tmp_path / "out", TASKS[kind], setup.loop) == values


def test_fmuia_of_another_loop_or_task_is_refused(setup: Setup, tmp_path: Path) -> None:
    export_annotations([setup.annotated("detection")], tmp_path / "out", "fmuia")
    other = open_loop(video(tmp_path / "a.mp4", moving_square(6, 96, 128), "mpeg4"))
    with pytest.raises(DatasetError, match="no row of the task 'thyroid_nodule_det' is of this loop"):
        read_fmuia(tmp_path / "out", TASKS["detection"], other)
    with pytest.raises(DatasetError, match="no row of the task 'FUGC'"):
        read_fmuia(tmp_path / "out", TASKS["regression"], setup.loop)
    with pytest.raises(MissingFileError, match="no folder csv_files"):
        read_fmuia(tmp_path, TASKS["regression"], setup.loop)


def test_fmuia_of_other_programs_is_matched_by_number(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "csv_files").mkdir()
    for number in (1, 3):
        Image.fromarray(setup.loop[number - 1]).save(tmp_path / f"frame_{number}.png")
    header = "image_path,task_id,task_name,num_classes,x_min,y_min,x_max,y_max\n"
    rows = [f"../frame_{number}.png,thyroid_nodule_det,detection,1,{number},2,30,40\n" for number in (3, 1)]
    (tmp_path / "csv_files" / "a.csv").write_text(header + "".join(rows))
    assert read_fmuia(tmp_path, TASKS["detection"], setup.loop, 1) == {0: Box(2, 1, 40, 30), 2: Box(2, 3, 40, 30)}


def test_png_masks_hold_indices_in_the_colours_of_the_window(setup: Setup, tmp_path: Path) -> None:
    export_annotations([setup.annotated("segmentation")], tmp_path / "out", "png")
    about = json.loads((tmp_path / "out" / "cardiac_multi" / "labels.json").read_text(encoding="utf-8"))
    assert [label["name"] for label in about["labels"]] == list(TASKS["segmentation"].label_names)
    assert [(entry["frame"], entry["fate"]) for entry in about["masks"]] == [
        (0, "edited"),
        (1, "edited"),
        (4, "edited"),
    ]
    for entry in about["masks"]:
        path = tmp_path / "out" / "cardiac_multi" / entry["file"]
        expected = value_of("segmentation", entry["frame"])
        assert Mask(mask_pixels(path)) == expected
        assert isinstance(expected, Mask)
        shown = np.asarray(Image.open(path).convert("RGB"))
        for index in np.unique(expected.labels):
            rgb = ImageColor.getrgb(colour(int(index))) if index else (0, 0, 0)
            assert (shown[expected.labels == index] == rgb).all()


def test_nifti_is_read_by_itk_and_by_us(setup: Setup, tmp_path: Path) -> None:
    export_annotations([setup.annotated("segmentation")], tmp_path / "out", "nifti")
    (path,) = (tmp_path / "out" / "cardiac_multi").glob("*.nii.gz")
    image = sitk.ReadImage(str(path))
    assert image.GetSize() == (WIDTH, HEIGHT, 1, 6)
    assert image.GetSpacing() == pytest.approx((0.5, 0.5, 1.0, 0.04))
    stack = sitk.GetArrayFromImage(image)[:, 0]
    for frame in range(6):
        labels = value_of("segmentation", frame)
        assert isinstance(labels, Mask)
        expected = labels.labels if frame in (0, 1, 4) else np.zeros((HEIGHT, WIDTH), np.uint8)
        assert np.array_equal(stack[frame], expected)
    ours = open_loop(path)
    assert ours.shape == (6, HEIGHT, WIDTH, 3)
    assert ours.frame_time_s == pytest.approx(0.04)
    assert ours.calibration is not None
    assert (ours.calibration.dy_mm, ours.calibration.dx_mm) == pytest.approx((0.5, 0.5))
    about = json.loads((path.parent / "labels.json").read_text(encoding="utf-8"))
    assert about["volumes"][0]["annotated_frames"] == [0, 1, 4]


def _uncalibrated(path: Path, kind: str) -> tuple[CineLoop, AnnotatedLoop]:
    loop = open_loop(video(path, np.repeat(moving_square(2, HEIGHT, WIDTH), 3, axis=0), "mpeg4"))
    return loop, annotated_loop(loop, TASKS[kind], [(2, value_of(kind, 2), "proposed")])


def test_without_a_scale_there_are_no_millimetres(tmp_path: Path) -> None:
    for kind in ("segmentation", "detection", "regression"):
        loop, annotated = _uncalibrated(tmp_path / f"{kind}.mp4", kind)
        export_annotations([annotated], tmp_path / f"{kind} csv", "csv")
        for path in (tmp_path / f"{kind} csv").iterdir():
            for row in table(path):
                assert [row[column] for column in row if "mm" in column] == [""] * sum("mm" in c for c in row)
                assert row["time_s"] == "0.08"
                assert row["fate"] == "proposed"
                assert row["scale"] in ("", loop.calibration_reason)
    export_annotations([_uncalibrated(tmp_path / "x.mp4", "segmentation")[1]], tmp_path / "nifti", "nifti")
    (path,) = (tmp_path / "nifti").rglob("*.nii.gz")
    volume = open_loop(path)
    assert volume.calibration is None, "pixels of unknown size are not of 1 mm"
    assert volume.frame_time_s == pytest.approx(0.04)


def test_without_the_file_a_store_exports_what_it_knows(setup: Setup, tmp_path: Path) -> None:
    with Store.open(setup.store) as store:
        loops = loops_of_store(store, ["cardiac_multi"])
        export_annotations(loops, tmp_path / "nifti", "nifti")
        export_annotations(loops, tmp_path / "csv", "csv")
    (path,) = (tmp_path / "nifti").rglob("*.nii.gz")
    assert sitk.ReadImage(str(path)).GetSize() == (WIDTH, HEIGHT, 1, 5), "it ends with the last annotated frame"
    assert open_loop(path).calibration is None
    assert {row["scale"] for row in table(tmp_path / "csv" / "cardiac_multi.csv")} == {
        "",
        "the loop's file was not given",
    }


def test_tables_measure(setup: Setup, tmp_path: Path) -> None:
    export_annotations([setup.annotated(kind) for kind in TASKS], tmp_path / "out", "csv")
    areas = table(tmp_path / "out" / "cardiac_multi.csv")
    assert len(areas) == 3 * 3
    assert [areas[0][c] for c in ("frame", "time_s", "fate", "label", "area_px", "area_mm2")] == [
        *("0", "0", "edited", "LV cavity"),
        *(str(200 - 12 + 12), "50"),
    ]
    assert [areas[0][c] for c in ("y_min", "x_min", "y_max", "x_max", "scale")] == [
        *("10", "5", "33", "44"),
        "from ultrasound region 1 of the file",
    ]
    assert [areas[3][c] for c in ("frame", "label", "area_px", "area_mm2", "y_min")] == ["1", "LV cavity", "0", "", ""]
    (box, *_) = table(tmp_path / "out" / "thyroid_nodule_det.csv")
    assert [box[c] for c in ("y_min", "x_min", "height_px", "width_px", "height_mm", "width_mm")] == [
        *("4.25", "3", "15.75", "27.5", "7.875", "13.75")
    ]
    points = table(tmp_path / "out" / "FUGC.csv")
    assert [points[0][c] for c in ("point", "visible", "y_px", "x_px", "y_mm", "x_mm")] == [
        *("internal os", "1", "10", "12.5", "5", "6.25")
    ]
    assert [points[2][c] for c in ("frame", "visible", "y_px", "x_mm")] == ["1", "0", "", ""]
    lengths = table(tmp_path / "out" / "FUGC_lengths.csv")
    assert [row["frame"] for row in lengths] == ["0", "4"]
    assert [lengths[0][c] for c in ("length", "px", "mm")] == ["length", "20", "10"]
    classes = table(tmp_path / "out" / "breast_2cls.csv")
    assert [(row["frame"], row["class"], row["index"]) for row in classes] == [
        ("0", "benign", "0"),
        ("1", "malignant", "1"),
        ("4", "benign", "0"),
    ]


def test_millimetres_stop_where_the_scale_does(setup: Setup, tmp_path: Path) -> None:
    beyond = Keypoints(np.array([[10.0, 20.0], [10.0, WIDTH - 2.0]]))
    loops = [annotated_loop(setup.loop, TASKS["regression"], [(0, beyond, "accepted")])]
    export_annotations(loops, tmp_path / "out", "csv")
    (length,) = table(tmp_path / "out" / "FUGC_lengths.csv")
    assert (length["px"], length["mm"]) == ("50", "")
    assert length["scale"] == "the points do not lie in one two-dimensional image"


def test_a_caller_that_mixes_things_up_is_told(setup: Setup) -> None:
    for kind, values in (
        ("detection", [(0, value_of("regression", 0), "edited")]),
        ("detection", [(9, value_of("detection", 0), "edited")]),
        ("detection", [(0, value_of("detection", 0), "edited")] * 2),
        ("segmentation", [(0, Mask(np.zeros((3, 3), np.uint8)), "edited")]),
    ):
        with pytest.raises(ValueError, match=r"value|frame|mask"):
            annotated_loop(setup.loop, TASKS[kind], values)  # type: ignore[arg-type]


def test_two_loops_that_start_alike_keep_apart(setup: Setup, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", create=True) as store:
        for end in ("a", "b"):
            record = Record("0" * 31 + end, 0, "cardiac_multi", "edited", value_of("segmentation", 0))
            store.save(record, setup.loop[0], TASKS["segmentation"])
        export_annotations(loops_of_store(store), tmp_path / "out", "png")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2
