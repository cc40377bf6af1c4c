"""Reader, writers and samples through napari's own plugin machinery."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import m2dino
import numpy as np
import pytest
from m2dino.errors import LoopError, StoreWriteError, UsageError
from m2dino.values import Box
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.notifications import notification_manager
from napari.viewer import Viewer
from npe2 import PluginManager, PluginManifest
from npe2.io_utils import read, write
from PIL import Image as Picture
from pydicom.examples import get_path

from napari_m2dino.layers import rectangle_from_box
from napari_m2dino.loop_layer import image_layer, loop_of
from napari_m2dino.sample_data import carotid, echo
from napari_m2dino.writer import write_labels


@pytest.fixture(autouse=True)
def manager() -> PluginManager:
    manager = PluginManager.instance()
    if "napari-m2dino" not in manager:
        manager.register(PluginManifest.from_distribution("napari-m2dino"))
    return manager


def test_a_dicom_cine_opens_as_one_rgb_layer() -> None:
    ((data, options, kind),) = read([str(get_path("ybr_color"))], stack=False, plugin_name="napari-m2dino")
    layer = Image(data, **options)
    assert kind == "image"
    assert layer.rgb
    assert layer.ndim == 3
    assert layer.axis_labels == ("t", "y", "x")
    assert [str(unit) for unit in layer.units] == ["pixel"] * 3, "its calibration does not fit, so there is none"
    assert loop_of(layer) is data.loop
    patient = m2dino_patient(get_path("ybr_color"))
    assert not [word for word in patient if word in layer.name]


def m2dino_patient(path: Path) -> list[str]:
    """Return the words of the header that could name the patient."""
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True)
    return [str(header.get(key)) for key in ("PatientName", "PatientID") if header.get(key)]


def test_a_folder_of_pictures_opens_as_one_loop(tmp_path: Path) -> None:
    for index in range(3):
        Picture.fromarray(np.full((20, 30, 3), 40 * index, np.uint8)).save(tmp_path / f"{index}.png")
    ((data, options, _),) = read([str(tmp_path)], stack=False, plugin_name="napari-m2dino")
    assert data.shape == (3, 20, 30, 3)
    assert str(tmp_path.name) not in options["name"]


def test_what_is_no_loop_is_a_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "letter.dcm").write_text("Dear colleague")
    with pytest.raises(LoopError, match=r"letter\.dcm"):
        read([str(tmp_path / "letter.dcm")], stack=False, plugin_name="napari-m2dino")


def test_in_a_window_a_bad_file_is_told_and_nothing_opens(
    make_napari_viewer: Callable[..., Viewer], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    (tmp_path / "letter.dcm").write_text("Dear colleague")
    assert viewer.open(tmp_path / "letter.dcm", plugin="napari-m2dino") == []
    told = [note.message for note in notification_manager.records]
    assert any("letter.dcm" in message and "Traceback" not in message for message in told)


def test_the_samples_are_real_loops() -> None:
    for sample, shape in ((carotid, (40, 749, 709, 3)), (echo, (30, 240, 320, 3))):
        ((array, options, _),) = sample()
        assert array.shape == shape
        assert options["name"].startswith("sample")
        assert array[0].std() > 10


def test_masks_are_written_one_png_a_frame(tmp_path: Path) -> None:
    stack = np.zeros((3, 8, 9), np.uint8)
    stack[1, 2:4, 5] = 2
    paths = write(str(tmp_path / "masks.png"), [Labels(stack).as_layer_data_tuple()], plugin_name="napari-m2dino")
    assert [Path(path).name for path in paths] == ["frame_0001.png"]
    assert np.array_equal(np.asarray(Picture.open(paths[0])), stack[1])
    with pytest.raises(UsageError, match="Nothing is painted"):
        write_labels(str(tmp_path / "empty.png"), np.zeros((2, 4, 4), np.uint8), {})


def test_saving_again_removes_the_masks_of_frames_that_were_erased(tmp_path: Path) -> None:
    stack = np.zeros((4, 8, 9), np.uint8)
    stack[1, 2:4, 5] = 2
    stack[3, 0, 0] = 1
    write_labels(str(tmp_path / "masks.png"), stack, {})
    folder = tmp_path / "masks"
    others = {"frame_0000.png", "frame_0002.png", "frame_3.png", "notes.txt", "frame_0003.csv"}
    # Frames themselves, in grey and in colour.
    Picture.fromarray(np.full((8, 9), 200, np.uint8)).save(folder / "frame_0000.png")
    Picture.new("RGB", (9, 8)).save(folder / "frame_0002.png")
    for name in ("frame_3.png", "notes.txt", "frame_0003.csv"):
        (folder / name).write_text("not ours")
    assert {file.name for file in folder.iterdir()} == {"frame_0001.png", "frame_0003.png", *others}
    stack[3] = 0
    (path,) = write_labels(str(tmp_path / "masks.png"), stack, {})
    assert np.array_equal(np.asarray(Picture.open(path)), stack[1])
    assert {file.name for file in folder.iterdir()} == {"frame_0001.png", *others}
    with pytest.raises(UsageError, match="Nothing is painted"):
        write_labels(str(tmp_path / "masks.png"), np.zeros_like(stack), {})
    assert {file.name for file in folder.iterdir()} == {"frame_0001.png", *others}


def test_boxes_and_points_are_written_in_original_pixels(tmp_path: Path) -> None:
    loop = m2dino.open_loop(get_path("ybr_color"))
    metadata = image_layer(loop)[1]["metadata"]
    shapes = Shapes([rectangle_from_box(4, Box(10, 20, 30, 50))], ndim=3, metadata=metadata, scale=(1, 0.2, 0.3))
    write(str(tmp_path / "boxes.csv"), [shapes.as_layer_data_tuple()], plugin_name="napari-m2dino")
    assert list(csv.reader((tmp_path / "boxes.csv").open())) == [
        ["frame", "y_min", "x_min", "y_max", "x_max"],
        ["4", "10.000", "20.000", "30.000", "50.000"],
    ]
    points = Points([[2, 3.5, 4.25]], features={"name": ["BPD upper"]}, scale=(1, 0.2, 0.3))
    write(str(tmp_path / "points.csv"), [points.as_layer_data_tuple()], plugin_name="napari-m2dino")
    assert list(csv.reader((tmp_path / "points.csv").open()))[1] == ["2", "BPD upper", "3.500", "4.250"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    taken = tmp_path / "masks"
    taken.write_text("a file where the folder should go")
    with pytest.raises(StoreWriteError, match="choose another place"):
        write_labels(str(tmp_path / "masks.png"), np.ones((2, 4, 4), np.uint8), {})
    assert taken.read_text() == "a file where the folder should go"
    assert [entry.name for entry in tmp_path.iterdir()] == ["masks"]
