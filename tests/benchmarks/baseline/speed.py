"""The whole prediction of one frame: letterboxing, the network, and reading its answer into the frame's pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast, get_args

import numpy as np
import torch
from m2dino.cine.loop import Frame
from m2dino.data.letterbox import Letterbox
from m2dino.device import has_bfloat16
from m2dino.network.card import bundled_checkpoint
from m2dino.network.checkpoint import load_checkpoint
from m2dino.network.model import M2Dino
from m2dino.network.readout import Reading, read_output, split_output
from m2dino.network.stem import fold_batch_norms
from m2dino.tasks import Task
from m2dino.values import TaskType
from torch import nn

from tests.benchmarks.baseline.entrants import Entrant
from tests.benchmarks.bench_network import in_turns

CPU = torch.device("cpu")
AGAINST = "EfficientNet-B4 + FPN"


def predict_frame(net: M2Dino, frame: Frame, task_id: str, half: bool, channels_last: bool = False) -> Reading:
    """Predict a task for a frame (H, W, 3) uint8, in bfloat16 where `half`."""
    size = net.architecture.image_size
    box = Letterbox(frame.shape[0], frame.shape[1], size)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        images = net.normalise(box.image_in(frame)[None])
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        output = net.from_prefix(net.prefix(images), (size // 16, size // 16), task_id)
        (one,) = split_output(output)
    return read_output(one, box)


def folded(net: M2Dino) -> M2Dino:
    """Return the baseline as one would deploy it: batch norms folded, channels last."""
    fold_batch_norms(net)
    return cast("M2Dino", net.to(memory_format=torch.channels_last))


def tasks_by_type() -> tuple[M2Dino, dict[str, Task]]:
    """Return the bundled network and one task of each type that it knows."""
    bundled, card = load_checkpoint(bundled_checkpoint())
    known = {report.task.type: report.task for report in reversed(card.tasks.values())}
    return bundled, {kind: known[kind] for kind in get_args(TaskType) if kind in known}


def measure(rounds: int, size: int, height: int, width: int) -> str:
    """Measure all in turns and return a Markdown table: processor's time, and ratios to the baseline's."""
    bundled, tasks = tasks_by_type()
    own = list(tasks.values())
    fresh, other = (Entrant("m2dino", imagenet=True, image_size=size).build(own)[0].eval() for _ in range(2))
    plain, deployed, small = (
        Entrant("baseline", encoder=encoder, image_size=size).build(own)[0].eval()
        for encoder in ("efficientnet-b4", "efficientnet-b4", "mobilenet_v2")
    )
    nets: dict[str, tuple[nn.Module, bool]] = {
        AGAINST: (plain, False),
        f"{AGAINST}, norms folded, channels last": (folded(deployed), True),
        "MobileNetV2 + FPN": (small, False),
        "M2DINO tiny, the bundled checkpoint": (bundled, False),
        "M2DINO tiny, the preset with top-2": (fresh, False),
        "M2DINO tiny, the preset with top-2, channels last": (other.to(memory_format=torch.channels_last), True),
    }
    frame = np.random.default_rng(0).integers(0, 200, (height, width, 3), np.uint8)
    how = (
        f"One frame of {width} x {height} px, networks' input {size} px, {torch.get_num_threads()} thread(s), the "
        f"processor's time of the fastest of {rounds} rounds in turns."
    )
    lines = [
        how,
        "",
        "| network | M | " + " | ".join(f"{kind}, {name}" for name in _formats() for kind in tasks) + " |",
        "|---|---" + "|---" * (len(tasks) * len(_formats())) + "|",
    ]
    times: dict[str, list[float]] = {name: [] for name in nets}
    for half in _formats().values():
        for task in own:
            rivals: dict[str, Callable[[], object]] = {
                name: partial(predict_frame, cast("M2Dino", net), frame, task.id, half, last)
                for name, (net, last) in nets.items()
            }
            for name, seconds in in_turns(rivals, rounds).items():
                times[name].append(seconds)
    for name, (net, _) in nets.items():
        cells = [
            f"{1e3 * mine:.0f} ms" + ("" if name == AGAINST else f", x {mine / its:.2f}")
            for mine, its in zip(times[name], times[AGAINST], strict=True)
        ]
        millions = sum(p.numel() for p in net.parameters()) / 1e6
        lines.append(f"| {name} | {millions:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _formats() -> dict[str, bool]:
    return {"fp32": False, "bf16": True} if has_bfloat16(CPU) else {"fp32": False}
