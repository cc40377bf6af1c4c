"""Keeping account: whatever changes on a frame becomes a step of the history, and a draft on the disk.

There is one place where that happens, and it goes by comparing where frames stand, not by trusting events: so a stroke,
a key, a bulk action and a tool added later are all undone and saved the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from weakref import WeakKeyDictionary

from m2dino.data.drafts import Content
from m2dino.errors import UsageError

from napari_m2dino.autosave import Autosave
from napari_m2dino.desk import Desk
from napari_m2dino.history import Change, History, Step, joined, of_machine, same, target
from napari_m2dino.postbox import DraftSave, Key, Save
from napari_m2dino.result_layers import ResultLayer
from napari_m2dino.session import LoopSession, Standing
from napari_m2dino.words import step_in_words

NOTHING = Standing(None, None, None)


class Ledger:
    """The history of one dock, and what of it is on the disk."""

    def __init__(self, desk: Desk, autosave: Autosave) -> None:
        self.desk = desk
        self.autosave = autosave
        self.history: History[ResultLayer] = History()
        self._stood: WeakKeyDictionary[LoopSession, dict[int, Standing]] = WeakKeyDictionary()
        self._begun: set[LoopSession] = set()

    def look(self, result: ResultLayer, frame: int) -> None:
        """Compare what stands on a frame of the layer with what is known of it."""
        if not result.is_shown(self.desk.viewer):
            return
        session = result.session
        try:
            session.look(frame, result.value(frame))
        except UsageError:
            session.mark_changed(frame)
        if frame in session.unsaved() and (content := self._content(result, frame)) is not None:
            session.keep(frame, content)

    def _content(self, result: ResultLayer, frame: int) -> Content | None:
        try:
            return result.content(frame)
        except UsageError:
            return None  # a layer of another size: what was drawn before stays as it was known

    def enter(
        self, result: ResultLayer, frames: Iterable[int], words: str = "", onto: Step[ResultLayer] | None = None
    ) -> Step[ResultLayer] | None:
        """Enter whatever has changed on these frames; return the step of the history, if it was a person's doing.

        `onto` is the step that it belongs to, if that was begun before: both become one.
        """
        stood = self._stood.setdefault(result.session, {})
        changes = []
        for frame in sorted(set(frames)):
            before, after = stood.get(frame, NOTHING), result.session.standing(frame)
            if not same(before, after):
                changes.append(Change(frame, before, after))
                stood[frame] = after
        own = tuple(change for change in changes if not of_machine(change))
        step = self._step(result, own, words, onto) if own else None
        self._keep(result, changes, begin=step is not None)
        return step

    def _step(
        self, result: ResultLayer, changes: tuple[Change, ...], words: str, onto: Step[ResultLayer] | None
    ) -> Step[ResultLayer]:
        if onto is not None and onto.place is result:
            whole = joined(onto.changes, changes)
            grown = Step(result, words or step_in_words(result.task, whole), whole)
            if self.history.replace(onto, grown):
                return grown
        step = Step(result, words or step_in_words(result.task, changes), changes)
        self.history.add(step)
        return step

    def meet(self, result: ResultLayer) -> None:
        """Take what stands on a loop as the starting point, where this dock has had nothing to do with it yet.

        A session lives as long as its layer, longer than a dock: what was done before is no step of this one's history.
        """
        session = result.session
        if session in self._stood:
            return
        stood = self._stood[session] = {frame: session.standing(frame) for frame in range(len(result.loop))}
        if any(one.content is not None or one.decision is not None for one in stood.values()):
            self.begin(result)

    def know(self, result: ResultLayer, frames: Iterable[int]) -> None:
        """Take what stands on these frames as known: it has come from the disk, and is nobody's doing now."""
        self.meet(result)
        self._stood[result.session].update({frame: result.session.standing(frame) for frame in frames})

    def begin(self, result: ResultLayer, kept: Collection[int] = ()) -> None:
        """Keep undecided work on this loop and task from now on; that on the frames `kept` is on the disk already."""
        if result.session not in self._begun:
            self._begun.add(result.session)
            self._post(result, _undecided(result) - set(kept))

    def move(self, results: Iterable[ResultLayer], along: Collection[Key]) -> bool:
        """Begin anew, for another dataset folder is in use; return whether decisions are left behind.

        Nothing is withdrawn: the decisions stay in the folder left, but for those `along`, which are on their way to
        the new one. The history goes, for to undo its steps would change in the new folder what was done in the old.
        """
        self.history = History()
        self._begun.clear()
        left = False
        for result in results:
            session, here = result.session, ("record", result.loop.identity, result.task.id)
            frames = session.forget_decisions([key[-1] for key in along if key[:-1] == here])
            self._stood[session] = {frame: session.standing(frame) for frame in range(len(result.loop))}
            if frames and result.is_shown(self.desk.viewer):
                put_back(result, frames)
            # The proposals follow with the first thing done: written now, they would end drafts that the folder holds.
            self._post(result, session.contents())
            left = left or bool(frames)
        return left

    # -- back and forth ----------------------------------------------------------------------------------------------
    def undo(self) -> str:
        """Take back the last step, show its frame, and return a sentence."""
        self._drop_closed()
        step = self.history.undo()
        if step is None:
            return "There is nothing to undo."
        self._apply(step.place, step.changes)
        return f"Undone: {step.words}."

    def redo(self) -> str:
        """Do the last step undone again, show its frame, and return a sentence."""
        self._drop_closed()
        step = self.history.redo()
        if step is None:
            return "There is nothing to do again."
        self._apply(step.place, [change.turned() for change in step.changes])
        return f"Done again: {step.words}."

    def _apply(self, result: ResultLayer, changes: Iterable[Change]) -> None:
        session = result.session
        frames, moved = [], []
        for change in changes:
            now = session.standing(change.frame)
            there = target(change, now)
            session.stand(change.frame, there)
            frames.append(change.frame)
            moved.append(Change(change.frame, now, there))
            if there.decision is not now.decision:
                self._decide(result, change.frame)
        self.know(result, frames)
        self._keep(result, moved, begin=True)
        self.desk.bring(result)
        self.desk.show_result(result)
        if result.is_shown(self.desk.viewer):
            put_back(result, frames)
        # The frame shown, too: past the end of the loop none is, though one counts as shown.
        self.desk.go_to(self.desk.frame if self.desk.frame in frames else frames[0])

    def _decide(self, result: ResultLayer, frame: int) -> None:
        """See to it that the dataset holds the decision that now holds, or none."""
        record = result.session.record_of(frame)
        if record is None:
            # The draft goes first: killed in between, the frame has both, never neither.
            self.autosave.keep([_draft(result, frame)])
            self.autosave.withdraw(result.loop.identity, result.task, frame)
        else:
            self.autosave.save(Save(record, result.loop, result.task))

    def _drop_closed(self) -> None:
        """Forget the steps of loops that are no longer in the viewer."""
        for step in (self.history.next_undo, self.history.next_redo):
            if step is not None and not self.desk.shows(step.place.loop):
                self.history.forget(step.place)
                self._drop_closed()
                return

    # -- drafts ------------------------------------------------------------------------------------------------------
    def _keep(self, result: ResultLayer, changes: Iterable[Change], begin: bool) -> None:
        """Have the undecided work on frames written; from the first thing a person does on, the proposals too."""
        session = result.session
        # A new decision ends the draft by itself, in one go with its record: to clear it before could lose the work.
        wanted = {one.frame for one in changes if not _just_decided(one)}
        if begin and session not in self._begun:
            self._begun.add(session)
            wanted |= _undecided(result)
        if session in self._begun:
            self._post(result, wanted)

    def _post(self, result: ResultLayer, frames: Iterable[int]) -> None:
        if drafts := [_draft(result, frame) for frame in sorted(frames)]:
            self.autosave.keep(drafts)


def _undecided(result: ResultLayer) -> set[int]:
    """Return the frames with something proposed or drawn that nobody has decided on."""
    session = result.session
    proposed = {frame for frame in range(len(result.loop)) if session.is_proposed(frame)}
    return {frame for frame in proposed if not session.is_decided(frame)} | session.contents().keys()


def _just_decided(change: Change) -> bool:
    after = change.after
    return after.decision is not None and after.decision is not change.before.decision and after.content is None


def put_back(result: ResultLayer, frames: Iterable[int]) -> None:
    """Put on a layer what is known of frames: undecided work, else the decision, else the proposal, else nothing."""
    drawn = {frame: content for frame in frames if (content := result.session.content(frame)) is not None}
    result.write({frame: result.session.base(frame) for frame in frames if frame not in drawn})
    if drawn:
        result.put(drawn)


def _draft(result: ResultLayer, frame: int) -> DraftSave:
    standing = result.session.standing(frame)
    # A decision keeps the proposal in its record.
    proposal = standing.proposal if standing.decision is None else None
    return DraftSave(result.loop.identity, result.task.id, frame, standing.content, proposal)
