"""`m2dino dataset`: check, import, export and rebuild, as a user runs them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.fmuia import read_root
from m2dino.data.store import Store
from m2dino.data.store_export import export_view
from m2dino.data.store_import import import_rows
from m2dino.data.store_schema import DATABASE
from m2dino.export import export_annotations, loops_of_store
from m2dino.values import Keypoints


def m2dino(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "m2dino", "dataset", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def root(case: Any, tmp_path: Path) -> Path:
    """A data set with a known task and one of the user's own, five rows each."""
    with Store.open(tmp_path / "made", create=True) as store:
        for kind in ("segmentation", "regression"):
            for frame in range(5):
                store.save(case.record(kind, frame, group=f"p{frame // 2}"), case.frames[frame], case.tasks[kind])
        export_view(store, tmp_path / "root")
    return tmp_path / "root"


def test_import_makes_a_store_that_check_export_and_rebuild_accept(root: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    first = m2dino("import", root, "--task", "lumen_points", "--limit", 3, "-o", store)
    assert (first.returncode, first.stderr) == (0, "")
    assert "3 rows" in first.stdout
    again = m2dino("import", root, "--task", "lumen_points", "-o", store)
    assert "2 rows of lumen_points saved, 3 were there already" in again.stdout
    assert m2dino("import", root, "--task", "carotid_artery", "-o", store).returncode == 0
    with Store.open(store) as opened:
        assert opened.tasks()["lumen_points"].horizontal_flip is False
        assert opened.tasks()["carotid_artery"].label_names == ("background", "lumen")
        assert opened.counts("lumen_points").accepted == opened.counts("carotid_artery").accepted == 5
    assert m2dino("check", store).returncode == 0
    assert m2dino("rebuild", store).returncode == 0
    assert m2dino("export", store, "-o", out).returncode == 0
    assert len(read_root(out)) == 10
    assert m2dino("check", out).returncode == 0


def test_check_lists_problems_and_fails(root: Path) -> None:
    mask = next((root / "Segmentation").rglob("masks/*.png"))
    mask.write_bytes(b"")
    plain = m2dino("check", root)
    assert plain.returncode == 1
    assert "damaged" in plain.stdout
    listed = json.loads(m2dino("check", root, "--json").stdout)
    assert [Path(problem["file"]).name for problem in listed] == ["Seg-Two_1.carotid_artery.csv"]


def test_mistakes_are_one_sentence_on_stderr(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for words, says in (
        (("import", root, "--task", "nothing", "-o", tmp_path / "s"), "carotid_artery, lumen_points"),
        (("import", tmp_path / "nowhere", "--task", "x", "-o", tmp_path / "s"), "no such folder"),
        (("import", root, "--task", "lumen_points", "-o", tmp_path / "file"), "in the way"),
        (("export", tmp_path / "nowhere", "-o", tmp_path / "out"), "no store"),
        (("export", tmp_path / "made", "-o", root), "there already"),
        (("rebuild", root), "no store"),
        (("check", tmp_path / "file"), "no such folder"),
    ):
        done = m2dino(*words)
        assert done.returncode == 1, words
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()
    assert not (tmp_path / "out").exists()


def test_no_name_of_a_file_or_subject_enters_the_store(case: Any, root: Path, tmp_path: Path) -> None:
    named = tmp_path / "DOE^JANE 19600101"
    root.rename(named)
    for picture in named.rglob("images/*.png"):
        picture.rename(picture.with_name(f"{picture.stem} DOE JANE.png"))
    for table in (named / "csv_files").iterdir():
        lines = table.read_text().replace(".png,carotid", " DOE JANE.png,carotid").replace(",p0", ",DOE JANE")
        table.write_text(lines)
    store = tmp_path / "store"
    assert m2dino("import", named, "--task", "carotid_artery", "-o", store).returncode == 0
    assert len(list(store.rglob("*"))) > 10
    for path in store.rglob("*"):
        assert "DOE" not in str(path.relative_to(store))
        if path.is_file():
            assert b"DOE" not in path.read_bytes()


def test_importing_again_leaves_what_people_decided(case: Any, root: Path, tmp_path: Path) -> None:
    folder, task = tmp_path / "store", case.tasks["regression"]
    words = ("import", root, "--task", task.id, "-o", folder)
    assert "5 rows of lumen_points saved." in m2dino(*words).stdout
    with Store.open(folder) as store:
        corrected, accepted, rejected, taken_back, changed = store.records(task.id)
        proposal = replace(case.record("regression", 0).proposal, value=Keypoints(np.full((3, 2), 6.0)))
        store.save(replace(corrected, fate="edited", value=Keypoints(np.full((3, 2), 5.0)), author="me"))
        store.save(replace(accepted, value=proposal.value, proposal=proposal))
        store.save(replace(rejected, fate="rejected", value=None))
        store.withdraw(taken_back.loop_id, 0, task.id)
        decided = [record for record in store.records(task.id) if record.loop_id != changed.loop_id]
    table = next((root / "csv_files").glob("Reg-*.csv"))
    table.write_text(table.read_text().replace('"[8, 7]"', '"[9, 7]"'))
    again = m2dino(*words).stdout
    assert "1 rows of lumen_points saved, 4 left as people decided them." in again
    with Store.open(folder) as store:
        found = store.records(task.id)
        (updated,) = [record for record in found if record.loop_id == changed.loop_id]
        assert [record for record in found if record is not updated] == decided
        assert taken_back.loop_id not in {record.loop_id for record in found}
    assert isinstance(updated.value, Keypoints)
    assert updated.value.points[2].tolist() == [7, 9]
    assert "0 rows of lumen_points saved, 1 were there already, 4 left as" in m2dino(*words).stdout


def test_a_frame_that_is_undecided_again_takes_an_import(case: Any, root: Path, tmp_path: Path) -> None:
    task = case.tasks["regression"]
    rows = read_root(root, [task.id])[:1]
    with Store.open(tmp_path / "a", create=True) as store, Store.open(tmp_path / "b", create=True) as other:
        import_rows(store, rows, task)
        (record,) = store.records()
        other.save(replace(record, fate="edited", author="me"), store.frame(record.loop_id, 0), task)
        other.withdraw(record.loop_id, 0, task.id)
        assert import_rows(other, rows, task).saved == 1
        assert [kept.fate for kept in other.records()] == ["accepted"]


def test_subjects_cannot_be_found_by_trying_their_numbers(case: Any, root: Path, tmp_path: Path) -> None:
    task = case.tasks["regression"]
    rows = [replace(row, subject=f"1234567{row.group[-1]}") for row in read_root(root, [task.id])]
    names = []
    for turn in ("one", "two"):
        with Store.open(tmp_path / turn, create=True) as store:
            assert import_rows(store, rows[:2], task).saved == 2
        with Store.open(tmp_path / turn) as store:
            assert import_rows(store, rows, task).saved == 3
            names.append({record.group for record in store.records()})
            key = store.subjects().key
            assert "key" not in repr(store.subjects())
            export_view(store, tmp_path / f"view of {turn}")
            export_annotations(loops_of_store(store), tmp_path / f"csv of {turn}", "csv")
        assert key is not None
        for path in (*(tmp_path / f"view of {turn}").rglob("*"), *(tmp_path / f"csv of {turn}").rglob("*")):
            assert path.is_dir() or not any(form in path.read_bytes() for form in (key, key.hex().encode()))
    assert [len(each) for each in names] == [3, 3], "a subject has one name in a store"
    assert names[0].isdisjoint(names[1])
    for digest in (hashlib.sha256, hashlib.blake2b):
        assert names[0].isdisjoint(digest(row.group.encode()).hexdigest()[:16] for row in rows)


def test_subjects_of_an_older_store_stay_together(case: Any, root: Path, tmp_path: Path) -> None:
    task = case.tasks["regression"]
    rows = read_root(root, [task.id])
    folder = tmp_path / "store"

    def forget_the_key() -> None:
        connection = sqlite3.connect(folder / DATABASE)
        connection.execute("DROP TABLE subject_key")
        connection.close()

    Store.open(folder, create=True).close()
    forget_the_key()
    with Store.open(folder) as store:
        assert store.subjects().key is not None, "nothing is torn apart where there is nothing"
    forget_the_key()
    with Store.open(folder) as store:
        store.save(case.record("detection", 0), case.frames[0], case.tasks["detection"])
        import_rows(store, rows, task)
        assert {record.group for record in store.records(task.id)} == {
            hashlib.sha256(row.group.encode()).hexdigest()[:16] for row in rows
        }
