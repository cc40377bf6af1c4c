"""The stations of the tour, in the order of the work."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from napari_m2dino.tour.hand import Hand, TourError
from napari_m2dino.tour.report import Report
from napari_m2dino.tour.truth import mean_dice

TASK = "carotid_artery"
CORRECTED = 8
"""Frames that the tour corrects or accepts before fine-tuning."""


class Tour:
    """The stations; `run` yields (title, picture name) after each."""

    def __init__(self, hand: Hand, report: Report, truth: dict[int, NDArray[np.uint8]]) -> None:
        self.hand = hand
        self.report = report
        self.truth = truth
        self.dock = hand.dock
        self.workshop = hand.dock.workshop
        self.desk = self.workshop.desk
        self.decided: list[int] = []
        self.before = 0.0

    def run(self) -> Iterator[str]:
        """Go from station to station; yield the title of each when it is reached."""
        self.open()
        yield "open the sample loop"
        self.predict_one()
        yield "predict this frame"
        self.predict_all()
        yield "predict all frames"
        self.correct()
        yield "correct the least certain frame"
        self.accept()
        yield "accept and save"
        self.review_more()
        yield "review more frames"
        self.start_training()
        yield "fine-tune, under way"
        self.finish_training()
        yield "fine-tune, before and after"
        self.predict_again()
        yield "predict again"
        self.untrained()
        yield "a task the model does not know"

    def open(self) -> None:
        """Open the sample loop and wait for the model."""
        self.workshop.open_sample()
        self.hand.wait(lambda: self.desk.loop is not None, "the sample loop")
        self.hand.wait(lambda: bool(self.workshop.predicting.device), "the model", 120)
        if self.desk.task is None or self.desk.task.id != TASK:
            self.desk.choose_task(self.desk.tasks[TASK])
        if trouble := self.workshop.predicting.obstacle():
            raise TourError(trouble)

    def predict_one(self) -> None:
        """Predict the frame shown, and tell how long the person waited."""
        frame = self.desk.frame
        self.hand.click(self.dock.predict.this_frame)
        session = self.desk.session
        assert session is not None
        waited = self.hand.wait(lambda: session.proposal(frame) is not None, "the first prediction")
        self.hand.wait(lambda: not self.workshop.predicting.running, "the end of the prediction")
        self.report.lines.append(f"from the click to the first result on the frame: {waited:.2f} s")

    def predict_all(self) -> None:
        """Predict the loop."""
        self.hand.longest_gap_s = 0.0
        self.hand.click(self.dock.predict.all_frames)
        took = self.hand.wait(lambda: not self.workshop.predicting.running, "all frames", 300)
        count = len(self.desk.loop or ())
        gap = self.hand.longest_gap_s * 1000
        self.report.lines.append(f"{count} frames predicted in {took:.1f} s; longest standstill {gap:.0f} ms")
        self.before = self._dice(list(range(count)), "model as bundled, all frames")

    def correct(self) -> None:
        """Go to the least certain frame and paint on it with the mouse."""
        self.hand.click(self.dock.review.next)
        self.hand.pause(0.3)
        self.hand.click(self.dock.review.chips.chips[0])
        layer = self._layer()
        frame = self.desk.frame
        before = layer.data[frame].copy()
        rows, columns = np.nonzero(self.truth.get(frame, before))
        if not len(rows):
            rows, columns = np.array([before.shape[0] // 2]), np.array([before.shape[1] // 2])
        y, x = float(rows.mean()), float(columns.mean())
        reach = max(float(columns.max() - columns.min()) / 3, 8.0)
        layer.brush_size = 30
        self.hand.paint([(y, x - reach), (y, x), (y, x + reach), (y + reach / 3, x)])
        self._as_in_truth(frame)
        self.hand.pause(0.3)
        if np.array_equal(layer.data[frame], before):
            raise TourError("painting changed nothing")

    def accept(self) -> None:
        """Accept with the key, and find the frame on the disk."""
        frame = self.desk.frame
        self.hand.press(Qt.Key.Key_A)
        session = self.desk.session
        assert session is not None
        self.hand.wait(lambda: session.is_decided(frame), "the frame to be accepted")
        took = self.hand.wait(lambda: self.workshop.autosave.waiting == 0, "the frame to be saved")
        rows = training_rows(self.workshop.autosave.folder, TASK)
        if rows != 1:
            raise TourError(f"one accepted frame, but {rows} rows in the dataset folder")
        self.decided.append(frame)
        self.report.lines.append(f"one frame saved {took * 1000:.0f} ms after the key; 1 row in the FM_UIA view")

    def review_more(self) -> None:
        """Correct or accept some more, led by the queue."""
        while len(self.decided) < CORRECTED:
            self.hand.click(self.dock.review.next)
            self.hand.pause(0.15)
            frame = self.desk.frame
            self._as_in_truth(frame)
            self.hand.pause(0.15)
            self.hand.press(Qt.Key.Key_A)
            self.decided.append(frame)
        self.hand.wait(lambda: self.workshop.autosave.waiting == 0, "all frames to be saved")
        self.hand.wait(lambda: self.dock.improve.train.isEnabled(), "the fine-tune button")
        rows = training_rows(self.workshop.autosave.folder, TASK)
        if rows != CORRECTED:
            raise TourError(f"{CORRECTED} decided frames, but {rows} rows in the dataset folder")

    def start_training(self) -> None:
        """Start, and wait until there is something to see."""
        self.hand.longest_gap_s = 0.0
        self.hand.click(self.dock.improve.train)
        improving = self.workshop.improving
        self.hand.wait(
            lambda: not improving.running or bool(improving.run and len(improving.run.losses) > 12), "losses", 900
        )

    def finish_training(self) -> None:
        """Wait for the new model."""
        improving = self.workshop.improving
        self.hand.wait(lambda: not improving.running, "the end of the training", 900)
        run = improving.run
        if run is None:
            raise TourError(self.dock.message.text())
        self.hand.wait(lambda: run.report is not None, "the pictures of before and after")
        self.hand.wait(self.dock.improve.outcome.promote.isEnabled, "the new model in the line")
        gap = self.hand.longest_gap_s * 1000
        self.report.lines.append(
            f"fine-tuned on {CORRECTED} frames in {run.seconds:.0f} s; longest standstill {gap:.0f} ms"
        )

    def predict_again(self) -> None:
        """Promote the new model, which predicts the loop again; the person's frames stay."""
        others = [frame for frame in range(len(self.desk.loop or ())) if frame not in self.decided]
        layer = self._layer()
        mine = layer.data[self.decided].copy()
        self._dice(others, "bundled model, frames that were not corrected")
        self._promote()
        self.hand.wait(lambda: not self.workshop.predicting.running, "all frames again", 300)
        if not np.array_equal(layer.data[self.decided], mine):
            raise TourError("predicting again changed a corrected frame")
        self._dice(others, "fine-tuned model, the same frames")
        self.desk.go_to(others[len(others) // 2])

    def _promote(self) -> None:
        """Press Promote; where the guard speaks against the model, say so in the report, and use it knowingly."""
        run, promoting = self.workshop.improving.run, self.workshop.promoting
        assert run is not None
        assert run.checkpoint is not None
        new = promoting.model_at(run.checkpoint)
        if new is not None and new.objections:
            self.report.lines.append(f"the guard speaks against the new model: {' '.join(new.objections)}")
            promoting.promote(run.checkpoint, despite_harm=True)
        else:
            self.hand.click(self.dock.improve.outcome.promote)
        self.hand.wait(lambda: self._uses(run.checkpoint), "the new model to be in use")
        self.hand.wait(lambda: self.workshop.predicting.running, "the new model to predict", 120)

    def _uses(self, file: Path | None) -> bool:
        return self.desk.checkpoint is not None and self.desk.checkpoint.path == file

    def untrained(self) -> None:
        """Choose a task that the model was never trained on: a sentence, and no noise."""
        checkpoint = self.desk.checkpoint
        unknown = next(task for task in self.desk.tasks if checkpoint is None or checkpoint.report(task) is None)
        self.desk.choose_task(unknown)
        self.hand.pause(0.2)
        if self.dock.predict.all_frames.isEnabled() or "never trained" not in self.dock.predict.hint.text():
            raise TourError("an untrained task is offered for prediction")

    def _as_in_truth(self, frame: int) -> None:
        """Correct the rest of a frame as a careful person would, where the truth is known."""
        if frame in self.truth:
            layer = self._layer()
            wrong = np.nonzero(layer.data[frame] != self.truth[frame])
            if len(wrong[0]):
                values = self.truth[frame][wrong]
                layer.data_setitem((np.full(len(wrong[0]), frame), *wrong), values)
                self.workshop.reviewing.look()

    def _layer(self):  # type: ignore[no-untyped-def]  # a napari layer; napari ships no types
        if self.desk.result is None or self.desk.result.layer is None:
            raise TourError("there is no layer of results")
        return self.desk.result.layer

    def _dice(self, frames: list[int], what: str) -> float:
        known = [frame for frame in frames if frame in self.truth]
        if not known:
            return 0.0
        score = mean_dice(self._layer().data, self.truth, known)
        self.report.lines.append(f"Dice against the truth, {what}: {score:.3f} ({len(known)} frames)")
        return score


def training_rows(dataset: Path, task_id: str) -> int:
    """Return how many rows the FM_UIA view holds for a task, each with its picture and mask on the disk."""
    rows = 0
    for table in (dataset / "csv_files").glob("*.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["task_id"] == task_id:
                    rows += (table.parent / row["image_path"]).is_file() and (table.parent / row["mask_path"]).is_file()
    return rows
