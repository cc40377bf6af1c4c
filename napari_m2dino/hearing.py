"""What the writer thread says: what is saved, what has failed, what comes back, and what others have decided on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2dino.data.drafts import Draft
from m2dino.data.records import Record
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.autosave import RETRY_S, Autosave, Holdings
from napari_m2dino.desk import Desk
from napari_m2dino.ledger import Ledger, put_back
from napari_m2dino.rescue import BroughtBack
from napari_m2dino.result_layers import ResultLayer
from napari_m2dino.words import frames_in_words

if TYPE_CHECKING:
    from m2dino.data.store_reader import News

NEWS_EVERY_S = 4.0


class Hearing(QObject):
    """The answers of the writer thread, put on layers and into words.

    Signals
    -------
    changed : a state, or what is saved, may have changed
    """

    changed = Signal()

    def __init__(self, desk: Desk, autosave: Autosave, ledger: Ledger) -> None:
        super().__init__()
        self.desk, self.autosave, self.ledger = desk, autosave, ledger
        self.holdings: Holdings | None = None
        self._together: dict[tuple[str, str, int], str] = {}
        self._retry = QTimer(self)
        self._retry.setInterval(int(RETRY_S * 1000))
        self._retry.timeout.connect(autosave.retry)
        self._ask = QTimer(self)
        self._ask.setInterval(int(NEWS_EVERY_S * 1000))
        self._ask.timeout.connect(self.ask_for_news)
        self._ask.start()
        autosave.saved.connect(self._saved)
        autosave.failed.connect(self._failed)
        autosave.recovered.connect(self._recovered)
        autosave.brought_back.connect(self._brought_back)
        autosave.refused.connect(self._refused)
        autosave.restored.connect(self._restored)
        autosave.drafts.connect(self._drafts)
        autosave.news.connect(self._news)
        autosave.holdings.connect(self._counted)

    def close(self) -> None:
        """Stop the clocks; safe to call twice."""
        self._retry.stop()
        self._ask.stop()

    def ask_for_news(self) -> None:
        """Ask whether others have decided on frames of the loop on the desk."""
        if (result := self.desk.result) is not None:
            self.autosave.ask_for_news(result.loop.identity, result.task)

    # -- saving ------------------------------------------------------------------------------------------------------
    def expect(self, records: Sequence[Record], sentence: str) -> None:
        """Say one sentence once all these records are saved, and not one for each."""
        self._together |= {_key(record): sentence for record in records}

    def _saved(self, record: Record) -> None:
        sentence = self._together.pop(_key(record), "")
        if not sentence:
            self.desk.tell(f"Frame {record.frame} saved as {record.fate}.", "good")
        elif sentence not in self._together.values():
            self.desk.tell(sentence, "good")
        self.changed.emit()

    def _failed(self, sentence: str) -> None:
        if self.autosave.unkept:
            self._retry.start()
        self.desk.tell(sentence, "error")
        self.changed.emit()

    def _recovered(self) -> None:
        self._retry.stop()
        self.desk.tell("The dataset folder can be written to again: everything is saved.", "good")
        self.changed.emit()

    def _brought_back(self, back: BroughtBack, trouble: str) -> None:
        if back.saved:
            frames = "1 frame" if back.saved == 1 else f"{back.saved} frames"
            self.desk.tell(f"{frames} that could not be saved at the last end are in the dataset folder now.", "good")
        if back.left:
            trouble = "it knows their task by another definition."
        if trouble:
            self.desk.tell(
                f"What could not be saved at the last end is still kept, and not in the dataset folder: {trouble}",
                "error",
            )
        self.changed.emit()

    def _refused(self, record: Record, sentence: str) -> None:
        for result in self.desk.results_for(record.loop_id, record.task_id):
            result.session.take_back(record.frame)
            self.ledger.look(result, record.frame)  # what was drawn stays, as a change
            self.ledger.know(result, [record.frame])
        self.desk.tell(sentence, "error")
        self.changed.emit()

    def _counted(self, holdings: Holdings) -> None:
        if self.desk.task is not None and holdings.task_id == self.desk.task.id:
            self.holdings = holdings
            self.changed.emit()

    # -- coming back -------------------------------------------------------------------------------------------------
    def _restored(self, loop_id: str, task_id: str, records: list[Record]) -> None:
        for result in self.desk.results_for(loop_id, task_id):
            self._put_back(result, records)

    def _put_back(self, result: ResultLayer, records: list[Record]) -> None:
        session = result.session
        fresh = [r for r in records if r.frame < len(result.loop) and not session.is_decided(r.frame)]
        # What is drawn on a frame stays on it: it was drawn since the question was asked, or for another folder.
        drawn = session.contents()
        fresh = [r for r in fresh if r.frame in drawn or r.frame not in session.unsaved()]
        if not fresh:
            return
        for record in fresh:
            session.settle(record)
            if (content := drawn.get(record.frame)) is not None:
                session.keep(record.frame, content)
                session.mark_changed(record.frame)
        self.ledger.know(result, [record.frame for record in fresh])
        if back := [record.frame for record in fresh if record.frame not in drawn]:
            self._show(result, back)
            self.desk.tell(f"{len(back)} frames of this loop were reviewed before: their labels are back.")

    def _drafts(self, loop_id: str, task_id: str, drafts: list[Draft]) -> None:
        mine = [draft for draft in drafts if draft.seat == self.autosave.seat]
        others = [draft for draft in drafts if draft.seat != self.autosave.seat and draft.content is not None]
        for result in self.desk.results_for(loop_id, task_id):
            drawn = self._take_up(result, [draft for draft in mine if draft.frame < len(result.loop)])
            if drawn:
                what = "Your change" if len(drawn) == 1 else "Your changes"
                are = "is" if len(drawn) == 1 else "are"
                self.desk.tell(f"{what} of {frames_in_words(drawn)}, not accepted yet, {are} back.")
        if others:
            where = frames_in_words([draft.frame for draft in others])
            self.desk.tell(f"{_who(others[0].author)} has changes under way on {where} of this loop.", "warning")

    def _take_up(self, result: ResultLayer, drafts: Sequence[Draft]) -> list[int]:
        """Put drafts on frames that nothing has happened on since; return those that a person has drawn on."""
        session, taken = result.session, []
        drawn = []
        for draft in drafts:
            frame = draft.frame
            if frame in session.unsaved():
                continue
            if draft.proposal is not None and session.proposal(frame) is None and not session.is_decided(frame):
                session.propose(draft.proposal)
                taken.append(frame)
            if draft.content is not None:
                session.keep(frame, draft.content)
                session.mark_changed(frame)
                taken.append(frame)
                drawn.append(frame)
        if taken:
            self.ledger.begin(result, [draft.frame for draft in drafts])
            self._show(result, taken)
        return drawn

    def _show(self, result: ResultLayer, frames: Sequence[int]) -> None:
        self.ledger.know(result, frames)
        shown = result.is_shown(self.desk.viewer)
        self.desk.show_result(result)  # a new layer gets all that is known
        if shown:
            put_back(result, frames)
        self.changed.emit()

    # -- others ------------------------------------------------------------------------------------------------------
    def _news(self, loop_id: str, task_id: str, news: list[News]) -> None:
        for result in self.desk.results_for(loop_id, task_id):
            for one in news:
                if one.frame < len(result.loop):
                    self._hear(result, one)
            self.ledger.know(result, [one.frame for one in news])
        self.changed.emit()

    def _hear(self, result: ResultLayer, one: News) -> None:
        session, frame = result.session, one.frame
        who, did = _who(one.record.author if one.record else ""), _did(one)
        if not one.counts:
            self.desk.tell(f"{who} had {did} frame {frame} meanwhile. Yours came later and counts; theirs is kept too.")
            return
        content = session.content(frame)
        if one.record is None:
            session.take_back(frame)
        else:
            session.settle(one.record)
        if content is None:
            self._show(result, [frame])
            self.desk.tell(f"{who} has {did} frame {frame}.", "warning")
            return
        session.keep(frame, content)
        session.mark_changed(frame)
        self.desk.tell(
            f"{who} has {did} frame {frame} while you were changing it. Your change is kept: accept it to replace "
            "theirs, or take it back to see theirs.",
            "warning",
        )


def _key(record: Record) -> tuple[str, str, int]:
    return record.loop_id, record.task_id, record.frame


def _who(author: str) -> str:
    return author or "Another window"


def _did(one: News) -> str:
    return "taken back" if one.record is None else {"edited": "corrected"}.get(one.record.fate, one.record.fate)
