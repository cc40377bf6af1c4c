"""`m2dino dataset`: check, import, export and rebuild, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from m2dino.data.fmuia import read_root
from m2dino.data.store import Store
from m2dino.data.store_export import export_view


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
