"""Which frames of a store show the same picture, whatever loops they are of: a name for each, made from its pixels.

A loop is known by its encoded bytes. The same frame is another loop's when a folder gains an image, when it is opened
alone, or when it was exported and comes back. The table is filled with each new frame, and for the frames of an older
store when it is first asked for; older versions of the program do not look at it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping

import numpy as np

from m2dino.cine.loop import Frame

_TABLE = """
CREATE TABLE IF NOT EXISTS pictures (
    loop_id TEXT NOT NULL,
    frame INTEGER NOT NULL,
    name TEXT NOT NULL,                      -- of the pixels; empty for a picture of one colour
    PRIMARY KEY (loop_id, frame)
) WITHOUT ROWID
"""


def picture_name(frame: Frame) -> str:
    """Return the name of a picture, (H, W, 3): the same for the same pixels.

    Empty for a picture of one colour: such frames begin and end many loops, and do not make them one.
    """
    # A few rows say so of most pictures, and a person waits for a frame to be saved.
    if (frame[::16] == frame[0, 0]).all() and (frame == frame[0, 0]).all():
        return ""
    digest = hashlib.blake2b(repr(frame.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def keep(connection: sqlite3.Connection, names: Mapping[tuple[str, int], str]) -> None:
    """Keep the names of frames. Called with the write lock held."""
    connection.execute(_TABLE)
    connection.executemany(
        "INSERT OR IGNORE INTO pictures (loop_id, frame, name) VALUES (?, ?, ?)",
        [(loop_id, frame, name) for (loop_id, frame), name in names.items()],
    )


def read(connection: sqlite3.Connection) -> dict[tuple[str, int], str]:
    """Return what is kept, by (loop_id, frame)."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pictures'").fetchone():
        return {}
    return {(loop_id, frame): name for loop_id, frame, name in connection.execute("SELECT * FROM pictures")}
