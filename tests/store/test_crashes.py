"""What was reported saved survives kills, full disks and rivals; what was not is not half there."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from m2dino.data.store import Store
from m2dino.data.store_schema import DATABASE
from m2dino.errors import StoreError, StoreSchemaError, StoreWriteError

TURNS = int(os.environ.get("M2DINO_TEST_KILLS", "8"))
WRITER = textwrap.dedent("""
    import sys
    import numpy as np
    from m2dino.data.records import Record
    from m2dino.data.store import Store
    from m2dino.tasks import builtin_tasks
    from m2dino.values import Mask, Prediction

    folder, loop, start, stop = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    task = builtin_tasks()["carotid_artery"]
    rng = np.random.default_rng(start)
    picture = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    with Store.open(folder, create=True) as store:
        print("open", flush=True)
        for step in range(start, stop):
            frame = int(rng.integers(0, 12))
            fate = ["edited", "accepted", "rejected"][int(rng.integers(0, 3))]
            value = Mask(rng.integers(0, 2, (60, 80), dtype=np.uint8))
            record = Record(loop, frame, task.id, fate, None if fate == "rejected" else value,
                            Prediction(frame, task.id, value, 0.5, "m"), author=str(step))
            store.save(record, picture, task)
            print(frame, fate, step, flush=True)
