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
from m2dino.network.checkpoint import read_tensors
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
# A constant added to a heatmap or to an attention changes nothing: its gradient is rounding, which Adam makes as large as
# any other.
NO_GRADIENT = ("heads.task_FUGC.body.2.bias", "heads.task_thyroid_nodule_det.body.2.bias", "attention.bias")


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
    one, two = (read_tensors(run_folder(out) / "last.safetensors") for out in outs)
    assert one.keys() == two.keys()
    for key, value in one.items():
        if key.endswith(NO_GRADIENT):
            continue
        torch.testing.assert_close(two[key], value, atol=1e-5, rtol=1e-5, msg=key)
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
