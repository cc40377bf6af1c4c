"""Labels as coded concepts: of SNOMED CT where the name says which, else private codes whose meaning is the name.

The codes come from pydicom's copy of the DICOM context groups, by keyword; only names that mean one thing are mapped.
"""

from __future__ import annotations

import hashlib

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from m2dino.tasks import Task

PRIVATE_SCHEME = "99M2DINO"
_ABNORMAL = {"lesion": "Lesion", "mass": "Mass", "nodule": "Nodule", "tumour": "Neoplasm", "tumor": "Neoplasm"}
_ANATOMICAL = {
    "artery": "Artery",
    "brain": "Brain",
    "breast": "Breast",
    "carotid artery": "CarotidArtery",
    "cervix": "Cervix",
    "femur": "Femur",
    "fetal head": "Head",
    "head": "Head",
    "heart": "Heart",
    "kidney": "Kidney",
    "left atrium": "LeftAtrium",
    "liver": "Liver",
    "lumen": "Lumen",
    "ovary": "Ovary",
    "pubic symphysis": "SymphysisPubis",
    "stomach": "Stomach",
    "vein": "Vein",
}


def category_of(name: str) -> CodedConcept:
    """Return the property category (CID 7150) of a label."""
    abnormal = name.casefold() in _ABNORMAL
    return _of_snomed("MorphologicallyAbnormalStructure" if abnormal else "AnatomicalStructure")


def concept_of(name: str, task: Task) -> CodedConcept:
    """Return the coded concept of a label of a task."""
    keyword = _ABNORMAL.get(name.casefold()) or _ANATOMICAL.get(name.casefold())
    return private(name, f"{task.id}\n{name}") if keyword is None else _of_snomed(keyword)


def private(meaning: str, key: str = "") -> CodedConcept:
    """Return a code of our own, the same for the same `key`; by default the key is the meaning."""
    value = hashlib.sha256((key or meaning).encode()).hexdigest()[:12]
    return CodedConcept(value, PRIVATE_SCHEME, meaning[:64])


def _of_snomed(keyword: str) -> CodedConcept:
    code = getattr(codes.SCT, keyword)
    return CodedConcept(code.value, code.scheme_designator, code.meaning)
