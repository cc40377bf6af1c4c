"""How well is a corrected mask carried to its neighbours, and what does a frame cost, beside other ways to follow
tissue?

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_propagation.py [FRAMES MASKS] [--ways ours,tvl1] [--starts 4]

FRAMES is anything that opens as a loop, MASKS a folder with one PNG of class indices a frame; without them it is the
sample loop of the carotid artery. Printed are the mean Dice after 1, 2, 4 and 8 frames, without stopping early, and
the processor's time a frame, also as a share of ours. The ways of OpenCV are tried where cv2 can be imported; it is no
dependency.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from m2dino.cine.opening import open_loop
from m2dino.correct import propagation
from m2dino.correct.motion import Floats, Motion, Window, motion
from m2dino.values import Mask
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).parents[2]
AFTER = (1, 2, 4, 8)
Way = Callable[[Floats, Floats, Window], Motion]
Flow = Callable[[Floats, Floats], Floats]


def whole_frame(flow: Flow) -> Way:
    """Make a way of a flow over the whole frame; `flow(reference, moving)` gives (2, h, w)."""

    def way(earlier: Floats, later: Floats, around: Window) -> Motion:
        a, b = (ndimage.gaussian_filter(frame, 1.0) for frame in (earlier, later))
        return Motion((0, 0), 1.0, flow(a, b), flow(b, a))

    return way


def ways() -> dict[str, Way]:
    from skimage.registration import optical_flow_ilk, optical_flow_tvl1

    found: dict[str, Way] = {
        "ours": motion,
        "copy": whole_frame(lambda a, b: np.zeros((2, *a.shape), np.float32)),
        "ilk": whole_frame(lambda a, b: optical_flow_ilk(a, b, radius=7, num_warp=3, dtype=np.float32)),
        "tvl1": whole_frame(lambda a, b: optical_flow_tvl1(a, b, num_warp=3, num_iter=10, dtype=np.float32)),
    }
    if importlib.util.find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

        def bytes_of(frame: Floats) -> np.ndarray:
            return (255 * frame).round().astype(np.uint8)

        def dis(a: Floats, b: Floats) -> Floats:
            return np.moveaxis(search.calc(bytes_of(a), bytes_of(b), None)[..., ::-1], -1, 0)

        def farneback(a: Floats, b: Floats) -> Floats:
            flow = cv2.calcOpticalFlowFarneback(bytes_of(a), bytes_of(b), None, 0.5, 4, 21, 3, 7, 1.5, 0)
            return np.moveaxis(flow[..., ::-1], -1, 0)

        found |= {"dis": whole_frame(dis), "farneback": whole_frame(farneback)}
    return found


def dice(one: np.ndarray, other: np.ndarray) -> float:
    classes = [label for label in np.unique(other) if label]
    pairs = [(one == label, other == label) for label in classes]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", nargs="?", type=Path, default=ROOT / "napari_m2dino" / "samples" / "carotid")
    parser.add_argument("masks", nargs="?", type=Path, default=ROOT / "tests" / "data" / "carotid_masks")
    parser.add_argument("--ways", default="")
    parser.add_argument("--starts", type=int, default=4)
    given = parser.parse_args()
    loop = open_loop(given.frames)
    truths = [np.asarray(Image.open(path)) for path in sorted(given.masks.glob("*.png"))]
    starts = np.linspace(0, len(truths) - 1 - max(AFTER), given.starts).astype(int)
    propagation.LEAST_CONSISTENCY = propagation.LEAST_LIKENESS = -1  # all ways go all the way
    chosen = {name: way for name, way in ways().items() if not given.ways or name in given.ways.split(",")}
    print(f"{len(truths)} frames of {loop.height} x {loop.width}; mean Dice after {AFTER} frames")
    ours = 0.0
    for name, way in chosen.items():
        propagation.motion = way  # type: ignore[attr-defined]
        scores: dict[int, list[float]] = {after: [] for after in AFTER}
        spent, count = 0.0, 0
        for start in (int(one) for one in starts):
            began = time.process_time()
            found = list(propagation.propagate(loop, start, Mask(truths[start]), range(start + 1, start + 9)))
            spent, count = spent + time.process_time() - began, count + len(found)
            for frame, value, _ in found:
                if frame - start in scores:
                    scores[frame - start].append(dice(value.labels, truths[frame]))
        cost = 1e3 * spent / max(1, count)
        ours = ours or cost
        marks = "  ".join(f"{np.mean(each):.3f}" if each else "  -  " for each in scores.values())
        print(f"{name:10s} {marks}   {cost:5.0f} ms a frame, {cost / ours:.2f} x {next(iter(chosen))}", flush=True)


if __name__ == "__main__":
    main()
