"""A study from data to report: real runs, stopped and gone on with, by one process and by several workers."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import timm
from m2dino.errors import MissingExtraError, StudyError, TrainingError
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.study import cluster, execute
from m2dino.study.cluster import Workers
from m2dino.study.conduct import conduct
from m2dino.study.data import StudyData, study_data
from m2dino.study.execute import How
from m2dino.study.plan import Options, Run, make_plan
from m2dino.study.results import Result, Results
from m2dino.study.summary import Summary
from m2dino.study.work import Todo, one_by_one, unfinished
from m2dino.tasks import builtin_tasks
from m2dino.training.data import gather
from m2dino.training.run import Start
from m2dino.training.state import resume_path
from safetensors.torch import save_file

from tests.study.conftest import TASK_IDS
from tests.synthetic import SMALL, make_root

HOW = How(Start(), "cpu", 0)
OPTIONS = Options(scales=(1.0,), seeds=2, steps=2, batch_size=2, arms=("soft-2", "dense-2"))
RUNS = 2 * (2 + 1 + 1)
"""Two seeds of two tasks alone, one network of both, and the dense network of both."""


def study(data: StudyData, out: Path, **more: object) -> tuple[Summary | None, list[str]]:
    told: list[str] = []
    return conduct(data, SMALL, OPTIONS, out, HOW, tell=told.append, **more), told  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def out(data: StudyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was stopped after its third run, and then gone on with."""
    out = tmp_path_factory.mktemp("out")
    results = Results(out)

    def third_is_done() -> bool:
        return len(list(results.folder.glob("*.json"))) >= 3

    first, told = study(data, out, should_stop=third_is_done)
    assert f"{RUNS} networks; each task is learnt in 2 batches of 2." in told[-1]
    assert first is not None
    assert first.missing == RUNS - 3
    early = {path: path.stat().st_mtime_ns for path in results.folder.glob("*.json")}
    second, told = study(data, out)
    assert f"{RUNS} networks, 3 of them are there" in told[-1]
    assert second is not None
    assert not second.missing
    assert not second.failed
    assert {path: path.stat().st_mtime_ns for path in early} == early
    assert not list((results.folder / "unfinished").iterdir())
    return out


def test_what_is_there_is_not_done_again(data: StudyData, out: Path) -> None:
    again, told = study(data, out)
    assert again is not None
    assert not told


