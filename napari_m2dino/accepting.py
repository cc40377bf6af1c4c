"""Accepting the rest: which predicted frames may be accepted together, and what speaks for it. Pure functions, no Qt.

What speaks for it is only what the person has made of frames of the same loop and model so far, each looked at for
itself. Frames accepted together are no evidence: nobody has looked at them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from napari_m2dino.origins import Origin, origin_of
from napari_m2dino.session import FrameState, LoopSession

LEAST_JUDGED = 8
"""How many frames have to be judged one by one before a threshold is suggested."""
SHARE_KEPT = 0.9
"""Share of the frames judged, from a threshold up, that was accepted unchanged for it to be suggested."""
MOST = 100
"""Frames accepted in one go, so that the window stands still for no longer than a moment."""


@dataclass(frozen=True)
class Offer:
    """Frames that could be accepted together.

    Attributes
    ----------
    threshold : float
        Their confidence is at least this; a multiple of 0.01, as confidences are shown.
    frames : tuple of int
        The surest first where there are more than can be accepted in one go.
    judged, kept : int
        How many frames from this threshold up a person has judged one by one, and left unchanged.
    """

    threshold: float
    frames: tuple[int, ...]
    judged: int
    kept: int

    @property
    def good(self) -> bool:
        """Whether enough was judged, and enough of that left unchanged, to suggest it."""
        return self.judged >= LEAST_JUDGED and self.kept >= SHARE_KEPT * self.judged

    def sentence(self) -> str:
        """Return what would be done, in words."""
        count = "1 frame" if len(self.frames) == 1 else f"{len(self.frames)} frames"
        return f"Accept {count} from {self.threshold:.2f} up"

    def evidence(self) -> str:
        """Return what speaks for it, in words."""
        if not self.judged:
            return f"you have judged no frame from {self.threshold:.2f} up"
        return f"of {self.judged} judged from {self.threshold:.2f} up, {self.kept} stayed unchanged"


def offers(session: LoopSession) -> list[Offer]:
    """Return what could be accepted together, the most frames first; no two have the same frames.

    Never among them: frames that are changed, decided on, carried, filled in or imported, and those predicted by
    another model than most that wait, for confidences of two models cannot be compared.
    """
    waiting = {
        frame: confidence
        for frame, state in enumerate(session.states())
        if state is FrameState.PROPOSED
        and origin_of(session.maker(frame)) is Origin.MODEL
        and (confidence := session.confidence(frame)) is not None
    }
    if not waiting:
        return []
    model = Counter(session.maker(frame) for frame in waiting).most_common(1)[0][0]
    waiting = {frame: confidence for frame, confidence in waiting.items() if session.maker(frame) == model}
    surest = sorted(waiting, key=lambda frame: (-waiting[frame], frame))[:MOST]
    judged = session.judged(model)
    found: dict[tuple[int, ...], Offer] = {}
    for threshold in sorted({_down(c) for c in (*waiting.values(), *(c for c, _ in judged))}):
        frames = [frame for frame in surest if _down(waiting[frame]) >= threshold]
        kept = [unchanged for confidence, unchanged in judged if _down(confidence) >= threshold]
        offer = Offer(threshold, tuple(sorted(frames)), len(kept), sum(kept))
        # Of two thresholds with the same frames, that counts for which more speaks; else the lower one.
        if frames and (offer.frames not in found or (offer.good and not found[offer.frames].good)):
            found[offer.frames] = offer
    return list(found.values())


def suggested(found: Sequence[Offer]) -> Offer | None:
    """Return the offer with the most frames that what was judged so far speaks for; None where there is none."""
    return next((offer for offer in found if offer.good), None)


def _down(confidence: float) -> float:
    """Return a confidence as it is shown; one just below a hundredth by rounding alone counts as that hundredth."""
    return floor(confidence * 100 + 1e-9) / 100
