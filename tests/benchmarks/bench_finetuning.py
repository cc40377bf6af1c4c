"""What does it save to keep what the frozen half of the network said of each picture? Measured in turns in one run.

    python tests/benchmarks/bench_finetuning.py [--frames 16] [--rounds 5] [--threads 1]

An epoch of an isolated fine-tune of the bundled checkpoint: frames of the carotid sample once each, in steps of eight,
forward, losses and backward of what the task owns. *Kept*: as `m2dino finetune` does it. *Anew*: the same steps, but
each picture goes through the frozen part again, without gradients, as it must where nothing is kept; reading and
augmenting it anew is not even counted. Processor time, the fastest round of each.

The steps are of two kinds: those that head and decoder learn from (four in five), where all of the encoder is frozen,
and those that the task's own experts learn from too (one in five), where only the half before the first mixture is.
The last lines are what is paid once: making the pictures with what is kept of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench_network import in_turns, show
from m2dino.cine import open_loop
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.predictor import load_model
from m2dino.tasks import builtin_tasks
from m2dino.training.corrections import corrections
from m2dino.training.finetune_settings import BATCH, PROBE_SHARE, FinetuneSettings
from m2dino.training.isolated import own_what
from m2dino.training.losses import loss_of
from m2dino.training.pictures import Pictures, Round, autocast
from m2dino.training.speed import Stopwatch
from m2dino.values import Mask
from PIL import Image

ROOT = Path(__file__).parents[2]
TASK = "carotid_artery"


def fill(store: Store, frames: int) -> None:
    """Save frames of the sample with their true masks."""
    loop = open_loop(ROOT / "napari_m2dino" / "samples" / "carotid")
    masks = sorted((ROOT / "tests" / "data" / "carotid_masks").glob("*.png"))
    for index in range(frames):
        truth = Mask((np.asarray(Image.open(masks[index])) > 0).astype(np.uint8))
        # Each frame as a recording of its own, for only whole recordings are held out.
        record = Record(f"{index:032x}", index, TASK, "edited", truth)
        store.save(record, loop[index], builtin_tasks()[TASK])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("frames", 16), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = load_model("tiny", "cpu")
    own_what(model, TASK)
    net = model.net.requires_grad_(False)
    with tempfile.TemporaryDirectory() as name, Store.open(Path(name) / "store", create=True) as store:
        fill(store, given.frames)
        data = corrections(store, TASK)

        def pictures() -> Round:
            # As many as there are frames: an epoch sees each once.
            settings = FinetuneSettings(pictures=len(data.train))
            return next(iter(Pictures(model, store, data, settings, Stopwatch()).rounds(lambda: False)))

        kept = pictures()
        kept.encode_all()
        images = torch.rand(len(kept), 3, model.size, model.size)
        answering, owned = list(net.answer_parameters(TASK)), list(net.own_parameters(TASK))

        def steps(of: Callable[[], Round], *, probing: bool, anew: bool) -> Callable[[], None]:
            def epoch() -> None:
                net.requires_grad_(False)
                for parameter in answering if probing else owned:
                    parameter.requires_grad_(True)
                one = of()
                for first in range(0, len(one), BATCH):
                    chosen = np.arange(first, min(first + BATCH, len(one)))
                    with autocast(model):
                        if anew:
                            with torch.no_grad():
                                prefix = net.prefix(net.normalise(images[first : first + BATCH]))
                        else:
                            prefix = one.prefix(chosen)
                        if not probing:
                            encoded = net.encode(prefix, one.grid, TASK)
                        elif anew:
                            with torch.no_grad():
                                encoded = net.encode(prefix, one.grid, TASK)
                        else:
                            encoded = one.encoded(chosen)
                        output = net.answer(encoded, one.grid, TASK)
                    loss_of(output, one.targets(chosen)).backward()
                    net.zero_grad()

            return epoch

        print(f"an epoch of {len(kept)} pictures, {TASK}, {model.size} px, {given.threads} thread(s)")
        shares = {True: PROBE_SHARE, False: 1 - PROBE_SHARE}
        whole = {"kept": 0.0, "anew": 0.0}
        for probing, share in shares.items():
            print("head and decoder learn" if probing else "experts and embedding learn, too")
            rivals = {
                "kept": steps(lambda: kept, probing=probing, anew=False),
                "anew": steps(lambda: kept, probing=probing, anew=True),
            }
            times = in_turns(rivals, given.rounds)
            show(times, "kept")
            whole = {rival: whole[rival] + share * seconds for rival, seconds in times.items()}
        print("as a fine-tune mixes them")
        show(whole, "kept")
        made = in_turns({"made": pictures}, given.rounds)["made"]
        encoding = in_turns({"encode": lambda: [*kept._encode(np.arange(len(kept)))]}, given.rounds)["encode"]
        print("once, for all epochs: pictures read, augmented, through the task-free half; and through the rest")
        show({"made": made, "encoded": encoding}, "made")


if __name__ == "__main__":
    main()