def test_every_task_is_compared_with_itself_alone(data: StudyData, out: Path) -> None:
    with (out / "table.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    pooled = [row for row in rows if row["against"] == "task-specific"]
    assert {row["task"] for row in pooled} == set(data.tasks)
    assert {row["paradigm"] for row in pooled} == {"all-task"}  # every group here has one task
    assert {row["seeds"] for row in rows} == {"2"}
    mixture = [row for row in rows if row["against"] == "dense-2"]
    assert {row["arm"] for row in mixture} == {"soft-2"}
    for row in rows:
        better = float(row["reference"]) - float(row["value"]) if row["metric"] == "MRE" else None
        better = float(row["value"]) - float(row["reference"]) if better is None else better
        assert float(row["change"]) == pytest.approx(better, abs=1e-4)
        assert float(row["subjects_low"]) <= float(row["change"]) + 1e-6
        assert float(row["change"]) <= float(row["subjects_high"]) + 1e-6


def test_the_labels_learnt_from_are_counted_and_equal(out: Path) -> None:
    runs = json.loads((out / "results.json").read_text())["runs"]
    assert len(runs) == RUNS
    alone = [run["label_updates"] for run in runs if len(run["tasks"]) == 1]
    assert {count for own in alone for count in own.values()} == {4}
    together = [sum(run["label_updates"].values()) for run in runs if len(run["tasks"]) == 2]
    assert all(count >= 8 for count in together)


def test_the_report_needs_nothing_beside_it_and_names_nobody(data: StudyData, out: Path) -> None:
    page = (out / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 4
    assert "2 seeds give wide intervals" in page
    for written in out.rglob("*"):
        if written.is_file():
            text = written.read_text()
            assert "subject 3" not in text
            assert str(data.train[0].root) not in text


def test_a_task_uses_its_experts_in_shares(data: StudyData, out: Path) -> None:
    gates = json.loads((out / "results.json").read_text())["gates"]
    assert set(gates) == set(data.tasks)
    for blocks in gates.values():
        assert len(blocks) == 3
        assert all(sum(experts) == pytest.approx(1, abs=1e-3) for experts in blocks)


def test_a_damaged_result_is_made_again(data: StudyData, out: Path, tmp_path: Path) -> None:
    shutil.copytree(out / "runs", tmp_path / "runs")
    plan = make_plan(data.tasks, SMALL, OPTIONS, data.signature)
    results = Results(tmp_path)
    assert not unfinished(plan, results)
    cut, failed = plan.runs[2], plan.runs[4]
    results.path(cut).write_text(results.path(cut).read_text()[:50])
    results.save(failed, Result(failed.id, failed="the loss was not a number"))
    assert unfinished(plan, results) == [cut, failed]


def test_several_workers_find_what_one_process_finds(data: StudyData, out: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    # Threads of this process stand for workers: processes would have to start torch first.
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        few = replace(OPTIONS, seeds=1)
        summary = conduct(data, SMALL, few, tmp_path, HOW, Workers(local.scheduler_address))
    assert summary is not None
    assert not summary.missing
    assert not summary.failed
    made = sorted((tmp_path / "runs").glob("*.json"))
    assert len(made) == 4
    for result in made:
        told, there = (json.loads((folder / "runs" / result.name).read_text()) for folder in (out, tmp_path))
        assert told["figures"] == there["figures"]


def test_a_scheduler_that_is_not_there_is_a_sentence(
    data: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 0.5)
    with pytest.raises(StudyError, match="dask scheduler"):
        study(data, tmp_path, labour=Workers("tcp://127.0.0.1:9"))


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"napari-m2dino\[distributed\]"):
        Workers("tcp://127.0.0.1:8786")


def test_steps_follow_from_minutes_and_then_stay(data: StudyData, tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        planned = conduct(data, SMALL, OPTIONS, tmp_path, HOW, minutes=5, tell=told.append, should_stop=lambda: True)
        assert planned is not None
    lengths = [text for text in told if text.startswith(str(RUNS))]
    assert lengths[0] == lengths[1]
    assert "About 5 minutes" in lengths[0]


def test_with_more_seeds_or_workers_what_is_there_is_found_again(data: StudyData, tmp_path: Path) -> None:
    """After a study of another length in the same folder, too."""
    told: list[str] = []
    few = replace(OPTIONS, seeds=1)
    for minutes in (5, 9):
        conduct(data, SMALL, few, tmp_path, HOW, minutes=minutes, tell=told.append, should_stop=lambda: True)
    lengths = [re.search(r"learnt in (\d+) batches", text) for text in told]
    first, second = (int(found[1]) for found in lengths if found)
    assert first != second
    done = make_plan(data.tasks, SMALL, replace(few, steps=first), data.signature).runs[0]
    Results(tmp_path).save(done, Result(done.id))
    told.clear()
    more = replace(OPTIONS, seeds=3, scales=(1.0, 0.5))
    conduct(data, SMALL, more, tmp_path, HOW, minutes=5, side_by_side=3, plan_only=True, tell=told.append)
    assert f"{first} batches a task, as settled on before" in told[0]
    assert "1 of them are there" in told[1]
    assert f"each task is learnt in {first} batches" in told[1]


def test_relative_paths_hold_for_workers_of_another_folder(
    data: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker on another computer was started wherever its owner stood: here one that goes there by itself."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine, theirs):
        folder.mkdir()
    monkeypatch.chdir(mine)
    save_file(timm.create_model(SMALL.backbone, num_classes=0).state_dict(), mine / "weights.safetensors")
    how = replace(HOW, start=Start(weights=Path("weights.safetensors")))

    def elsewhere(todo: Todo, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        monkeypatch.chdir(theirs)
        one_by_one(replace(todo, runs=todo.runs[:1]), on_progress, should_stop)

    summary = conduct(data, SMALL, OPTIONS, Path("out"), how, elsewhere)
    assert summary is not None
    assert not summary.failed
    assert summary.missing == RUNS - 1
    assert (mine / "out" / "report.html").is_file()
    assert not list(theirs.iterdir())


def one_run(data: StudyData, steps: int = 2) -> Run:
    return make_plan(data.tasks, SMALL, replace(OPTIONS, steps=steps), data.signature).runs[0]


def test_a_run_whose_data_are_out_of_reach_names_no_file_and_goes_on_later(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", images=20)
    data = study_data(gather([root], builtin_tasks(), task_ids=TASK_IDS, val_fraction=0.4, seed=7))
    run, results, told = one_run(data, steps=20), Results(tmp_path / "out"), list[str]()
    todo = Todo([run], data, HOW, results, told.append)
    asked = count()
    one_by_one(todo, ignore_progress, lambda: next(asked) > 8)
    state = resume_path(results.scratch(run) / "network.safetensors")
    before = state.read_bytes()
    images = root / "Data" / "images"
    away = images.rename(root / "Data" / "away")
    one_by_one(todo, ignore_progress, never_stop)
    failed = results.load([run])[run.id].failed
    assert "image" in failed
    assert str(tmp_path) not in results.path(run).read_text()
    (said,) = told
    assert str(images.resolve()) in said
    assert state.read_bytes() == before
    away.rename(images)
    one_by_one(todo, ignore_progress, never_stop)
    made = results.load([run])[run.id]
    assert not made.failed
    assert made.steps >= 20
    assert not results.scratch(run).exists()


def test_a_training_that_fails_leaves_nothing_to_go_on_from(
    data: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*words: object, **more: object) -> None:
        raise TrainingError("The loss was not a number.")

    monkeypatch.setattr(execute.training, "run", fails)
    run, results = one_run(data), Results(tmp_path / "out")
    results.scratch(run).mkdir(parents=True)
    one_by_one(Todo([run], data, HOW, results), ignore_progress, never_stop)
    assert results.load([run])[run.id].failed == "The loss was not a number."
    assert not results.scratch(run).exists()


def test_a_worker_that_fails_is_told_without_a_path(
    data: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    def fails(*words: object) -> None:
        raise OSError(f"{tmp_path}: not mounted here")

    monkeypatch.setattr(cluster, "remote", fails)
    run, results, told = one_run(data), Results(tmp_path / "out"), list[str]()
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        labour = Workers(local.scheduler_address)
        labour(Todo([run], data, HOW, results, told.append), ignore_progress, never_stop)
    assert "OSError" in results.load([run])[run.id].failed
    assert str(tmp_path) not in results.path(run).read_text()
    assert str(tmp_path) in told[0]
