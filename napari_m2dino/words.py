"""What a step of the history was, in words."""

from __future__ import annotations

from collections.abc import Sequence

from m2dino.tasks import Task

from napari_m2dino.history import Change
from napari_m2dino.origins import in_words

_DRAWN = {
    "segmentation": "painting",
    "detection": "a change of the box",
    "regression": "a change of the points",
    "classification": "the choice of a class",
}
_DECIDED = {"accepted": "accepting", "edited": "accepting", "rejected": "rejecting"}


def step_in_words(task: Task, changes: Sequence[Change]) -> str:
    """Return what changed, such as "painting on frame 17"."""
    if not changes:
        return ""
    frames = frames_in_words([change.frame for change in changes])
    first = changes[0]
    if first.before.decision is not first.after.decision:
        if first.after.decision is None:
            return f"taking back the decision on {frames}"
        return f"{_DECIDED[first.after.decision.fate]} {frames}"
    if first.before.proposal is not first.after.proposal and first.after.proposal is not None:
        origin = in_words(first.after.proposal.model_id)
        return f"what was {origin}, on {frames}" if origin else f"predicting anew what was put on {frames} by hand"
    if first.after.content is None:
        return f"putting back {frames}"
    return f"{_DRAWN[task.type]} on {frames}"


def frames_in_words(frames: Sequence[int]) -> str:
    """Return "frame 3" or "5 frames, 3 to 9"."""
    if len(frames) == 1:
        return f"frame {frames[0]}"
    return f"{len(frames)} frames, {min(frames)} to {max(frames)}"
