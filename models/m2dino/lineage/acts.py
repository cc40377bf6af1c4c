"""What was done with the models of a dataset folder, in order: a table that only grows, whole or absent after a kill.

Everything else that is told of the line is worked out from these acts and from the checkpoints' own cards, so that
there is nothing that could disagree with them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from m2dino.data.store_schema import BUSY_S, store_errors, transaction
from m2dino.errors import StoreSchemaError

DATABASE = "lineage.sqlite"
APPLICATION_ID = 0x4D324C4E  # "M2LN"
VERSION = 1
Kind = Literal["trained", "promoted", "kept aside", "rolled back"]

_TABLE = """CREATE TABLE IF NOT EXISTS acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,      -- UTC, ISO 8601
    kind TEXT NOT NULL CHECK (kind IN ('trained', 'promoted', 'kept aside', 'rolled back')),
    model TEXT NOT NULL,   -- id of the checkpoint
    file TEXT NOT NULL,    -- where it lies: under the folder, elsewhere, or bundled
    other TEXT NOT NULL,   -- id of the model that it was trained from, or whose place it took
    other_file TEXT NOT NULL,
    note TEXT NOT NULL     -- JSON: frames, loops; harm that was accepted
)"""


@dataclass(frozen=True)
class Act:
    """One thing that was done with a model.

    Attributes
    ----------
    kind : str
        trained, promoted, kept aside or rolled back (to).
    model, file : str
        Id of the checkpoint, and where it lies.
    other, other_file : str
        The model that it was trained from, or whose place it took.
    note : dict
        trained: train, heldout, loops. promoted: harm, the sentences that were accepted.
    at : str
        UTC, ISO 8601; filled in when it is written.
    """

    kind: Kind
    model: str
    file: str
    other: str = ""
    other_file: str = ""
    note: dict[str, Any] = field(default_factory=dict)
    at: str = ""


class Ledger:
    """The acts of a folder, within a transaction; what is added is kept when that ends, whole or not at all."""

    def __init__(self, connection: sqlite3.Connection, acts: list[Act]) -> None:
        self._connection = connection
        self.acts = acts

    def add(self, act: Act) -> None:
        """Write one more act."""
        act = replace(act, at=datetime.now(UTC).isoformat(timespec="seconds"))
        self._connection.execute(
            "INSERT INTO acts (at, kind, model, file, other, other_file, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (act.at, act.kind, act.model, act.file, act.other, act.other_file, json.dumps(act.note)),
        )
        self.acts.append(act)


def read_acts(folder: Path) -> list[Act]:
    """Return what was done, oldest first; nothing where nothing was.

    Raises
    ------
    StoreError
        The file cannot be read.
    StoreSchemaError
        It is damaged, or written by a newer version.
    """
    if not (folder / DATABASE).is_file():
        return []
    with store_errors(folder, writing=False, database=DATABASE), closing(_connect(folder)) as connection:
        return _read(connection, folder)


@contextmanager
def writing(folder: Path) -> Iterator[Ledger]:
    """Hold the lock on the acts of a folder, which is made where it is not there.

    Raises
    ------
    StoreWriteError
        The disk is full or read-only, or another program holds the lock for too long; nothing was written.
    StoreSchemaError
        The file is damaged, or written by a newer version.
    """
    with store_errors(folder, writing=True, database=DATABASE):
        folder.mkdir(parents=True, exist_ok=True)
        with closing(_connect(folder)) as connection, transaction(connection):
            connection.execute(_TABLE)
            acts = _read(connection, folder)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={VERSION}")
            yield Ledger(connection, acts)


def _connect(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None, timeout=BUSY_S)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _read(connection: sqlite3.Connection, folder: Path) -> list[Act]:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreSchemaError(
            f"{folder / DATABASE}: written by a newer version of this program ({version}, known up to {VERSION}); "
            "update the program."
        )
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'acts'").fetchone()[0]:
        return []
    rows = connection.execute("SELECT kind, model, file, other, other_file, note, at FROM acts ORDER BY number")
    return [
        Act(kind, model, file, other, other_file, json.loads(note), at)
        for kind, model, file, other, other_file, note, at in rows
    ]
