"""A real window killed at random moments: whatever it had reported as kept is there, and the store is sound."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
from m2dino.data.store import Store

from napari_m2dino.contents import labels_of_content

KILLS = int(os.environ.get("M2DINO_TEST_GUI_KILLS", "4"))
TASK = "carotid_artery"
PERSON = textwrap.dedent("""
    # A person at the real desk, without a window's pixels: paints, accepts, rejects, undoes; tells what is on the disk.
    import hashlib, json, sys, random
    from pathlib import Path
    from pydicom.examples import get_path
    from napari.components import ViewerModel
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication
    import m2dino
    from napari_m2dino.autosave import Autosave
    from napari_m2dino.desk import Desk
    from napari_m2dino.loop_layer import add_loop
    from napari_m2dino.reviewing import Reviewing
    from napari_m2dino.session import FrameState

    application = QApplication([])
    chance = random.Random(int(sys.argv[2]))
    desk = Desk(ViewerModel())
    autosave = Autosave(Path(sys.argv[1]), "seat")
    reviewing = Reviewing(desk, autosave)
    reviewing.moves_on = False
    add_loop(desk.viewer, m2dino.open_loop(get_path("ybr_color")))
    desk.open()
    desk.choose_task(desk.tasks["carotid_artery"])
    reviewing.new_label()
    layer = desk.result.layer

    def report():
        '''Say where every frame stands, if all of it is on the disk.'''
        said = {}
        for frame in range(8):
            state = desk.session.state(frame).value
            said[frame] = [state, hashlib.sha256(layer.data[frame].tobytes()).hexdigest()]
        print(json.dumps(said), flush=True)

    def act():
        frame, history = chance.randrange(8), reviewing.ledger.history
        what = chance.choice(["accept", "reject", "paint", "paint", "undo", "redo", "take_back"])
        step = {"undo": history.next_undo, "redo": history.next_redo}.get(what)
        touched = [change.frame for change in step.changes] if step else [frame]
        print(json.dumps(touched), flush=True)
        if what in ("undo", "redo"):
            getattr(reviewing, what)()
        else:
            desk.go_to(frame)
            layer.brush_size = 12
            layer.paint((frame, chance.randrange(240), chance.randrange(320)), 1)
            reviewing.look()
            if what != "paint":
                getattr(reviewing, what)()
        reviewing.look()
        wait()

    def wait():
        if autosave.unkept:
            QTimer.singleShot(2, wait)
        else:
            report()
            QTimer.singleShot(0, act)

    print(desk.loop.identity, flush=True)
    QTimer.singleShot(300, act)
    application.exec()
""")


def test_killed_at_any_moment_all_that_was_reported_is_there(tmp_path: Path) -> None:
    script = tmp_path / "person.py"
    script.write_text(PERSON)
    folder, chance, actions = tmp_path / "dataset", random.Random(11), 0
    for turn in range(KILLS):
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(turn)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3 + chance.randrange(9))]
        time.sleep(chance.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        told = [json.loads(line) for line in lines[1:] if line.endswith(("}\n", "]\n"))]
        reports = [one for one in told if isinstance(one, dict)]
        under_way = told[-1] if isinstance(told[-1], list) else []
        actions += len(reports)
        assert losses(folder, lines[0].strip(), reports[-1], under_way) == []
    print(f"{KILLS} kills, {actions} reported actions")


def losses(folder: Path, loop: str, reported: dict[str, list[str]], under_way: list[int]) -> list[tuple[int, str, str]]:
    """Return the frames that stand otherwise in the store than was reported, but for those being worked on."""
    wrong = []
    with Store.open(folder) as store:
        assert store.check() == []
        drafts = {draft.frame: draft for draft in store.drafts(loop, TASK)}
        for number, (state, pixels) in reported.items():
            frame = int(number)
            record, draft = store.get(loop, frame, TASK), drafts.get(frame)
            if draft is not None and draft.content is not None:
                there, kept = "changed, not accepted", labels_of_content(draft.content)
            elif record is not None:
                there, kept = record.fate, record.value.labels if record.value is not None else None
            else:
                there, kept = "blank", np.zeros((240, 320), np.uint8)
            found = hashlib.sha256(kept.tobytes()).hexdigest() if kept is not None else pixels
            if (there, found) != (state, pixels) and frame not in under_way:
                wrong.append((frame, state, there))
    return wrong


def test_a_loss_would_be_seen(tmp_path: Path) -> None:
    Store.open(tmp_path, create=True).close()
    assert losses(tmp_path, "a" * 32, {"3": ["edited", "0"], "4": ["edited", "0"]}, [4]) == [(3, "edited", "blank")]
