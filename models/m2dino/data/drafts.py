"""Work that is not decided yet, kept beside the records so that a crash loses none of it. It never trains.

A draft is what stands on a frame at one seat: what a person has drawn, be it a value of the task or not yet (a second
box, a point without a name), and what the machine had proposed. A decision on the frame clears it away, in the same
transaction. The table is made when the first draft is kept; older versions of the program do not look at it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m2dino.data.value_files import decode_value, encode_value
from m2dino.values import Mask, Prediction, Value

_TABLE = """
CREATE TABLE IF NOT EXISTS drafts (
    task_id TEXT NOT NULL,
    loop_id TEXT NOT NULL,
    frame INTEGER NOT NULL,
    seat TEXT NOT NULL,
    author TEXT NOT NULL,
    changed TEXT NOT NULL,
    content TEXT,
    content_pixels BLOB,
    proposal TEXT,
    proposal_pixels BLOB,
    PRIMARY KEY (task_id, loop_id, frame, seat)
) WITHOUT ROWID
"""
_COLUMNS = "loop_id, frame, task_id, seat, author, changed, content, content_pixels, proposal, proposal_pixels"


@dataclass(frozen=True)
class Content:
    """What stands on a frame, in a form that can be compared, kept in memory and stored.

    Attributes
    ----------
    text : str
        JSON.
    pixels : bytes
        The labels of a mask, (H, W) uint8, zlib-compressed; empty for everything else.
    """

    text: str
    pixels: bytes = b""

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.text) + len(self.pixels) + 100


@dataclass(frozen=True)
class Draft:
    """Undecided work on one frame.

    Attributes
    ----------
    loop_id : str
    frame : int
    task_id : str
    content : Content or None
        What a person has drawn; None where the proposal stands as it was made.
    proposal : Prediction or None
    seat : str
        Which installation of the program it was drawn with; says nothing of who sits there.
    author : str
        The name that the person chose, if any.
    changed : str
        UTC time, ISO 8601 with seconds.
    """

    loop_id: str
    frame: int
    task_id: str
    content: Content | None
    proposal: Prediction | None = None
    seat: str = ""
    author: str = ""
    changed: str = ""


def put(connection: sqlite3.Connection, draft: Draft) -> None:
    """Keep a draft in place of the one before; one that holds nothing is cleared away. Inside a transaction."""
    if draft.content is None and draft.proposal is None:
        drop(connection, draft.loop_id, draft.frame, draft.task_id, draft.seat)
        return
    proposal, proposal_pixels = _encode_proposal(draft.proposal)
    connection.execute(_TABLE)
    connection.execute(
        f"INSERT OR REPLACE INTO drafts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            draft.loop_id,
            draft.frame,
            draft.task_id,
            draft.seat,
            draft.author,
            draft.changed,
            draft.content.text if draft.content else None,
            draft.content.pixels if draft.content else None,
            proposal,
            proposal_pixels,
        ),
    )


def drop(connection: sqlite3.Connection, loop_id: str, frame: int, task_id: str, seat: str) -> None:
    """Clear the draft of a frame away. Inside a transaction."""
    if _exists(connection):
        connection.execute(
            "DELETE FROM drafts WHERE task_id = ? AND loop_id = ? AND frame = ? AND seat = ?",
            (task_id, loop_id, frame, seat),
        )


def read(connection: sqlite3.Connection, loop_id: str, task_id: str, folder: Path) -> list[Draft]:
    """Return the drafts of a loop and task, of all seats, in order of their frames; a damaged one is left out."""
    if not _exists(connection):
        return []
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM drafts WHERE task_id = ? AND loop_id = ? ORDER BY frame, seat", (task_id, loop_id)
    ).fetchall()
    found = []
    for row in rows:
        try:
            found.append(_draft(row, folder))
        except (ValueError, KeyError, TypeError, zlib.error):
            continue  # the frames that can be read come back all the same
    return found


def places(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the (loop_id, task_id) pairs that there are drafts of."""
    if not _exists(connection):
        return []
    return connection.execute("SELECT DISTINCT loop_id, task_id FROM drafts ORDER BY loop_id, task_id").fetchall()


def _exists(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'drafts'").fetchone() is not None


def _draft(row: tuple[Any, ...], folder: Path) -> Draft:
    loop_id, frame, task_id, seat, author, changed, text, pixels, proposal, proposal_pixels = row
    content = Content(text, pixels or b"") if text is not None else None
    prediction = None
    if proposal is not None:
        data = json.loads(proposal)
        value = _decode(data["value"], proposal_pixels, folder)
        prediction = Prediction(frame, task_id, value, float(data["confidence"]), str(data["model_id"]))
    return Draft(loop_id, frame, task_id, content, prediction, seat, author, changed)


def _encode_proposal(proposal: Prediction | None) -> tuple[str | None, bytes | None]:
    if proposal is None:
        return None, None
    pixels = None
    if isinstance(proposal.value, Mask):
        labels = proposal.value.labels
        value: dict[str, Any] = {"size": list(labels.shape)}
        pixels = zlib.compress(labels.tobytes(), level=1)
    else:
        value = json.loads(encode_value(proposal.value).text)
    known = {"value": value, "confidence": float(proposal.confidence), "model_id": proposal.model_id}
    return json.dumps(known), pixels


def _decode(value: dict[str, Any], pixels: bytes | None, folder: Path) -> Value:
    if "size" in value:
        height, width = value["size"]
        return Mask(np.frombuffer(zlib.decompress(pixels or b""), np.uint8).reshape(height, width))
    return decode_value(json.dumps(value), folder)
