"""Two processes that share each batch do what one does with the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from m2dino.errors import UsageError
from m2dino.network.card import read_card
from m2dino.network.checkpoint import load_checkpoint
from m2dino.network.config import Architecture
from m2dino.training.processes import part_of
from m2dino.training.settings import TrainSettings
from m2dino.training.state import run_folder

# Dropout draws in each process for its own images, which no other number of processes repeats: it is taken out here.
CHILD = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import m2dino.network.heads, m2dino.training.checks, m2dino.training.processes
from m2dino.network.config import Architecture
from m2dino.tasks import builtin_tasks
from m2dino.training.data import gather
from m2dino.training.run import run
from m2dino.training.settings import TrainSettings
made = m2dino.network.heads.ClassificationHead.__init__
def without_dropout(self, *args):
    made(self, *args)
    self.dropout.p = 0.0
m2dino.network.heads.ClassificationHead.__init__ = without_dropout
m2dino.training.checks.STEPS_APART = 2
m2dino.training.processes.has_bfloat16 = lambda device: False  # to compare to more than three digits
root, out, architecture, settings = sys.argv[1:]
run(gather([Path(root)], builtin_tasks()), Architecture(**json.loads(architecture)),
    TrainSettings.from_dict(json.loads(settings)), Path(out), device="cpu", workers=0)
"""


def started(root: Path, out: Path, architecture: Architecture, processes: int) -> None:
    settings = TrainSettings(epochs=4, batch_size=4, seed=5)
    told = [str(root), str(out), json.dumps(architecture.to_dict()), json.dumps(settings.to_dict())]
    script = out.parent / "child.py"
    script.write_text(CHILD)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [*launch, str(script), *told],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_equal_one_with_the_whole_batch(root: Path, small: Architecture, tmp_path: Path) -> None:
    outs = []
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        outs.append(tmp_path / str(processes) / "model.safetensors")
        # Without the stem: its clipped activations turn a rounding into a step.
        started(root, outs[-1], small.with_options(stem=""), processes)
    # What the networks say, not their weights: a constant added to a heatmap changes nothing, so the gradient of its
    # bias is rounding, which Adam makes as large as any other.
    nets = [load_checkpoint(run_folder(out) / "last.safetensors")[0] for out in outs]
    images = torch.randn(4, 3, small.image_size, small.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for task_id in nets[0].tasks:
            one, two = (net(images, task_id)[0] for net in nets)
            torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-5, msg=task_id)
    losses = [(run_folder(out) / "metrics.csv").read_text().splitlines() for out in outs]
    assert len(losses[0]) == len(losses[1]) > 12
    for lines in zip(*losses, strict=True):
        one, two = (line.split(",") for line in lines)
        assert (one[0], one[2], one[3]) == (two[0], two[2], two[3])
        for mine, other in zip(one[4:], two[4:], strict=True):
            assert mine == other or float(mine) == pytest.approx(float(other), abs=1e-4)
    configs = [json.loads((run_folder(out) / "config.json").read_text()) for out in outs]
    assert [config["run"].pop("processes") for config in configs] == [1, 2]
    assert configs[0] == configs[1]
    assert read_card(outs[0]).training["steps"] == read_card(outs[1]).training["steps"] == 6
    for out in outs:
        assert sorted(entry.name for entry in out.parent.iterdir()) == ["child.py", "model.run", "model.safetensors"]


class _Launched:
    def __init__(self, rank: int, world: int) -> None:
        self.global_rank, self.world_size = rank, world


def test_each_process_takes_its_part_of_the_batch() -> None:
    parts = [part_of(6, _Launched(rank, 3)) for rank in range(3)]  # type: ignore[arg-type]
    assert [image for part in parts for image in range(6)[part]] == list(range(6))
    with pytest.raises(UsageError, match="multiple of 4"):
        part_of(6, _Launched(0, 4))  # type: ignore[arg-type]
