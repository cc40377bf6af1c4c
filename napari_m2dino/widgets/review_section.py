"""Section Review: the strip of frames, the frame at hand, and what to do with it."""

from __future__ import annotations

from m2dino.errors import UsageError
from m2dino.values import ClassProbabilities
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QInputDialog, QSizePolicy

from napari_m2dino.desk import Desk
from napari_m2dino.keys import Keys
from napari_m2dino.loop_array import LoopArray
from napari_m2dino.origins import in_words
from napari_m2dino.places import remember_author
from napari_m2dino.review import ORDERS, tally
from napari_m2dino.reviewing import Reviewing
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.class_bar import ClassBar
from napari_m2dino.widgets.frame_strip import FrameStrip
from napari_m2dino.widgets.key_tips import name_keys
from napari_m2dino.widgets.label_chips import LabelChips
from napari_m2dino.widgets.still_words import OneLine, TwoLines
from napari_m2dino.widgets.style import (
    ORIGIN_COLOUR,
    STATE_COLOURS,
    Section,
    button,
    row,
    set_main,
    small_button,
)
from napari_m2dino.widgets.together_button import TogetherButton


class ReviewSection(Section):
    """Accept, reject, next; and where the review stands."""

    def __init__(self, desk: Desk, reviewing: Reviewing, keys: Keys) -> None:
        super().__init__("Review")
        self.desk = desk
        self.reviewing = reviewing
        self.strip = FrameStrip()
        self.tally = OneLine()
        self.frame = OneLine("name", margin=12)
        self.why = TwoLines()
        self.classes = ClassBar()
        self.chips = LabelChips(desk)
        self.accept = button("Accept", "")
        self.reject = button("Reject", "")
        self.next = button("Next", "")
        self.take_back = button("Take back", "")
        self.undo = small_button("↶", "")
        self.redo = small_button("↷", "")
        self.name = small_button("Name…", "The name that your decisions are signed with; none unless you choose one")
        self.moves_on = QCheckBox("Go on after a decision")
        self.moves_on.setChecked(reviewing.moves_on)
        self.moves_on.setToolTip("Accepting and rejecting go on to the next frame that waits")
        self.moves_on.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.together = TogetherButton(desk, reviewing)
        self.new_label = button("New label", "")
        name_keys(
            keys,
            (self.accept, "Accept this frame as it stands, and save it", "accept"),
            (self.reject, "Set this frame aside as unusable: it never trains", "reject"),
            (self.next, "Go to the next frame that waits for you", "next"),
            (self.take_back, "Undo your decision or change on this frame", "take_back"),
            (self.undo, "Undo the last thing done, on whatever frame it was", "undo"),
            (self.redo, "Do again what was undone", "redo"),
            (self.new_label, "Label by hand: makes an empty layer of the right kind", "draw"),
        )
        self.order = QComboBox()
        self.order.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.order.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.order.setToolTip("In which order Next goes through the frames that wait")
        for text, value in ORDERS.items():
            self.order.addItem(text, value)
        for widget in (self.strip, self.tally, self.frame, self.why, self.classes, self.chips):
            self.body.addWidget(widget)
        self.body.addLayout(row(self.accept, self.reject, self.next))
        self.body.addLayout(row(self.take_back, self.new_label, self.order, stretch=(3, 3, 4)))
        self.body.addLayout(row(self.moves_on, self.together.button, stretch=(1, 0)))
        self.corner.addWidget(self.name)
        self.corner.addWidget(self.undo)
        self.name.clicked.connect(self._ask_name)
        self.corner.addWidget(self.redo)
        self.undo.clicked.connect(reviewing.undo)
        self.redo.clicked.connect(reviewing.redo)
        self.moves_on.toggled.connect(self._choose_to_move_on)
        self.accept.clicked.connect(reviewing.accept)
        self.reject.clicked.connect(reviewing.reject)
        self.next.clicked.connect(reviewing.next)
        self.take_back.clicked.connect(reviewing.take_back)
        self.new_label.clicked.connect(reviewing.new_label)
        self.order.activated.connect(self._choose_order)
        self.classes.chosen.connect(reviewing.choose_class)
        self.strip.chosen.connect(desk.go_to)
        desk.session_changed.connect(self._new_session)
        reviewing.changed.connect(self.refresh)
        desk.checkpoint_changed.connect(self.refresh)
        self._new_session()

    def _choose_order(self, index: int) -> None:
        self.reviewing.queue.order = str(self.order.itemData(index))
        self.refresh()

    def _ask_name(self) -> None:
        """Ask how decisions are to be signed."""
        dialog = QInputDialog(self)
        dialog.setWindowTitle("Name")
        dialog.setLabelText("Sign your decisions with this name (leave it empty for none):")
        dialog.setTextValue(self.reviewing.autosave.author)
        dialog.textValueSelected.connect(self._take_name)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _take_name(self, name: str) -> None:
        self.reviewing.autosave.author = name.strip()
        try:
            remember_author(name)
        except OSError:
            self.desk.tell("The name holds for this window only: your settings cannot be written.", "warning")

    def _choose_to_move_on(self, on: bool) -> None:
        self.reviewing.moves_on = on

    def _new_session(self) -> None:
        task = self.desk.task
        classifies = task is not None and task.type == "classification"
        if task is not None and classifies:
            self.classes.set_labels(task.labels)
        self.classes.setVisible(classifies)
        self.chips.refresh()
        self.refresh()

    def refresh(self) -> None:
        """Show where the review stands and the frame at hand."""
        session = self.desk.session
        self.together.refresh()
        self.order.setCurrentIndex(self.order.findData(self.reviewing.queue.order))
        for widget in (self.accept, self.reject, self.next, self.take_back, self.new_label, self.order):
            widget.setEnabled(session is not None)
        self.strip.setVisible(session is not None)
        if session is None:
            self.tally.say("Open a loop and choose a task.")
            self.frame.say("")
            self.why.say("")
            return
        states, frame = session.states(), self.desk.frame
        confidences = [session.confidence(one) for one in range(len(states))]
        layer = self.desk.loop_layer()
        data = getattr(layer, "data", None)
        damaged = data.damaged if isinstance(data, LoopArray) else {}
        self.strip.show_moments(session.loop.markers)
        self.strip.show_origins({one: in_words(session.maker(one)) for one in range(len(states))})
        self.strip.show_states(states, confidences, frame, frozenset(damaged))
        counts = tally(states)
        self.tally.say(counts.sentence())
        state = states[frame]
        origin = in_words(session.maker(frame)) if state is FrameState.PROPOSED else ""
        waiting = state in (FrameState.PROPOSED, FrameState.CHANGED)
        known = confidences[frame] is not None and not session.is_by_hand(frame)
        # Once is enough, and of a changed frame it is no figure of what stands there now.
        told = state is FrameState.CHANGED or (waiting and self.reviewing.queue.order == "confidence")
        sure = f" · confidence {confidences[frame]:.2f}" if known and not told else ""
        word = "no label yet" if state is FrameState.BLANK else origin or state.value
        self.frame.say(f"Frame {frame} · {'damaged' if frame in damaged else word}{sure}")
        self.why.say(self.reviewing.queue.why(frame))
        # The colour beside the words, not of them: on a light window they could hardly be read.
        shade = ORIGIN_COLOUR if origin else STATE_COLOURS[state.value]
        self.frame.setStyleSheet(f"border-left: 5px solid {shade}; padding-left: 6px;")
        self.chips.mark()
        if self.desk.task is not None and self.desk.task.type == "classification":
            self._show_class(frame)
        # One button at a time is the one to press: with a model not yet asked, that is "All frames".
        asked = not self.desk.outdated or state is FrameState.CHANGED
        set_main(self.accept, waiting and asked)
        set_main(self.next, not waiting and asked and counts.to_go > 0)
        checkpoint = self.desk.checkpoint
        unknown = checkpoint is not None and checkpoint.report(self.desk.task) is None
        set_main(self.new_label, unknown and counts.blank == len(states))
        self.take_back.setEnabled(state.decided or state is FrameState.CHANGED)

    def _show_class(self, frame: int) -> None:
        result = self.desk.result
        try:
            value = result.value(frame) if result else None
        except UsageError:
            value = None
        self.classes.show_values(list(value.probabilities) if isinstance(value, ClassProbabilities) else None)
