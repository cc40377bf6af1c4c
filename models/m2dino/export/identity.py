"""Whether DICOM output says whose it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from m2dino.deid.options import DeidOptions


@dataclass(frozen=True)
class PatientOptions:
    """What of the source's identity DICOM output keeps.

    Attributes
    ----------
    keep : bool
        Keep the patient's name, number, birth date and sex, the study's date and numbers, and all UIDs: an archive
        files the result with its loop by them. Without it, names, numbers and dates are empty and UIDs are new.
    salt : bytes
        Secret from which the new UIDs are made; with the salt of `m2dino deid`, the result refers to its copies.
    """

    keep: bool = False
    salt: bytes = field(default_factory=lambda: DeidOptions().salt, repr=False)

    def uid(self, uid: str) -> str:
        """Return what stands for a UID of the source."""
        return uid if self.keep else DeidOptions(salt=self.salt).new_uid(uid)