""")


def writer(folder: Path, loop: str, start: int, stop: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), loop, str(start), str(stop)], stdout=subprocess.PIPE, text=True
    )


def test_killed_at_any_moment_nothing_reported_is_lost(tmp_path: Path) -> None:
    folder, loop, task = tmp_path / "store", "a" * 32, "carotid_artery"
    chance = random.Random(7)
    last: dict[int, tuple[str, int]] = {}
    steps = 0
    for turn in range(TURNS):
        process = writer(folder, loop, turn * 100_000, turn * 100_000 + 5000)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(1 + chance.randrange(6))]
        assert lines[0] == "open\n"
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        for line in lines[1:]:
            frame, fate, step = line.split()
            last[int(frame)] = (fate, int(step))
            steps += 1
        with Store.open(folder) as store:
            assert store.check() == []
            for frame, (fate, step) in last.items():
                record = store.get(loop, frame, task)
                assert record is not None
                # The killed program may have saved one more than it could tell.
                if int(record.author) == step:
                    assert record.fate == fate
                else:
                    assert int(record.author) > step
                    last[frame] = (record.fate, int(record.author))
                assert any(old is not None and int(old.author) == step for old in store.history(loop, frame, task))
    assert steps >= TURNS  # however slow the machine is, most turns got some records through


def test_two_programs_write_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    starts = (("a" * 32, 0), ("a" * 32, 1000), ("b" * 32, 2000))
    rivals = [writer(folder, loop, start, start + 25) for loop, start in starts]
    for rival in rivals:
        assert len(rival.communicate(timeout=120)[0].splitlines()) == 26
        assert rival.returncode == 0
    with Store.open(folder) as store:
        kept = [
            record
            for loop in ("a" * 32, "b" * 32)
            for frame in range(12)
            for record in store.history(loop, frame, "carotid_artery")
        ]
        assert sorted(int(record.author) for record in kept if record) == [
            *range(25),
            *range(1000, 1025),
            *range(2000, 2025),
        ]
        assert store.check() == []


def test_a_busy_store_says_so(case: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(case.record("detection", 0), case.frames[0], case.tasks["detection"])
    rival = sqlite3.connect(store.folder / DATABASE, isolation_level=None)
    rival.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("m2dino.data.store_schema.BUSY_S", 0.1)
    with pytest.raises(StoreError, match="another program"), Store.open(store.folder) as impatient:
        impatient.tasks()
    rival.execute("ROLLBACK")
    rival.close()
    store.save(case.record("detection", 1), case.frames[1])
    assert store.counts("lumen_det").edited == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on file sizes to set")
@pytest.mark.parametrize("what", ["picture", "database"])
def test_a_disk_that_refuses_in_the_middle(case: Any, tmp_path: Path, what: str) -> None:
    """A real refusal by the system: in a child, no file may grow beyond a limit."""
    folder = tmp_path / "store"
    script = textwrap.dedent("""
        import resource, sys
        import numpy as np
        from m2dino.data.records import Record
        from m2dino.data.store import Store
        from m2dino.errors import StoreWriteError
        from m2dino.tasks import builtin_tasks
        from m2dino.values import Mask
        folder, what = sys.argv[1:]
        task = builtin_tasks()["carotid_artery"]
        noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
        mask = Mask(np.ones((300, 300), np.uint8))
        with Store.open(folder, create=True) as store:
            store.save(Record("a" * 32, 0, task.id, "edited", mask), noise // 255, task)
            size = (store.folder / "store.sqlite").stat().st_size
            free = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, free[1]))
            picture, author = (noise, "") if what == "picture" else (noise // 255, "x" * 40_000)
            try:
                store.save(Record("a" * 32, 1, task.id, "edited", mask, author=author), picture)
            except StoreWriteError as error:
                print(error)
            assert store.get("a" * 32, 1, task.id) is None
            assert store.check() == [], store.check()
            resource.setrlimit(resource.RLIMIT_FSIZE, free)
            store.save(Record("a" * 32, 1, task.id, "edited", mask, author=author), picture)
            assert store.check() == [], store.check()
            print(store.counts(task.id).edited)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), what], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    message, count = done.stdout.splitlines()
    assert "nothing was saved" in message
    assert count == "2"
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize(("code", "says"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_a_full_or_read_only_disk_says_what_to_do(
    case: Any, store: Store, monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    task = case.tasks["segmentation"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(StoreWriteError, match=says) as caught:
            store.save(case.record("segmentation", 0), case.frames[0], task)
    assert "\n" not in str(caught.value)
    assert store.records() == []
    assert not list(store.folder.rglob(".*"))
    store.save(case.record("segmentation", 0), case.frames[0], task)
    assert store.check() == []


def test_a_view_that_cannot_be_written_loses_no_record(
    case: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = case.tasks["detection"]
    store.save(case.record("detection", 0), case.frames[0], task)
    shutil.rmtree(store.folder / "csv_files")
    (store.folder / "csv_files").write_text("in the way")
    store.save(case.record("detection", 1), case.frames[1])
    assert store.counts(task.id).edited == 2
    assert any("behind" in problem.text for problem in store.check())
    (store.folder / "csv_files").unlink()
    store.save(case.record("detection", 2), case.frames[2])
    assert store.check() == []


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreWriteError, match="in the way"):
            Store.open(path, create=True)
    with pytest.raises(StoreError, match="no store"):
        Store.open(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_newer_damaged_or_foreign_database_is_refused(case: Any, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder, create=True) as store:
        for frame in range(12):
            store.save(case.record("segmentation", frame), case.frames[frame], case.tasks["segmentation"])
    database = folder / DATABASE
    good = database.read_bytes()

    database.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreSchemaError, match="damaged"):
        Store.open(folder)
    database.write_bytes(b"")
    for create in (False, True):
        with pytest.raises(StoreSchemaError, match="damaged"):
            Store.open(folder, create=create)

    database.write_bytes(good[:4096] + os.urandom(len(good) - 4096))
    with pytest.raises(StoreSchemaError, match="damaged"), Store.open(folder) as store:
        store.records()

    database.write_bytes(good)
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreSchemaError, match="newer"):
        Store.open(folder)

    database.unlink()
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE something (else_)")
    connection.close()
    with pytest.raises(StoreSchemaError, match="not a store"):
        Store.open(folder)

    database.write_bytes(good)
    with Store.open(folder) as store:
        assert store.check() == []
        assert len(store.records()) == 12


def test_a_store_killed_while_being_made_can_be_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    (folder / "frames").mkdir(parents=True)
    (folder / DATABASE).write_bytes(b"")
    with Store.open(folder, create=True) as store:
        assert store.records() == []
