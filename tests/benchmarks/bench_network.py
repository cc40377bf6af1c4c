"""What do the mixtures, a second task and the way around the network cost? Ratios, measured in turns in one run.

    python tests/benchmarks/bench_network.py [--size 256] [--frames 8] [--rounds 15] [--threads 0]

1. The network's encoder with top-2 and with the soft mixture of 4, against the bare timm backbone, and the whole
   network with its decoder and a head. The bars are 1.25 and 1.9 for the encoder.
2. A second task on frames already seen, against a cold prediction. The bar is 0.65.
3. The prediction of a whole loop, decoding, resizing and painting included, against the network's own time on its
   frames. The bar is 1.2.

The rivals take turns, and the fastest round of each counts: a busy machine can only slow them. The first two parts
count the processor's time rather than the clock's, for the same reason; the third cannot, because overlap is what it
measures. The first is measured in float32 and, where the processor has it, in the bfloat16 that predictions use.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from m2dino.cine import open_loop
from m2dino.device import has_bfloat16
from m2dino.network.card import ModelCard, TaskReport
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.predictor import Model, predict
from m2dino.tasks import builtin_tasks
from PIL import Image

FIRST, SECOND = "carotid_artery", "thyroid_nodule_det"


def in_turns(
    rivals: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Return the seconds of each one's fastest round."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(rounds + 2):
        for name, run in rivals.items():
            started = clock()
            run()
            if number >= 2:  # the first rounds warm up
                times[name].append(clock() - started)
    return {name: min(own) for name, own in times.items()}


def show(times: dict[str, float], against: str) -> None:
    for name, seconds in times.items():
        ratio = "" if name == against else f"   x {seconds / times[against]:.2f}"
        print(f"  {name:34} {1e3 * seconds:9.1f} ms{ratio}")


def network(top_k: int, size: int) -> M2Dino:
    torch.manual_seed(0)
    architecture = preset("tiny").with_options(top_k=top_k, image_size=size)
    return M2Dino(architecture, [builtin_tasks()[FIRST], builtin_tasks()[SECOND]]).eval()


def model_of(net: M2Dino) -> Model:
    card = ModelCard("bench", net.architecture, {key: TaskReport(task, 1) for key, task in net.tasks.items()}, id="b")
    return Model(net, card, torch.device("cpu"))


def mixtures(size: int, frames: int, rounds: int) -> None:
    plain = timm.create_model(preset("tiny").backbone, num_classes=0).eval()
    images, grid = torch.randn(frames, 3, size, size), (size // 16, size // 16)

    def encoder(net: M2Dino) -> Callable[[], object]:
        key = net.key(FIRST)
        return lambda: net.backbone.suffix(net.backbone.prefix(images), grid, net.embeddings[key], key)

    top_2, soft = network(2, size), network(0, size)
    rivals = {
        "bare backbone": lambda: plain.forward_features(images),
        "encoder, top-2 of 4": encoder(top_2),
        "encoder, soft mixture of 4": encoder(soft),
        "whole network, top-2, masks": lambda: top_2(images, FIRST),
        "whole network, soft, masks": lambda: soft(images, FIRST),
    }
    for half in (False, True) if has_bfloat16(torch.device("cpu")) else (False,):
        print(f"{frames} frames of {size} px, tiny, {'bfloat16' if half else 'float32'}:")
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            show(in_turns(rivals, rounds), "bare backbone")


def second_task(size: int, frames: int, rounds: int) -> None:
    model = model_of(network(0, size))
    images = torch.randint(0, 255, (frames, 3, size, size), dtype=torch.uint8)
    keys = list(range(frames))
    model.outputs(images, FIRST, keys)
    print("second task on frames already seen:")
    rivals = {
        "cold": lambda: model.outputs(images, SECOND),
        "second task": lambda: model.outputs(images, SECOND, keys),
    }
    show(in_turns(rivals, rounds), "cold")


def whole_loop(size: int, rounds: int) -> None:
    net = network(0, size)
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for index in range(24):
            noise = rng.integers(0, 200, (600, 800, 1), np.uint8).repeat(3, axis=2)
            Image.fromarray(noise).save(Path(folder) / f"{index:03}.jpg", quality=90)
        loop = open_loop(Path(folder))
        images = torch.randint(0, 255, (4, 3, size, size), dtype=torch.uint8)
        model = model_of(net)

        def alone() -> None:
            for _ in range(6):
                model.outputs(images, FIRST)

        def whole() -> None:
            loop.close()  # forgets its frames
            list(predict(loop, FIRST, model_of(net)))

        print("24 JPEG frames of 800 x 600 px, masks:")
        rivals = {"the network alone": alone, "whole loop": whole}
        show(in_turns(rivals, max(3, rounds // 3), time.perf_counter), "the network alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    with torch.inference_mode():
        mixtures(chosen.size, chosen.frames, chosen.rounds)
        second_task(chosen.size, chosen.frames, chosen.rounds)
        whole_loop(chosen.size, chosen.rounds)


if __name__ == "__main__":
    main()
