"""`m2dino export` and `m2dino dataset import --loop`, as a user runs them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from m2dino.cine import open_loop
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.errors import UsageError
from m2dino.export import FORMATS, AnnotatedLoop, export_annotations, find_loops, loops_of_store
from m2dino.export import pictures as pictures_module
from m2dino.values import Box
from pydicom import dcmread

from tests.cine.making import moving_square, video
from tests.export.conftest import SECRET, TASKS, Setup, value_of
from tests.in_process import Run


def test_every_format_is_written_and_none_names_the_patient(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    for to in FORMATS:
        out = tmp_path / to
        done = m2dino("export", setup.store, "-o", out, "--to", to, "--loops", setup.loop_file)
        assert done.returncode == 0, done.stderr
        assert f"as {to}." in done.stdout
        assert ("burnt into them" in done.stderr) == (to in ("coco", "fmuia"))
        written = [path for path in out.rglob("*") if path.is_file()]
        assert written
        for path in written:
            raw = path.read_bytes()
            assert SECRET not in str(path.relative_to(tmp_path))
            for secret in (SECRET, SECRET.upper(), "19770707", "19770708", "1.2.840.777"):
                assert secret.encode() not in raw, (path, secret)
    for kind in ("segmentation", "detection", "regression"):
        assert (tmp_path / "coco" / "annotations" / f"{TASKS[kind].id}.json").is_file()
    assert not (tmp_path / "coco" / "annotations" / "breast_2cls.json").exists()


def test_tasks_and_fates_are_chosen(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    for fates, count in (("accepted", 1), ("edited", 2), ("accepted,edited", 3)):
        done = m2dino("export", setup.store, "-o", tmp_path / fates, "--to", "csv", "--task", "FUGC", "--fates", fates)
        assert done.returncode == 0, done.stderr
        assert f"{count} annotated frame" in done.stdout
        assert {path.name for path in (tmp_path / fates).iterdir()} == {"FUGC.csv", "FUGC_lengths.csv"}


def test_the_patient_is_named_where_that_is_asked_for(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    common = ("export", setup.store, "-o", tmp_path / "out", "--to", "dicom-seg", "--loops", setup.loop_file.parent)
    done = m2dino(*common, "--keep-identity")
    assert done.returncode == 0, done.stderr
    assert "name the patient" in done.stderr
    (path,) = (tmp_path / "out").iterdir()
    assert dcmread(path).PatientName == f"{SECRET}^Jane"


def test_mistakes_are_one_sentence_on_stderr(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    out, store = tmp_path / "out", setup.store
    other = video(tmp_path / "other.mp4", moving_square(6, 96, 128), "mpeg4")
    (tmp_path / "there").mkdir()
    Store.open(tmp_path / "new", create=True).close()
    for words, says in (
        ((tmp_path, "-o", out, "--to", "csv"), "no store of corrections"),
        ((tmp_path / "new", "-o", out, "--to", "csv"), "holds no record yet"),
        ((store, "-o", out, "--to", "xml"), "choose coco, fmuia"),
        ((store, "-o", out, "--to", "csv", "--task", "lung"), "has no task 'lung'; it has cardiac_multi"),
        ((store, "-o", out, "--to", "csv", "--fates", "rejected"), "'rejected' cannot be exported"),
        ((store, "-o", out, "--to", "csv", "--fates", ""), "choose accepted, edited or both"),
        ((store, "-o", tmp_path / "there", "--to", "csv"), "exists already"),
        (
            (store, "-o", out, "--to", "png", "--task", "FUGC"),
            "png has no place for; choose coco, fmuia, csv, dicom-sr",
        ),
        ((store, "-o", out, "--to", "dicom-seg"), "name it, or its folder, with --loops"),
        ((store, "-o", out, "--to", "dicom-seg", "--loops", other), "None of the 1 given loops"),
        ((store, "-o", out, "--to", "csv", "--loops", tmp_path / "none.dcm"), "none.dcm"),
        ((store, "-o", out, "--to", "csv", "--keep-identity"), "for DICOM alone"),
        ((store, "-o", out, "--to", "dicom-sr", "--keep-identity", "--salt", "x"), "give one of them"),
    ):
        done = m2dino("export", *words)
        assert done.returncode == 1, (words, done.stderr)
        assert says in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert not out.exists()


def test_a_loop_that_is_missing_is_told_and_the_others_are_written(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", create=True) as store:
        for loop_id in (setup.loop.identity, "f" * 32):
            record = Record(loop_id, 0, "cardiac_multi", "edited", value_of("segmentation", 0))
            store.save(record, setup.loop[0], TASKS["segmentation"])
    common = ("-o", tmp_path / "out", "--to", "dicom-seg", "--loops", setup.loop_file)
    done = m2dino("export", tmp_path / "store", *common)
    assert done.returncode == 1
    assert "left out: The file of the loop ffffffffffffffff is not among those given" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_labels_come_back_into_a_store_for_the_loop(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    for to in ("coco", "fmuia"):
        m2dino("export", setup.store, "-o", tmp_path / to, "--to", to)
    for kind in ("segmentation", "detection", "regression", "classification"):
        task = TASKS[kind].id
        for source in (tmp_path / "coco" / "annotations" / f"{task}.json", tmp_path / "fmuia"):
            if not source.exists():
                continue
            store = tmp_path / f"{source.name} {kind}"
            words = ("dataset", "import", source, "--task", task, "--loop", setup.loop_file, "-o", store)
            done = m2dino(*words, "--limit", 2)
            assert done.returncode == 0, done.stderr
            assert f"2 frames of {task} saved." in done.stdout
            assert f"1 frames of {task} saved, 2 were there already" in m2dino(*words).stdout
            with Store.open(store) as opened:
                records = opened.records(task)
            assert [record.frame for record in records] == [0, 1, 4]
            assert [record.value for record in records] == [value_of(kind, frame) for frame in (0, 1, 4)]
            assert {(record.fate, record.loop_id) for record in records} == {("accepted", setup.loop.identity)}


def test_labels_that_come_again_leave_what_people_decided(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    export_annotations([setup.annotated("detection")], tmp_path / "coco", "coco")
    task, store = TASKS["detection"], tmp_path / "store"
    source = tmp_path / "coco" / "annotations" / f"{task.id}.json"
    words = ("dataset", "import", source, "--task", task.id, "--loop", setup.loop_file, "-o", store)
    assert m2dino(*words).returncode == 0
    loop = setup.loop.identity
    with Store.open(store) as opened:
        opened.save(Record(loop, 0, task.id, "edited", Box(1, 2, 3, 4), author="me"))
        opened.save(Record(loop, 1, task.id, "rejected", None))
    told = f"0 frames of {task.id} saved, 1 were there already, 2 left as people decided them."
    assert told in m2dino(*words).stdout
    with Store.open(store) as opened:
        kept = opened.records(task.id)
    assert [record.value for record in kept] == [Box(1, 2, 3, 4), None, value_of("detection", 4)]
    assert kept[1].fate == "rejected"


def test_a_coco_file_needs_to_know_its_loop(m2dino: Run, setup: Setup, tmp_path: Path) -> None:
    export_annotations([setup.annotated("detection")], tmp_path / "out", "coco")
    source = tmp_path / "out" / "annotations" / "thyroid_nodule_det.json"
    for more, says in (
        ((), "say with --loop which loop"),
        (("--loop", tmp_path), "holds no loop"),
    ):
        done = m2dino("dataset", "import", source, "--task", "thyroid_nodule_det", "-o", tmp_path / "s", *more)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert says in done.stderr
    assert not (tmp_path / "s").exists()


def test_loops_are_found_by_content_whatever_their_name(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "renamed").write_bytes(setup.loop_file.read_bytes())
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM")
    video(tmp_path / "other.mp4", moving_square(6, 96, 128), "mpeg4")
    found = find_loops([tmp_path], {setup.loop.identity})
    assert [loop.path.name for loop in found.values()] == ["renamed"]
    found[setup.loop.identity].close()


def test_a_stop_and_a_full_disk_leave_nothing(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def told(done: int, total: int, text: str) -> None:
        seen.append(done)

    with Store.open(setup.store) as store:
        loops = loops_of_store(store, ["cardiac_multi"])
        stopped = export_annotations(loops, tmp_path / "out", "png", None, told, lambda: len(seen) == 2)
        assert stopped is None
        assert seen == [0, 1]
        assert list(tmp_path.iterdir()) == []
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def refuse(*_: object) -> bytes:
            raise full

        monkeypatch.setattr(pictures_module, "palette_png", refuse)
        with pytest.raises(UsageError, match="No space left on device"):
            export_annotations(loops, tmp_path / "out", "png")
        assert list(tmp_path.iterdir()) == []


def test_values_on_screen_are_exported_without_a_store(setup: Setup, tmp_path: Path) -> None:
    loop: AnnotatedLoop = setup.annotated("detection", (2, 5))
    done = export_annotations([loop], tmp_path / "out", "csv")
    assert done is not None
    assert done.frames == 2
    reopened = open_loop(setup.loop_file)
    assert reopened.identity == loop.loop_id
    assert loop.read(5).value == value_of("detection", 5)
    assert isinstance(loop.read(2).value, Box)
