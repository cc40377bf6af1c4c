"""Advice on pooling: what the counts say, what short runs say, and that each says which it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino.advice import advise as advising
from m2dino.advice import probes as probing
from m2dino.advice.advise import advise
from m2dino.advice.conflict import conflict
from m2dino.advice.counts import TaskCount
from m2dino.advice.evidence import EVIDENCE
from m2dino.advice.finetuning import advise_finetune
from m2dino.advice.report import to_json, to_text
from m2dino.advice.rules import by_counts, overall
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.tasks import Task, TaskRegistry, builtin_tasks
from m2dino.training.data import TrainingData, gather

from tests.in_process import runner
from tests.synthetic import SMALL, TASKS, make_root, make_store

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("advice") / "root", images=20)


def counts(**rows: int) -> dict[str, TaskCount]:
    return {task_id: TaskCount(builtin_tasks()[task_id], number, number) for task_id, number in rows.items()}


def test_one_task_has_nothing_to_be_pooled_with() -> None:
    one = counts(carotid_artery=500)
    assert by_counts(one, "carotid_artery").paradigm == "task-specific"
    assert "nothing to pool" in overall({"carotid_artery": by_counts(one, "carotid_artery")}).reason


def test_segmentation_is_kept_apart_where_data_is_poor_and_pooled_where_it_is_rich() -> None:
    poor = counts(breast_lesion=460, breast_2cls=460)
    assert by_counts(poor, "breast_lesion").paradigm == "task-specific"
    assert by_counts(poor, "breast_2cls").paradigm == "all-task"
    rich = counts(breast_lesion=2000, fetal_abdomen_multi=760, FUGC=210, fetal_plane_cls=6000, IUGC=2200)
    assert by_counts(rich, "fetal_abdomen_multi").paradigm == "all-task"  # as the paper's figures have it
    assert by_counts(rich, "FUGC").paradigm == "all-task"
    assert by_counts(rich, "breast_lesion").paradigm == "task-specific"


def test_a_group_that_holds_nearly_everything_is_enough() -> None:
    one = counts(fetal_plane_cls=7000, FUGC=300, organ_cls=200)
    assert by_counts(one, "FUGC").paradigm == "clinically-grouped"
    assert by_counts(one, "organ_cls").paradigm == "all-task"


def test_a_fine_tune_is_advised_to_share_only_with_what_could_learn_beside_it(tmp_path: Path) -> None:
    store, registry = make_store(tmp_path / "store", "classification", loops=2), builtin_tasks()
    make_store(store, "regression", frames=1)
    alone = advise_finetune(store, registry, TASKS["classification"], others=())
    assert alone is not None
    assert alone.form == "isolated"
    assert "no other task" in alone.reason
    beside = advise_finetune(store, registry, TASKS["classification"], others={TASKS["regression"]})
    assert beside is not None
    assert beside.form == "shared"
    elsewhere = advise_finetune(store, registry, TASKS["classification"], others={TASKS["detection"]})
    assert elsewhere is None, "what lies in a folder to replay is not counted"


def test_every_reason_is_one_sentence_and_its_evidence_is_known() -> None:
    for rows in ((50, 60, 70, 80), (500, 50, 3000, 200), (20, 9000, 4000, 1)):
        some = counts(
            **dict(zip(("breast_lesion", "fetal_plane_cls", "FUGC", "thyroid_nodule_det"), rows, strict=True))
        )
        for task_id in some:
            told = by_counts(some, task_id)
            assert told.reason.endswith(".")
            assert told.reason.count(". ") == 0
            assert set(told.evidence) <= set(EVIDENCE)
            assert told.sure != "measured"


def test_tasks_without_a_group_have_nothing_in_common() -> None:
    own = [Task.from_dict({"id": name, "type": "classification", "labels": ["a", "b"]}) for name in ("one", "two")]
    some = {task.id: TaskCount(task, 5000, 5000) for task in own}
    assert by_counts(some, "one").paradigm == "all-task"  # never "clinically-grouped"


def test_corrections_are_counted_and_a_task_of_ones_own_is_no_obstacle(root: Path, tmp_path: Path) -> None:
    mine = Task.from_dict({"id": "my_tendon", "type": "segmentation", "labels": ["background", "tendon"]})
    store = make_store(tmp_path / "store", loops=2, frames=3, task=mine)
    told = advise([root], builtin_tasks(), store=store)
    assert (told.counts["my_tendon"].frames, told.counts["my_tendon"].loops) == (6, 2)
    assert told.tasks["my_tendon"].paradigm == "task-specific"
    assert "my_tendon" in " ".join(told.notes)  # two loops: not worth much
    assert "not measured" in to_text(told)


def test_the_command_prints_its_documented_json(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = runner(monkeypatch, capfd)("advise", root, "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["format"], data["version"], data["basis"]) == ("m2dino-advice", 1, "counts")
    assert set(data["tasks"]) == set(TASKS.values())
    one = data["tasks"]["carotid_artery"]
    assert {"type", "group", "rows", "subjects", "frames", "loops", "paradigm", "reason", "sure"} <= set(one)
    assert (one["rows"], one["subjects"]) == (20, 10)


def test_a_folder_without_data_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = runner(monkeypatch, capfd)("advise", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "not a data set" in done.stderr


@pytest.fixture
def small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes of two tasks by a network that takes no time."""

    def two(roots: list[Path], registry: TaskRegistry, **rest: object) -> TrainingData:
        return gather(roots, registry, task_ids=("carotid_artery", "FUGC"), val_fraction=0.4, seed=7)

    monkeypatch.setattr(probing, "preset", lambda name: SMALL)
    monkeypatch.setattr(advising, "gather", two)


