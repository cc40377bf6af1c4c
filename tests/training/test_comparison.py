"""Before and after on the same held-out frames: figures, pictures, and how the experts are used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.errors import TrainingError
from m2dino.lineage import objections, promote, record_trained
from m2dino.network.card import read_card
from m2dino.network.checkpoint import load_checkpoint
from m2dino.tasks import Label, Task
from m2dino.training.comparing import Outcome, outcome
from m2dino.training.comparison import compare_models
from m2dino.training.comparison_pictures import GAP, PANEL
from m2dino.training.comparison_report import own_in_words, read_report
from m2dino.training.finetune import FinetuneSettings, finetune
from m2dino.training.guard import compare
from PIL import Image

from tests.in_process import Run
from tests.synthetic import TASKS, make_store

LEARNING = FinetuneSettings(steps=60, pictures=32, checks=4)
QUICK = FinetuneSettings(steps=4, pictures=10, checks=2)
OWN = Task("my_lumen", "segmentation", (Label("background"), Label("lumen")), "Mine")


def tuned(
    folder: Path, task_id: str, base: Path, out: Path, settings: FinetuneSettings = QUICK, **more: object
) -> Outcome:
    with Store.open(folder) as store:
        result = finetune(store, task_id, base, out, settings=settings, device="cpu")
        return outcome(result, store, task_id, out, base, device="cpu", **more)  # type: ignore[arg-type]


def test_the_same_frames_before_and_after_the_worst_first(base: Path, tmp_path: Path) -> None:
    task_id, out, report = TASKS["segmentation"], tmp_path / "out.safetensors", tmp_path / "report"
    folder = make_store(tmp_path / "store", loops=8, frames=3)
    told = tuned(folder, task_id, base, out, LEARNING, report=report)
    with Store.open(folder) as store:
        seen = compare_models(store, task_id, base, out, device="cpu")
    assert seen is not None
    dice = [np.mean(one.scored_after.values["DSC"]) for one in seen.frames]
    assert dice == sorted(dice)
    assert len(dice) == 6
    assert seen.change == compare(seen.before, seen.after)
    assert seen.change.better
    row = told.rows[0]
    assert (row.task, row.metric, row.harmed, row.better) == (task_id, "DSC", False, True)
    assert row.before.value == pytest.approx(seen.change.before)
    assert row.after.value == pytest.approx(seen.change.after)
    assert row.difference.value == pytest.approx(row.after.value - row.before.value, abs=0.02)
    read = read_report(report)
    assert (read.task, read.rows, read.heldout, read.unchanged) == (task_id, tuple(told.rows), 6, 3)
    assert (read.before_id, read.after_id) == (read_card(base).id, read_card(out).id)
    for one, true in zip(read.frames, seen.frames, strict=True):
        assert one.after == f"Dice {np.mean(true.scored_after.values['DSC']):.2f}"
        with Image.open(report / one.file) as picture:
            assert picture.size == (3 * PANEL + 2 * GAP, PANEL)
            assert np.asarray(picture).std() > 10
    page = (report / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 6
    assert "3 other tasks cannot have changed" in page
    assert str(tmp_path) not in page + (report / "comparison.json").read_text(encoding="utf-8")


def test_how_the_experts_are_used_before_and_after(base: Path, tmp_path: Path) -> None:
    task_id, out = TASKS["segmentation"], tmp_path / "out.safetensors"
    folder = make_store(tmp_path / "store", loops=3, frames=5)
    tuned(folder, task_id, base, out, LEARNING)
    with Store.open(folder) as store:
        seen = compare_models(store, task_id, base, out, device="cpu")
    assert seen is not None
    net = load_checkpoint(out)[0]
    mixtures, experts = len(net.backbone.mixtures), net.architecture.num_experts
    for usage in (seen.usage_before, seen.usage_after):
        gates = np.array(usage.gates)
        assert gates.shape == (mixtures, experts)
        assert gates.sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert seen.usage_before.own == [], "the base has no private expert for it"
    assert len(seen.usage_after.own) == mixtures
    assert all(0.001 < share < 1 for share in seen.usage_after.own), "it learnt something"
    words = own_in_words(seen.usage_after.own)
    assert words.startswith("Its own expert adds ")
    assert " 0.0%" not in words
    assert own_in_words(seen.usage_before.own) == ""


def test_an_expert_that_adds_nothing_is_said_to_and_why(base: Path, tmp_path: Path) -> None:
    """Stopped while only head and decoder learn, the expert is still where it began, and so is the figure."""
    task_id, out, report = TASKS["segmentation"], tmp_path / "out.safetensors", tmp_path / "report"
    folder, checked = make_store(tmp_path / "store", loops=3, frames=5), list[object]()
    with Store.open(folder) as store:
        result = finetune(
            store,
            task_id,
            base,
            out,
            settings=LEARNING,
            device="cpu",
            on_progress=lambda progress: checked.append(progress.metric) if progress.metric else None,
            should_stop=lambda: bool(checked),
        )
        assert result.stopped
        outcome(result, store, task_id, out, base, report=report, device="cpu")
    read = read_report(report)
    assert set(read.experts_after.own) == {0.0}
    net = load_checkpoint(out)[0]
    last = [block.private[net.key(task_id)].fc2.weight for block in net.backbone.mixtures]
    assert not any(weight.any() for weight in last), "true: nothing of it was learnt"
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "Its own expert adds nothing" in page
    assert "from before" in own_in_words(read.experts_after.own)


@pytest.mark.parametrize("kind", list(TASKS))
def test_every_type_of_task_has_its_pictures_and_words(kind: str, base: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    tuned(make_store(tmp_path / "store", kind), TASKS[kind], base, tmp_path / "out.safetensors", report=report)
    read = read_report(report)
    assert len(read.frames) == read.heldout == 2
    for one in read.frames:
        assert one.before
        assert one.after
        assert (one.truth != "") == (kind == "classification")
        assert (report / one.file).is_file()


def test_a_task_of_ones_own_has_nothing_before(base: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    told = tuned(make_store(tmp_path / "s", task=OWN), OWN.id, base, tmp_path / "out.safetensors", report=report)
    read = read_report(report)
    assert (told.rows[0].before, told.rows[0].difference) == (None, None)
    assert "not known → " in told.rows[0].text()
    assert {one.before for one in read.frames} == {"no answer"}
    assert read.experts_before.gates == ()
    assert read.experts_after.gates


def test_worse_than_the_model_in_use_is_harm_though_better_than_the_base(base: Path, tmp_path: Path) -> None:
    """What counts for a person is the model that the new one would take the place of."""
    task_id = TASKS["segmentation"]
    folder = make_store(tmp_path / "store", loops=3, frames=5)
    good, quick = tmp_path / "good.safetensors", tmp_path / "quick.safetensors"
    tuned(folder, task_id, base, good, LEARNING)
    told = tuned(folder, task_id, base, quick, in_use=good)
    assert told.rows[0].harmed
    assert any("worse than the model in use" in text for text in told.warnings)
    assert any("worse than the model in use" in text for text in objections(read_card(quick)))
    assert told.card == read_card(quick)


def test_told_to_stop_it_leaves_the_report(base: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    folder = make_store(tmp_path / "store")
    told = tuned(
        folder, TASKS["segmentation"], base, tmp_path / "o.safetensors", report=report, should_stop=lambda: True
    )
    assert told.report is None
    assert told.rows
    assert not report.exists()


@pytest.mark.parametrize("damage", ["none", "half", "other"])
def test_a_report_that_is_none_is_refused(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    if damage != "none":
        text = '{"format": "m2dino-comparison", "ver' if damage == "half" else json.dumps({"format": "x", "version": 1})
        (folder / "comparison.json").write_text(text)
    with pytest.raises(TrainingError, match="not a report"):
        read_report(folder)


def test_the_command_compares_with_the_model_in_use_and_writes_the_report(
    base: Path, tmp_path: Path, inside: Run
) -> None:
    task_id, folder = TASKS["segmentation"], make_store(tmp_path / "store", loops=3, frames=5)
    good = folder / "checkpoints" / "good.safetensors"
    with Store.open(folder) as store:
        finetune(store, task_id, base, good, settings=LEARNING, device="cpu")
    record_trained(folder, good, base, train=10, heldout=5, loops=3)
    promote(folder, good)
    out, report = folder / "checkpoints" / "new.safetensors", tmp_path / "report"
    words = ("--task", task_id, "--checkpoint", base, "-o", out, "--report", report, "--steps", 2, "--device", "cpu")
    result = inside("finetune", folder, *words)
    assert result.returncode == 0
    assert "HARMED" in result.stdout
    assert "worse than the model in use" in result.stderr
    assert str(report / "index.html") in result.stdout
    assert read_report(report).before_id == read_card(good).id
    refused = inside("lineage", "promote", folder, out)
    assert refused.returncode == 1
    assert "--despite-harm" in refused.stderr
