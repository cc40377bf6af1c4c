"""Keys that a person changes: at once in force, kept, and never another action's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence

from napari_m2dino.keys import Keys, KeyTakenError
from napari_m2dino.napari_keys import in_one_writing, keys_of_napari
from napari_m2dino.session import FrameState
from napari_m2dino.shortcuts import SHORTCUTS, table
from napari_m2dino.widgets.dock import M2DinoDock
from napari_m2dino.widgets.keys_dialog import KeysDialog

IDS = [one.id for one in SHORTCUTS]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("M2DINO_STATE", str(folder))
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "keys.json"


def choose(dialog: KeysDialog, hand: Any, shortcut_id: str, key: Qt.Key, held: Any = None) -> None:
    """Choose a line and press a key in the field, as a person would."""
    dialog.table.selectRow(IDS.index(shortcut_id))
    hand.qtbot.keyClick(dialog.edit, key, held or Qt.KeyboardModifier.NoModifier)
    hand.click(dialog.change)


def test_a_changed_key_works_at_once_is_named_by_its_button_and_is_there_next_time(
    state: Path, echo_dock: M2DinoDock, hand: Any, open_dock: Callable[[], M2DinoDock]
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    hand.click(dock.keys)
    (dialog,) = dock.findChildren(KeysDialog)
    choose(dialog, hand, "accept", Qt.Key.Key_F5)
    assert dialog.words.text() == "“Accept the frame” has the key F5 now."
    assert dialog.table.item(0, 0).text() == "F5"
    assert "[F5]" in dock.review.accept.toolTip()
    dialog.reject()
    layer = desk.result.layer
    keymaps = [dict(one.keymap) for one in (dock.viewer, desk.loop_layer(), layer)]
    for keymap in keymaps:
        names = {str(key) for key in keymap}
        assert "F5" in names
        assert "A" not in names
    desk.go_to(3)
    canvas = dock.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    hand.qtbot.keyClick(canvas, Qt.Key.Key_A)
    assert desk.session.state(3) is FrameState.PROPOSED
    hand.qtbot.keyClick(canvas, Qt.Key.Key_F5)
    assert desk.session.state(3) is FrameState.ACCEPTED
    hand.all_saved(dock)
    assert open_dock().workshop.keys.changes() == {"accept": "F5"}
    dock.close_down()
    assert not any(str(key) == "F5" for key in layer.keymap)


@pytest.mark.parametrize(
    ("key", "held", "named"),
    [
        (Qt.Key.Key_X, None, "Reject the frame as unusable"),
        (Qt.Key.Key_3, None, "Choose class 3 of the frame"),
        (Qt.Key.Key_E, None, "Activate the label eraser"),
        (Qt.Key.Key_S, None, "Select points"),
        (Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier, "napari’s key of"),
    ],
)
def test_a_key_that_is_taken_is_refused_by_the_name_of_what_has_it(
    dock: M2DinoDock, file: Path, hand: Any, qtbot: QtBot, key: Qt.Key, held: Any, named: str
) -> None:
    keys = Keys(file)
    dialog = KeysDialog(keys)
    qtbot.addWidget(dialog)
    dialog.show()
    choose(dialog, hand, "accept", key, held)
    assert named in dialog.words.text()
    assert keys.key("accept") == "A"
    assert not file.exists()


def test_two_keys_in_a_row_and_keys_that_napari_does_not_know_are_refused(file: Path) -> None:
    keys = Keys(file, dict)
    for key in ("Ctrl+K, Ctrl+C", "Shift+1", "Tab", "Ä", "Media Play"):
        with pytest.raises(KeyTakenError, match="cannot be a key here"):
            keys.change("accept", key)
    keys.change("accept", "PgUp")
    keys.change("next", "Ctrl+Alt+N")
    keys.change("reject", "A")
    assert keys.changes() == {"accept": "PageUp", "next": "Control-Alt-N", "reject": "A"}
    assert table(keys.all())[2] == ("Ctrl+Alt+N", "Go to the next frame to review")


def test_a_key_can_be_taken_away_and_all_set_back(file: Path, hand: Any, qtbot: QtBot) -> None:
    keys = Keys(file, dict)
    dialog = KeysDialog(keys)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.change.isEnabled()
    dialog.table.selectRow(IDS.index("hide_point"))
    hand.click(dialog.none)
    assert keys.shown("hide_point") == ""
    assert Keys(file).tip("Hide", "hide_point") == "Hide"
    choose(dialog, hand, "carry", Qt.Key.Key_H)
    hand.click(dialog.default)
    assert Keys(file).changes() == {"hide_point": ""}
    hand.click(dialog.defaults)
    assert Keys(file).changes() == {} == keys.changes()
    assert not dialog.defaults.isEnabled()


def test_two_windows_keep_both_changes_and_a_damaged_file_gives_the_defaults(file: Path) -> None:
    one, two = Keys(file, dict), Keys(file, dict)
    one.change("accept", "F5")
    two.change("reject", "F6")
    assert Keys(file).changes() == {"accept": "F5", "reject": "F6"}
    with pytest.raises(KeyTakenError, match="Reject the frame"):
        one.change("next", "F6")
    for text in (
        "{",
        "[]",
        '{"version": 2, "keys": {}}',
        '{"version": 1, "keys": {"accept": "X"}}',
        '{"version": 1, "keys": {"gone": "F7"}}',
        '{"version": 1, "keys": {"accept": 7}}',
        '{"version": 1, "keys": {"accept": "Ctrl+K, Ctrl+C"}}',
    ):
        file.write_text(text)
        assert Keys(file).changes() == {}, text


def test_settings_that_cannot_be_written_are_told_and_the_key_holds_for_the_window(
    file: Path, hand: Any, qtbot: QtBot
) -> None:
    file.parent.write_text("a file where the folder should go")
    keys = Keys(file, dict)
    dialog = KeysDialog(keys)
    qtbot.addWidget(dialog)
    dialog.show()
    choose(dialog, hand, "accept", Qt.Key.Key_F5)
    assert dialog.words.text() == "The keys hold for this window only: your settings cannot be written."
    assert keys.key("accept") == "F5"


def test_keys_of_layers_menus_and_viewer_are_known(dock: M2DinoDock) -> None:
    known = keys_of_napari()
    assert known["E"] == "Activate the label eraser"
    assert {"Control-Q", "Control-R", "V", "Escape", "Delete"} <= set(known)
    assert in_one_writing(QKeySequence(Qt.Key.Key_PageDown).toString()) == "PageDown"


def test_number_keys_choose_the_class_and_leave_the_other_keys_alive(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    desk.choose_task(desk.tasks["breast_2cls"])
    hand.predict_all(dock)
    desk.go_to(2)
    canvas = dock.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    for key, index in ((Qt.Key.Key_2, 1), (Qt.Key.Key_1, 0)):
        hand.qtbot.keyClick(canvas, key)
        assert desk.result.value(2).index == index
    hand.qtbot.keyClick(canvas, Qt.Key.Key_A)
    assert desk.session.state(2) in (FrameState.ACCEPTED, FrameState.EDITED)
