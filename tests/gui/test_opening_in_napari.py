"""Opening through napari itself, the dock closed: every kind of file, several at once, and when a question is asked."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine.opening import loop_paths
from m2dino.errors import AmbiguousLoopError, LoopError
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from napari.viewer import Viewer
from npe2 import PluginManager
from PIL import Image as Picture
from pydicom.data import get_testdata_file
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_m2dino.loop_layer import LOOP_KEY, loop_of
from napari_m2dino.opening.file_kinds import ENDINGS, dialog_filter, is_for_loops
from napari_m2dino.widgets.axis_dialog import AxisDialog
from napari_m2dino.widgets.loop_chooser import LoopChooser
from napari_m2dino.widgets.opening_bar import OpeningBar
from tests.cine.making import PATIENT, PATIENT_ID, jpeg_loop, moving_square, region, video

FRAMES = moving_square(6, 40, 52)
OURS = "napari-m2dino"


@pytest.fixture(autouse=True)
def _plugins() -> None:
    PluginManager.instance().discover()


def dicom(path: Path) -> Path:
    return jpeg_loop(path, FRAMES)


def volume(path: Path) -> Path:
    image = sitk.GetImageFromArray(FRAMES[:, None, ..., 0], isVector=False)
    image.SetSpacing((0.2, 0.3, 1.0, 0.04))
    if path.suffix in (".nrrd", ".nhdr", ".mha", ".mhd"):
        image = sitk.GetImageFromArray(FRAMES[..., 0][:1], isVector=False)
    sitk.WriteImage(image, str(path))
    return path


def array(path: Path) -> Path:
    (np.savez if path.suffix == ".npz" else np.save)(path, FRAMES)
    return path


def pages(path: Path) -> Path:
    first, *others = [Picture.fromarray(frame) for frame in FRAMES]
    if path.suffix.lower().startswith(".tif"):
        first.save(path, save_all=True, append_images=others)
    else:
        first.save(path)
    return path


def film(path: Path) -> Path:
    codec = {".gif": "gif", ".webm": "libvpx", ".wmv": "wmv2", ".mpg": "mpeg2video", ".mpeg": "mpeg2video"}
    if path.suffix.lower() in (".ts", ".m2ts", ".mts"):
        return video(path, FRAMES, "mpeg2video")
    return video(path, FRAMES, codec.get(path.suffix.lower(), "mpeg4"))


MAKERS = {"DICOM": dicom, "Videos": film, "Volumes": volume, "NumPy arrays": array, "Pictures": pages}


@pytest.mark.parametrize(("kind", "ending"), [(kind, ending) for kind, all_of in ENDINGS.items() for ending in all_of])
def test_every_kind_that_the_engine_reads_opens_by_our_reader(tmp_path: Path, kind: str, ending: str) -> None:
    viewer = ViewerModel()
    (layer,) = viewer.open(MAKERS[kind](tmp_path / f"a{ending}"), plugin=OURS)
    assert layer.rgb
    assert layer.ndim == 3
    assert layer.data[0].std() > 10


@pytest.mark.parametrize(
    "name",
    [
        "LOOP.DCM",
        "im.1.DCM",
        "IM000001",
        "US1_RLE",
        "a_long_name_without_ending",
        "1.2.840.113619.2.98",
        "US.1.2.840.5.1.3",
    ],
)
def test_dicom_opens_whatever_its_name(tmp_path: Path, name: str) -> None:
    (layer,) = ViewerModel().open(dicom(tmp_path / name), plugin=OURS)
    assert layer.data.shape == (6, 40, 52, 3)


def test_upper_case_endings_open_as_well(tmp_path: Path) -> None:
    for name, make in (("A.AVI", film), ("A.NII.GZ", volume), ("A.TIF", pages)):
        made = make(tmp_path / name.lower())
        assert ViewerModel().open(made.rename(tmp_path / name), plugin=OURS), name


def test_the_plugin_does_not_offer_itself_for_other_files() -> None:
    readers = PluginManager.instance().iter_compatible_readers
    for name in ("notes.txt", "table.csv", "weights.safetensors", "scan_1.5T.h5", "run.py", "masks.zarr", ".DS_Store"):
        assert OURS not in [reader.plugin_name for reader in readers(f"/data/some.folder/{name}")], name


def test_the_file_dialog_offers_all_of_them_in_both_cases() -> None:
    told = dialog_filter().split(";;")[0].removeprefix("Loops (").removesuffix(")").split()
    for name in ("*.wmv", "*.WMV", "*.nii.gz", "*.NII.GZ", "*.npz", "*.ima", "DICOMDIR"):
        assert name in told, name


def test_what_is_taken_of_files_dropped_on_the_image(tmp_path: Path) -> None:
    (tmp_path / "visit").mkdir()
    (tmp_path / "masks.zarr").mkdir()
    for names, ours in (
        (["a.dcm", "IM0001", "b.MP4", "visit"], True),
        (["a.dcm", "mask.tif"], False),
        (["mask.png"], False),
        (["values.npy"], False),
        (["masks.zarr"], False),
        (["table.csv"], False),
    ):
        assert is_for_loops([tmp_path / name for name in names]) is ours, names


def test_a_disc_and_a_folder_open_with_all_loops_in_a_script(tmp_path: Path) -> None:
    disc = Path(str(get_testdata_file("DICOMDIR", download=False)))
    assert len(ViewerModel().open(disc, plugin=OURS)) == 31
    for k in range(3):
        jpeg_loop(tmp_path / f"IM{k}", moving_square(k + 2))
    assert [layer.data.shape[0] for layer in ViewerModel().open(tmp_path, plugin=OURS)] == [2, 3, 4]


def test_without_a_window_an_unknown_axis_is_a_typed_error_that_says_what_to_pass(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES[..., 0])
    with pytest.raises(AmbiguousLoopError, match=r"frame_axis \(0 gives 6 frames of 52 × 40"):
        ViewerModel().open(tmp_path / "a.npy", plugin=OURS)
    (tmp_path / "letter.dcm").write_text("Dear colleague")
    with pytest.raises(LoopError, match=r"letter\.dcm"):
        ViewerModel().open(tmp_path / "letter.dcm", plugin=OURS)


# -- with a window -------------------------------------------------------------------------------------------------


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    return make_napari_viewer(show=True)


def asked(qtbot: QtBot, kind: type) -> Iterator[Any]:
    def found() -> list[Any]:
        return [one for one in QApplication.topLevelWidgets() if isinstance(one, kind) and one.isVisible()]

    qtbot.waitUntil(lambda: bool(found()), timeout=15_000)
    return found()[0]


def by_hand(viewer: Viewer, paths: Path | list[Path]) -> None:
    """Open as a menu or a drop does: from within the event loop."""
    QTimer.singleShot(0, lambda: viewer.open(paths, plugin=OURS))


def test_several_files_at_once_and_one_of_them_bad(viewer: Viewer, tmp_path: Path) -> None:
    paths = [jpeg_loop(tmp_path / "a.dcm", moving_square(3)), tmp_path / "letter.dcm", film(tmp_path / "b.mp4")]
    paths[1].write_text("Dear colleague")
    layers = viewer.open(paths, plugin=OURS)
    assert [layer.data.shape[0] for layer in layers] == [3, 6]
    told = [note.message for note in notification_manager.records]
    assert [text for text in told if "letter.dcm" in text and "Traceback" not in text]


def test_a_bad_loop_in_a_folder_leaves_the_others(viewer: Viewer, tmp_path: Path) -> None:
    for k in range(3):
        jpeg_loop(tmp_path / f"IM{k}", moving_square(k + 2))
    (tmp_path / "IM1").write_bytes((tmp_path / "IM1").read_bytes()[:400])
    assert [layer.data.shape[0] for layer in viewer.open(tmp_path, plugin=OURS)] == [2, 4]
    assert [note for note in notification_manager.records if "IM1" in note.message]


def test_a_script_with_a_window_is_not_held_up_by_questions(viewer: Viewer, tmp_path: Path) -> None:
    for k in range(3):
        jpeg_loop(tmp_path / f"IM{k}", moving_square(k + 2))
    assert len(viewer.open(tmp_path, plugin=OURS)) == 3
    np.save(tmp_path / "a.npy", FRAMES[..., 0])
    with pytest.raises(AmbiguousLoopError, match="frame_axis"):
        viewer.open(tmp_path / "a.npy", plugin=OURS)


def test_a_person_is_asked_which_loops_of_a_folder(viewer: Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    for k in range(3):
        jpeg_loop(tmp_path / f"IM{k}", moving_square(k + 2))
    by_hand(viewer, tmp_path)
    dialog = asked(qtbot, LoopChooser)
    assert not viewer.layers
    dialog.none.click()
    dialog.list.item(1).setCheckState(dialog.list.item(1).checkState().__class__.Checked)
    dialog.accept()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=15_000)
    assert viewer.layers[0].data.shape[0] == 3


def test_files_dropped_without_the_dock_open_one_a_turn_and_say_how_many(
    viewer: Viewer, qtbot: QtBot, tmp_path: Path
) -> None:
    paths = [jpeg_loop(tmp_path / f"{k}.dcm", moving_square(k + 2)) for k in range(5)]
    # What napari's canvas does with dropped files, the reader already chosen: it would ask in a dialog of its own.
    take, window = viewer.window._qt_viewer._qt_open, viewer.window._qt_window
    seen: list[tuple[int, str]] = []
    clock = QTimer(window)
    clock.timeout.connect(
        lambda: seen.extend(
            (len(viewer.layers), x.bar.text()) for x in window.findChildren(OpeningBar) if x.isVisible()
        )
    )
    clock.start(0)
    QTimer.singleShot(0, lambda: take([str(path) for path in paths], stack=False, plugin=OURS))
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=15_000)
    assert [layer.data.shape[0] for layer in viewer.layers] == [2, 3, 4, 5, 6], "in the order of the files"
    assert [layer.visible for layer in viewer.layers] == [True, False, False, False, False]
    assert {(2, "Opening 3 of 5"), (4, "Opening 5 of 5")} <= set(seen)
    qtbot.waitUntil(lambda: not window.findChildren(OpeningBar), timeout=5_000)
    clock.stop()


def test_a_file_opened_from_code_within_the_event_loop_is_returned(
    viewer: Viewer, qtbot: QtBot, tmp_path: Path
) -> None:
    path, opened = jpeg_loop(tmp_path / "a.dcm", moving_square(3)), []
    QTimer.singleShot(0, lambda: opened.extend(viewer.open(path, plugin=OURS)))
    qtbot.waitUntil(lambda: bool(opened), timeout=10_000)
    assert opened[0].data.shape[0] == 3


def test_a_person_is_asked_for_the_axis(viewer: Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES[..., 0])
    by_hand(viewer, tmp_path / "a.npy")
    dialog = asked(qtbot, AxisDialog)
    dialog.group.button(2).click()
    dialog.accept()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=15_000)
    assert viewer.layers[0].data.shape == (52, 6, 40, 3)


def test_closing_the_window_over_a_question_ends_it(viewer: Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES[..., 0])
    by_hand(viewer, tmp_path / "a.npy")
    asked(qtbot, AxisDialog)
    viewer.close()
    qtbot.wait(200)


def test_the_layer_is_calibrated_and_plays_without_the_dock(viewer: Viewer, tmp_path: Path) -> None:
    path = jpeg_loop(
        tmp_path / "a.dcm", moving_square(5, 100, 140), FrameTime=40.0, SequenceOfUltrasoundRegions=[region()]
    )
    (layer,) = viewer.open(path, plugin=OURS)
    assert tuple(layer.scale) == pytest.approx((1, 0.5, 0.5))
    assert [str(unit) for unit in layer.units] == ["pixel", "millimeter", "millimeter"]
    assert layer.axis_labels == ("t", "y", "x")
    loop = loop_of(layer)
    assert loop is not None
    assert loop.frame_time_s == pytest.approx(0.04)
    for frame in (3, 4, 0):
        viewer.dims.set_current_step(0, frame)
        assert np.array_equal(layer._slice.image.view, loop[frame])


def test_a_calibrated_and_an_uncalibrated_loop_lie_side_by_side(viewer: Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    scaled = jpeg_loop(tmp_path / "a.dcm", moving_square(5, 100, 140), SequenceOfUltrasoundRegions=[region()])
    plain = jpeg_loop(tmp_path / "b.dcm", moving_square(7, 90, 120))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        first, second, again = viewer.open([scaled, plain, scaled], plugin=OURS)
        qtbot.wait(200)  # they are drawn
        viewer.dims.set_current_step(0, 6)
        qtbot.wait(100)
    assert first.name != again.name
    assert loop_of(first) is not loop_of(again)
    assert loop_of(first).identity == loop_of(again).identity
    viewer.layers.remove(first)
    assert again.data[2].std() > 10
    assert second.data[6].std() > 10


def words_of(thing: object, seen: dict[int, object], depth: int = 0) -> Iterator[str]:
    """Yield every text that can be reached from `thing`."""
    if id(thing) in seen or depth > 12:
        return
    seen[id(thing)] = thing  # kept, so that no other object gets its id
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, bytes | bytearray):
        yield thing.decode("latin-1")
    elif isinstance(thing, dict):
        for pair in thing.items():
            yield from words_of(pair, seen, depth + 1)
    elif isinstance(thing, list | tuple | set):
        for one in thing:
            yield from words_of(one, seen, depth + 1)
    elif dataclasses.is_dataclass(thing) or type(thing).__module__.startswith(("m2dino", "napari_m2dino", "pydicom")):
        if hasattr(thing, "value"):
            yield str(thing.value)
        yield from words_of(getattr(thing, "__dict__", {}), seen, depth + 1)


def test_nothing_of_the_patient_is_in_the_layer(tmp_path: Path) -> None:
    path = jpeg_loop(
        tmp_path / "a.dcm", FRAMES, StudyDescription="Follow-up of Jane Doe", InstitutionName="St. Elsewhere"
    )
    (layer,) = ViewerModel().open(path, plugin=OURS)
    assert list(layer.metadata) == [LOOP_KEY]
    shown = [str(layer), repr(layer.metadata), repr(layer.as_layer_data_tuple()), layer.name]
    reached = [*shown, *words_of(layer.metadata, {}), *words_of(layer.data, {})]
    assert any(loop_of(layer).identity in text for text in reached), "the search does reach the loop"
    for secret in (PATIENT, "Doe", PATIENT_ID, "20010203", "Elsewhere"):
        assert not [text for text in reached if secret in text.replace(str(tmp_path), "")], secret


def test_loop_paths_of_a_folder_named_after_a_patient_stay_out_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "Doe_Jane"
    folder.mkdir()
    for k in range(2):
        pages(folder / f"Doe_{k}.png")
    assert loop_paths(folder) == [folder]
    (layer,) = ViewerModel().open(folder, plugin=OURS)
    assert "Doe" not in layer.name