@pytest.mark.usefixtures("small_probes")
def test_too_few_minutes_say_so_and_counts_decide(root: Path) -> None:
    told = advise([root], builtin_tasks(), minutes=0.01)
    assert told.probes is None
    assert any(note.startswith("Nothing was measured: ") and "too few" in note for note in told.notes)


@pytest.mark.usefixtures("small_probes")
def test_short_runs_measure_and_the_advice_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "steps_within", lambda *rest: 2)
    told = advise([root], builtin_tasks(), minutes=1)
    assert told.probes is not None
    data = json.loads(to_json(told))
    assert data["basis"] == "measured"
    assert "2 batches a task" in data["certainty"]
    assert data["tasks"]["FUGC"]["measured"]["all-task"]["metric"] == "MRE"
    assert data["tasks"]["breast_2cls"]["measured"] is None
    assert any("judged by counts" in note and "breast_2cls" in note for note in told.notes)
    assert np.allclose(np.diag(data["conflict"]["cosines"]), 1)
    assert any(note.startswith("Gradients of the shared encoder") for note in told.notes)


@pytest.mark.usefixtures("small_probes")
def test_stopped_before_a_short_run_was_finished_nothing_is_called_measured(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "steps_within", lambda *rest: 2)
    told = advise([root], builtin_tasks(), minutes=1, should_stop=lambda: True)
    data = json.loads(to_json(told))
    assert data["basis"] == "counts"
    assert "not measured" in data["certainty"]
    assert all(one["measured"] is None for one in data["tasks"].values())
    assert "not measured" in to_text(told)
    assert "Measured by short runs" not in to_text(told)


def test_a_task_and_its_copy_do_not_pull_apart(root: Path) -> None:
    data = gather([root], builtin_tasks(), task_ids=("carotid_artery", "breast_2cls"))
    torch.manual_seed(0)
    net = M2Dino(SMALL, data.tasks.values())
    twin = Task.from_dict({**builtin_tasks()["carotid_artery"].to_dict(), "id": "twin"})
    net.add_task(twin)
    for own, copied in zip(net.own_parameters("carotid_artery"), net.own_parameters("twin"), strict=True):
        copied.data.copy_(own.data)
    rows = {task: [row for row in data.train if row.task_id == task] for task in data.tasks}
    found = conflict(net, {**rows, "twin": rows["carotid_artery"]}, torch.device("cpu"))
    places = [found.tasks.index(task) for task in ("carotid_artery", "twin")]
    assert found.cosines[places[0], places[1]] == pytest.approx(1, abs=1e-4)
    assert found.worst("twin") is not None
    assert found.worst("twin")[0] == "breast_2cls"  # type: ignore[index]


def test_classes_pull_as_they_do_in_training(root: Path) -> None:
    """There each reading has a loss of its own: how sure that of the stem's map is changes no other gradient."""
    data = gather([root], builtin_tasks(), task_ids=("breast_2cls",))
    torch.manual_seed(0)
    net = M2Dino(preset("tiny").with_options(image_size=64, num_experts=2, moe_from=9, task_dim=8), data.tasks.values())
    rows = {"breast_2cls": data.train}
    before = conflict(net, rows, torch.device("cpu")).itself
    assert np.isfinite(before).all()
    with torch.no_grad():
        net.get_parameter(f"heads.{net.key('breast_2cls')}.deep_out.bias").copy_(torch.tensor([9.0, -9.0]))
    assert conflict(net, rows, torch.device("cpu")).itself == pytest.approx(before)
    assert not any(module.training for module in net.modules())
