"""One way to label a loop, from the opened window to the last frame accepted: what it took, and what came of it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from m2dino.cine.loop import CineLoop
from m2dino.scoring.masks import pixel_dice
from qtpy.QtCore import Qt

from tests.benchmarks.session.opened import open_session
from tests.benchmarks.session.outlines import Bools
from tests.benchmarks.session.person import Person
from tests.benchmarks.session.watch import Watch


@dataclass(frozen=True)
class Arm:
    """What help a person takes.

    Attributes
    ----------
    name : str
    predict : bool
        The model predicts the loop first.
    queue : bool
        Frames come up in the order of the queue, the least certain first; else in their order.
    carry : bool
        A frame that had to be corrected is carried to its neighbours, and the machine waited for.
    together : bool
        As soon as the window suggests frames to accept together, they are, unseen.
    """

    name: str
    predict: bool = False
    queue: bool = False
    carry: bool = False
    together: bool = False


ARMS = (
    Arm("all by hand"),
    Arm("by hand, carried", carry=True),
    Arm("prediction", predict=True),
    Arm("prediction, queue", predict=True, queue=True),
    Arm("prediction, queue, carried", predict=True, queue=True, carry=True),
    Arm("prediction, queue, rest together", predict=True, queue=True, together=True),
)


def run(arm: Arm, frames: Path | None, truth: dict[int, Bools], task: str, bar: float) -> dict[str, Any]:
    """Label every frame that has a truth, in a new window; return the figures of the arm.

    Parameters
    ----------
    arm : Arm
    frames : Path or None
        Anything that opens as a loop; None: the sample loop.
    truth : dict of int to ndarray of bool, shape (H, W)
        By frame; the frames after the last are closed to the person, who never goes there.
    task : str
        A segmentation task with one class.
    bar : float
        Dice against the truth from which on a frame is accepted as it stands.
    """
    began = time.perf_counter()
    watch = Watch()
    _, dock = open_session(watch, frames, task, (1240, 820))
    workshop = dock.workshop
    desk = workshop.desk
    watch.pause(1.5)
    assert desk.loop is not None
    check(desk.loop, truth)
    desk.go_to(0)
    watch.begin("session")
    person = Person(dock, watch, truth, bar)
    order = review(person, arm)
    watch.wait(lambda: workshop.autosave.unkept == 0, "all to be saved")
    watch.pause(1)
    scores = [pixel_dice(person.value(frame), truth[frame]) for frame in truth]
    tally, count = person.tally, len(truth)
    return {
        **asdict(arm),
        "frames": count,
        "actions": dict(tally.actions),
        "person_s": tally.person_s,
        "waited_s": tally.waited_s,
        "corrected": sum(one.corrected for one in person.frames.values()),
        "looked_at": tally.looked_at,
        "left_below_90": sum(bool(score < 0.9) for score in scores),
        "dice_found": float(np.mean([one.before for one in person.frames.values()])),
        "dice_left": float(np.mean(scores)),
        "least_left": float(np.min(scores)),
        "order": order,
        "before": {frame: one.before for frame, one in person.frames.items()},
        "saved": workshop.reviewing.holdings.training if workshop.reviewing.holdings else 0,
        "machine_s": time.perf_counter() - began,
        "longest_own_ms": 1e3 * max(watch.phases["session"].own),
    }


def check(loop: CineLoop, truth: dict[int, Bools]) -> None:
    """Refuse a truth that is not one of every frame of the loop."""
    size = (loop.height, loop.width)
    if sorted(truth) != list(range(len(loop))) or any(one.shape != size for one in truth.values()):
        raise SystemExit(f"The masks do not fit the loop: one of {size} is needed for each of its {len(loop)} frames.")


def review(person: Person, arm: Arm) -> list[int]:
    """Go through the loop until every frame is decided on; return the order."""
    workshop, order = person.dock.workshop, []
    reviewing, carrying = workshop.reviewing, workshop.hand.carrying
    if arm.predict:
        person.press(Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
        person.wait(lambda: not workshop.predicting.running, "the predictions")
    if person.layer is not None:
        workshop.desk.viewer.layers.selection.active = person.layer
    person.dock.review.moves_on.setChecked(False)
    reviewing.queue.order = "confidence" if arm.queue else "index"
    if arm.queue:
        person.press(Qt.Key.Key_N)
    while True:
        order.append(person.desk.frame)
        corrected = person.decide()
        if arm.together:
            person.accept_suggested()
        if len(person.frames) == len(person.truth):
            return order
        if len(order) > 3 * len(person.truth):
            raise SystemExit(f"{sorted(person.truth.keys() - person.frames.keys())}: these frames were not come by.")
        if arm.carry and corrected:
            person.press(Qt.Key.Key_G)
            person.wait(lambda: not carrying.errand.running, "the end of carrying")
        # The window's own going on after a decision would spare this key; here it comes after the carrying.
        # Not faster than a hand taps, or the key would count as held and pass over frames.
        person.watch.pause(0.1)
        person.press(Qt.Key.Key_N if arm.queue else Qt.Key.Key_Right)
        person.watch.pause(0.05)
