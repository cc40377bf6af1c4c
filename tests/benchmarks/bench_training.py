"""What does a step save that learns four tasks of the same images at once? A ratio, measured in turns in one run.

    python tests/benchmarks/bench_training.py [--size 256] [--images 8] [--rounds 3] [--threads 1]

Forward, losses and backward of a mask, a box, points and a class, together against one by one, in processor time. What
is saved besides, the decoding and the augmentation of three more images each, is not counted.
"""

from __future__ import annotations

import argparse

import torch
from bench_network import in_turns, show
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.tasks import builtin_tasks
from m2dino.training.colabelled import SharedForward
from m2dino.training.losses import loss_of

TASKS = ("carotid_artery", "thyroid_nodule_det", "FUGC", "breast_2cls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 256), ("images", 8), ("rounds", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    count, size = given.images, given.size
    targets = {
        TASKS[0]: torch.randint(0, 2, (count, size, size)),
        TASKS[1]: torch.tensor([[0.1, 0.2, 0.5, 0.6]] * count),
        TASKS[2]: torch.rand(count, 2, 2),
        TASKS[3]: torch.randint(0, 2, (count,)),
    }
    for top_k in (0, 2):
        torch.manual_seed(0)
        net = M2Dino(preset("tiny").with_options(top_k=top_k), [builtin_tasks()[task] for task in TASKS]).train()
        forward = SharedForward(net)

        def step(tasks: tuple[str, ...], net: M2Dino = net, forward: SharedForward = forward) -> None:
            # Other images in every step, as in training: with top-k, the shapes of products follow from them.
            images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
            outputs = forward(images, tasks)
            torch.stack([loss_of(outputs[task], targets[task]) for task in tasks]).sum().backward()
            net.zero_grad()

        rivals = {
            "four tasks in one step": lambda step=step: step(TASKS),
            "four steps of one task": lambda step=step: [step((task,)) for task in TASKS],
        }
        print("top-2 gating" if top_k else "soft mixture")
        show(in_turns(rivals, given.rounds), "four tasks in one step")


if __name__ == "__main__":
    main()
