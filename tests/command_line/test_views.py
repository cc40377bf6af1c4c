"""`--tta`: predicting and evaluating with the mean over several views of each image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from m2dino.cine import open_loop
from m2dino.predictor import load_model, predict
from m2dino.tta import TestTimeAugmented

from tests.command_line.conftest import assert_one_sentence, done
from tests.in_process import Run
from tests.synthetic import TASKS


def test_evaluating_with_views_is_evaluating_what_was_predicted_with_views(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    out, common = tmp_path / "out", ("--checkpoint", checkpoint, "--device", "cpu")
    done("predict", "--fmuia", root, "--tta", *common, "-o", out, run=inside)
    written = json.loads(done("evaluate", root, "--predictions", out, "--json", run=inside))
    direct = json.loads(done("evaluate", root, "--tta", *common, "--json", run=inside))
    plain = json.loads(done("evaluate", root, *common, "--json", run=inside))
    assert written == direct
    assert direct != plain
    assert_one_sentence(inside("evaluate", root, "--predictions", out, "--tta"), "--tta")


def test_a_loop_is_predicted_with_views(loop: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    task = TASKS["regression"]
    words = ("predict", loop, "--task", task, "--checkpoint", checkpoint, "--device", "cpu", "--frames", "0:2")
    folder = Path(done(*words, "--tta", "-o", tmp_path / "out", run=inside).strip())
    entries = json.loads((folder / "predictions.json").read_text())["predictions"]
    several = TestTimeAugmented(load_model(checkpoint, "cpu"))
    expected = list(predict(open_loop(loop), task, several, frames=range(2)))
    assert [entry["confidence"] for entry in entries] == pytest.approx([each.confidence for each in expected], abs=1e-4)
