"""The database of a store: its tables, how it is opened, and what its errors mean to a person."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m2dino.data.records import SCHEMA_VERSION
from m2dino.data.subject_key import make_key
from m2dino.errors import StoreError, StoreSchemaError, StoreWriteError

DATABASE = "store.sqlite"
APPLICATION_ID = 0x4D32444E  # "M2DN": tells our files from other SQLite databases
BUSY_S = 20.0

_TABLES = """
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,              -- in order of first use; part of the table's file name
    task_id TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,                -- JSON of Task.to_dict
    csv_bytes INTEGER NOT NULL DEFAULT 0     -- size of the view's table when last written
);
CREATE TABLE loops (
    loop_id TEXT PRIMARY KEY,
    stem TEXT NOT NULL UNIQUE                -- the start of the id, as used in file names
) WITHOUT ROWID;
CREATE TABLE frames (
    loop_id TEXT NOT NULL,
    frame INTEGER NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    PRIMARY KEY (loop_id, frame)
) WITHOUT ROWID;
CREATE TABLE records (                       -- append-only
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    loop_id TEXT NOT NULL,
    frame INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    fate TEXT NOT NULL CHECK (fate IN ('edited', 'accepted', 'rejected', 'withdrawn')),
    value TEXT,
    proposal TEXT,
    author TEXT NOT NULL,
    seconds REAL NOT NULL,
    created TEXT NOT NULL,
    interpolated INTEGER NOT NULL,
    group_key TEXT NOT NULL
);
CREATE INDEX records_of_frame ON records (task_id, loop_id, frame);
CREATE TABLE latest (                        -- the record that counts, and its line in the view
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    loop_id TEXT NOT NULL,
    frame INTEGER NOT NULL,
    record INTEGER NOT NULL REFERENCES records (id),
    line TEXT,                               -- NULL: not in the view
    pending INTEGER NOT NULL DEFAULT 1,      -- 1: the view does not show this record yet
    UNIQUE (task_id, loop_id, frame)
);
CREATE INDEX latest_pending ON latest (task_id) WHERE pending = 1;
CREATE TABLE holdout (
    task_id TEXT NOT NULL,
    loop_id TEXT NOT NULL,
    frame INTEGER NOT NULL,
    held INTEGER NOT NULL,
    PRIMARY KEY (task_id, loop_id, frame)
) WITHOUT ROWID;
"""


def connect(folder: Path, *, create: bool) -> sqlite3.Connection:
    """Open the database of a store, creating the folder and the tables where `create` allows it.

    Raises
    ------
    StoreError
        There is no store, or what is there is not one.
    StoreSchemaError
        It was written by a newer version, or it is damaged.
    StoreWriteError
        It cannot be created.
    """
    file = folder / DATABASE
    if create:
        with store_errors(folder, writing=True):
            (folder / "frames").mkdir(parents=True, exist_ok=True)
            (folder / "values").mkdir(exist_ok=True)
    elif not file.is_file():
        raise StoreError(f"{folder}: there is no store of corrections in this folder.")
    with store_errors(folder, writing=create):
        connection = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # A rollback journal, since the write-ahead log needs shared memory, which network folders do not have.
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA synchronous=EXTRA")
            _check(connection, folder, create)
        except BaseException:
            connection.close()
            raise
    return connection


def _check(connection: sqlite3.Connection, folder: Path, create: bool) -> None:
    version, tables = _state(connection)
    if tables == 0 and version == 0:
        frames = folder / "frames"
        if frames.is_dir() and any(frames.iterdir()):
            raise StoreSchemaError(
                f"{folder / DATABASE}: the database is empty although frames are there, so it is damaged; "
                "put back a backup of this file."
            )
        if not create:
            raise StoreError(f"{folder}: there is no store of corrections in this folder.")
        with transaction(connection):
            if _state(connection) == (0, 0):
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                make_key(connection)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        version, tables = _state(connection)
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreSchemaError(f"{folder / DATABASE}: this database is not a store of corrections.")
    if version > SCHEMA_VERSION:
        raise StoreSchemaError(
            f"{folder / DATABASE}: the store was written by a newer version of this program "
            f"(schema {version}, known up to {SCHEMA_VERSION}); update the program."
        )


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return version, connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock: what happens inside is committed whole, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def store_errors(folder: Path, *, writing: bool, database: str = DATABASE) -> Iterator[None]:
    """Turn errors of the database and the disk into typed ones that say what to do.

    Parameters
    ----------
    folder : Path
    writing : bool
    database : str
        Name of the database in the folder.

    Raises
    ------
    StoreSchemaError
        The database is damaged.
    StoreWriteError
        While writing: the disk is full, read-only, or busy.
    StoreError
        While reading: the disk fails.
    """
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise  # our mistake, not the user's
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error):
            raise StoreSchemaError(
                f"{folder / database}: the database is damaged; put back a backup of this file."
            ) from error
        reason = {
            sqlite3.SQLITE_FULL: "the disk is full; free some space",
            sqlite3.SQLITE_READONLY: "the folder is read-only; choose another or change its permissions",
            sqlite3.SQLITE_CANTOPEN: "the folder cannot be written to; choose another or change its permissions",
            sqlite3.SQLITE_BUSY: "another program is using the store; wait for it",
        }.get(code, f"the disk reports an error ({error}); check it")
        raise _failure(folder, writing, reason) from error
    except OSError as error:
        reason = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EROFS: "the folder is read-only; choose another",
            errno.EACCES: "the folder may not be written to; choose another or change its permissions",
            errno.EPERM: "the folder may not be written to; choose another or change its permissions",
            errno.ENOTDIR: "a file is in the way of a folder; choose another folder",
            errno.EEXIST: "a file is in the way of a folder; choose another folder",
        }.get(error.errno or 0, f"the disk reports an error ({error.strerror}); check it")
        raise _failure(folder, writing, reason) from error


def _failure(folder: Path, writing: bool, reason: str) -> StoreError:
    if writing:
        return StoreWriteError(f"{folder}: nothing was saved, because {reason}, then save again.")
    return StoreError(f"{folder}: the store cannot be read, because {reason}.")
