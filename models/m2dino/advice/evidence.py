"""What the M2DINO paper (arXiv 2603.18123) says of pooling tasks, with how sure it is, and what is our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Certainty = Literal["stated", "reported", "ours"]
MEANING: dict[Certainty, str] = {
    "stated": "stated in the paper's abstract",
    "reported": "figures of the paper as a summary by others gives them; the full text could not be had",
    "ours": "our own rule of thumb, tested on nothing but these figures",
}


@dataclass(frozen=True)
class Evidence:
    """One finding; `id` is what an advice refers to."""

    id: str
    certainty: Certainty
    text: str


EVIDENCE = {
    one.id: one
    for one in (
        Evidence(
            "scale", "stated", "Whether pooling helps depends on the amount of data more than on clinical likeness."
        ),
        Evidence("all-task", "stated", "Training on all tasks is the more consistent choice than clinical groups."),
        Evidence(
            "segmentation",
            "stated",
            "Segmentation suffers most from pooling; regression and classification are sturdier.",
        ),
        Evidence(
            "groups",
            "reported",
            "A clinical group of 11,910 training images gained (+2.93; all tasks +3.76); groups of 2,920 (-0.29; "
            "-0.02) and of about 2,250 (-0.07; +0.07) did not.",
        ),
        Evidence(
            "lesion",
            "reported",
            "breast_lesion, about 1,780 images: Dice 0.713 alone, 0.692 with all tasks, 0.145 in its group, which may "
            "be a training that failed rather than a law.",
        ),
        Evidence(
            "small",
            "reported",
            "Small tasks gained from all tasks: fetal_abdomen_multi, about 760 images, Dice 0.217 to 0.481; FUGC, "
            "about 210, radial error 30.4 to 15.6 px.",
        ),
        Evidence("thresholds", "ours", "The limits in rows lie between those cases; no study set them."),
        Evidence(
            "detection", "ours", "The paper's abstract says nothing of detection; it is treated like segmentation."
        ),
    )
}
