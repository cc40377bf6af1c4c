"""What a step of training costs: eight pictures, each labelled for one task of every type, forward and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from m2dino.device import has_bfloat16
from m2dino.tasks import Task
from m2dino.training.colabelled import SharedForward
from m2dino.training.losses import loss_of
from torch import Tensor

from tests.benchmarks.baseline.entrants import Entrant
from tests.benchmarks.bench_network import in_turns

BATCH = 8
ENTRANTS = (
    Entrant("baseline"),
    Entrant("baseline", encoder="mobilenet_v2"),
    Entrant("m2dino", imagenet=True),
    Entrant("m2dino"),
)
"""The baseline's cost does not depend on the weights that it starts from; M2DINO has no stem from random ones."""


def target_of(task: Task, size: int) -> Tensor:
    """Return targets of a batch, as in `m2dino.data.samples.Sample`, that have something of everything."""
    if task.type == "segmentation":
        return torch.arange(BATCH * size * size).view(BATCH, size, size) % task.num_classes
    if task.type == "classification":
        return torch.arange(BATCH) % task.num_classes
    if task.type == "detection":
        return torch.tensor([[0.2, 0.3, 0.7, 0.8]]).expand(BATCH, -1)
    return torch.linspace(0.2, 0.8, 2 * task.num_classes).view(1, -1, 2).expand(BATCH, -1, -1)


def step(forward: SharedForward, images: Tensor, targets: dict[str, Tensor]) -> None:
    """Run forward and back on all tasks, as training does, in bfloat16 where the processor has it."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16(torch.device("cpu"))):
        outputs = forward(images, targets)
    torch.stack([loss_of(outputs[task_id], target) for task_id, target in targets.items()]).sum().backward()
    forward.zero_grad(set_to_none=True)


def measure_steps(tasks: list[Task], rounds: int, size: int) -> str:
    """Measure in turns and return a Markdown table: processor's time of the fastest round, and ratios to the first."""
    images = torch.randint(0, 255, (BATCH, 3, size, size), dtype=torch.uint8)
    targets = {task.id: target_of(task, size) for task in tasks}
    rivals: dict[str, Callable[[], object]] = {
        entrant.name: partial(step, SharedForward(entrant.build(tasks)[0].train()), images, targets)
        for entrant in ENTRANTS
    }
    times = in_turns(rivals, rounds)
    first = next(iter(times.values()))
    lines = [
        f"A training step, {BATCH} pictures with {len(tasks)} labels each:",
        "",
        "| network | time | |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {seconds:.2f} s | x {seconds / first:.2f} |" for name, seconds in times.items()]
    return "\n".join(lines) + "\n"
