"""What a de-identified copy may keep, and how its new identifiers are made."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Literal

from m2dino.cine.frame_axis import FrameAxis

Retain = Literal["device", "patient", "institution"]
"""Retain Device Identity, Retain Patient Characteristics and Retain Institution Identity of PS3.15 Table E.1-1."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class DeidOptions:
    """How to de-identify.

    Attributes
    ----------
    retain : frozenset of str
        What the Basic Profile would remove and this copy keeps.
    box : tuple of int, or None
        (y_min, x_min, y_max, x_max), original-frame pixels, end exclusive: the only part of every frame to keep.
    mask : bool
        Make all outside a DICOM file's ultrasound regions black, unless the file says that no text is burnt in: then
        its pixels stay as they are, and a warning says so.
    salt : bytes
        Secret from which new UIDs are made. The same salt gives the same new UIDs, so that copies made at different
        times still belong together; without one, nobody can tell, not even by trying UIDs.
    frame_axis : str, int or None
        The axis of volumes and arrays that counts the frames, as for `m2dino.open_loop`.
    """

    retain: frozenset[Retain] = frozenset()
    box: Box | None = None
    mask: bool = True
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    frame_axis: FrameAxis | None = None

    def new_uid(self, uid: str) -> str:
        """Return the UID that stands for `uid` in the copies: below 2.25, from a keyed hash."""
        digest = hashlib.blake2b(uid.strip().encode(), key=hashlib.sha256(self.salt).digest(), digest_size=16).digest()
        return f"2.25.{int.from_bytes(digest, 'big')}"
