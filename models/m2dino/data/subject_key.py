"""The key under which a store knows its subjects: random, made once, and kept in its database alone.

A subject's name or hospital number never enters a store. A plain hash of it would be no protection, for numbers of
seven or eight digits are soon tried one after another; without the key, nobody can try. No export holds the key.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass, field

_TABLE = """
CREATE TABLE IF NOT EXISTS subject_key (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    key BLOB NOT NULL                        -- 32 random bytes; no export copies them
)
"""
_KEY_BYTES = 32


@dataclass(frozen=True)
class Subjects:
    """How one store names its subjects.

    Attributes
    ----------
    key : bytes or None
        None for a store from before there were keys, whose records hold plain hashes.
    """

    key: bytes | None = field(repr=False)

    def name(self, subject: str) -> str:
        """Return what stands for a subject in the records: 16 hexadecimal digits, always the same in one store."""
        if self.key is None:
            # With another hash, a subject's new frames would count as another's, and could vouch for the old ones.
            return hashlib.sha256(subject.encode()).hexdigest()[:16]
        return hashlib.blake2b(subject.encode(), key=self.key, digest_size=8).hexdigest()


def make_key(connection: sqlite3.Connection) -> None:
    """Give a store a key, unless it has one. Called with the write lock held."""
    connection.execute(_TABLE)
    connection.execute(
        "INSERT OR IGNORE INTO subject_key (only_one, key) VALUES (1, ?)", (secrets.token_bytes(_KEY_BYTES),)
    )


def subjects_of(connection: sqlite3.Connection) -> Subjects:
    """Return how a store names its subjects; one without records gets a key. Called with the write lock held."""
    if not _has_table(connection):
        if connection.execute("SELECT 1 FROM records LIMIT 1").fetchone():
            return Subjects(None)
        make_key(connection)
    return Subjects(bytes(connection.execute("SELECT key FROM subject_key").fetchone()[0]))


def _has_table(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'subject_key'").fetchone())
