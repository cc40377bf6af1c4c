"""Section Predict: two buttons, progress, cancel."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar

from napari_m2dino.desk import Desk
from napari_m2dino.keys import Keys
from napari_m2dino.predicting import Predicting
from napari_m2dino.widgets.key_tips import name_keys
from napari_m2dino.widgets.style import Section, Words, button, row, set_main


class PredictSection(Section):
    """Asks for predictions and shows how far they are."""

    def __init__(self, desk: Desk, predicting: Predicting, keys: Keys) -> None:
        super().__init__("Predict")
        self.desk = desk
        self.predicting = predicting
        self.this_frame = button("This frame", "")
        self.all_frames = button("All frames", "")
        name_keys(
            keys,
            (self.this_frame, "Predict the frame shown", "predict_frame"),
            (self.all_frames, "Predict the whole loop; your own labels are kept", "predict_all"),
        )
        self.bar = QProgressBar()
        self.bar.setMinimumWidth(0)
        self.cancel = button("Cancel", "Stop predicting; what is done stays")
        self.hint = Words()
        self.body.addLayout(row(self.this_frame, self.all_frames))
        self.body.addLayout(row(self.bar, self.cancel, stretch=(3, 1)))
        self.body.addWidget(self.hint)
        self.this_frame.clicked.connect(predicting.this_frame)
        self.all_frames.clicked.connect(predicting.all_frames)
        self.cancel.clicked.connect(predicting.cancel)
        predicting.changed.connect(self.refresh)
        desk.loop_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what can be pressed now, and how far the request is."""
        predicting, loop = self.predicting, self.desk.loop
        trouble = predicting.obstacle()
        ready = not trouble and not predicting.running
        self.this_frame.setEnabled(ready)
        self.all_frames.setEnabled(ready)
        self.all_frames.setText(f"All {len(loop)} frames" if loop else "All frames")
        set_main(self.all_frames, ready and self.desk.outdated)
        self.bar.setVisible(predicting.running)
        self.cancel.setVisible(predicting.running)
        self.hint.say(trouble if loop else "")
        progress = predicting.progress
        if progress is None:
            self.bar.setRange(0, 0)
            self.bar.setFormat("")
        else:
            left = "" if progress.eta_s is None else f" · {time_left(progress.eta_s)}"
            self.bar.setRange(0, progress.total)
            self.bar.setFormat(f"{progress.done} / {progress.total}{left}")
            self.bar.setValue(progress.done)


def time_left(seconds: float) -> str:
    """Return a duration for people: "4 s left", "3 min left"."""
    return f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left"
