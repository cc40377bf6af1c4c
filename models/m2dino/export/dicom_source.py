"""What DICOM output takes from the loop that it refers to: the UIDs and, only if asked, the patient."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, UltrasoundImageStorage, UltrasoundMultiFrameImageStorage, generate_uid

from m2dino.cine.dicom_header import HEADER_DAMAGE, CheckedStream, read_header, silenced
from m2dino.cine.loop import CineLoop
from m2dino.deid.profile import BASIC_PROFILE
from m2dino.errors import ExportError
from m2dino.export.identity import PatientOptions

# Nothing outside these lists is ever read, so that nothing else can get into a file.
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_TECHNICAL = ("SOPClassUID", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
# Type 2 in every SEG and SR: they are there, if empty.
_PATIENT = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_METHOD = re.compile(r"ISO_[0-9_]{1,12}")  # a code string may hide words


@dataclass(frozen=True)
class Source:
    """A loop's DICOM file, as far as others refer to it.

    Attributes
    ----------
    reference : Dataset
        It stands for the file while highdicom builds: UIDs and size are its own; patient and study are empty, and the
        class is that of ultrasound loops or stills, since highdicom knows no retired or private ones.
    sop_class : str
        The file's own class; `finish` puts it into the references.
    patient : dict
        Patient and study by keyword, where they are to be kept; else empty.
    """

    reference: Dataset
    sop_class: str
    patient: dict[str, Any]


def read_source(loop: CineLoop, options: PatientOptions) -> Source:
    """Return what stands for a loop's file in references.

    Raises
    ------
    ExportError
        The file has no UID to refer to, or its header is damaged.
    LoopError
        It cannot be read.
    """
    header = read_header(loop.path)
    wanted = [*_UIDS, *_TECHNICAL, *(_PATIENT if options.keep else ()), "SpecificCharacterSet"]
    try:
        with silenced(), header.source.stream() as file:
            stream = CheckedStream(file, header.source.size)
            found = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=wanted)
            technical = {keyword: found.get(keyword) for keyword in _TECHNICAL}
            # Names as text, which is written anew in UTF-8 whatever they were coded in.
            kept = {keyword: found[keyword].value for keyword in _PATIENT if options.keep and keyword in found}
            patient = {key: str(value) if key.endswith("Name") and value else value for key, value in kept.items()}
            uids = {keyword: str(found.get(keyword) or "").strip() for keyword in _UIDS}
            # Some files say it in the file meta information alone.
            uids["SOPInstanceUID"] = uids["SOPInstanceUID"] or found.file_meta.get("MediaStorageSOPInstanceUID", "")
            sop_class = str(technical["SOPClassUID"] or found.file_meta.get("MediaStorageSOPClassUID", ""))
    except HEADER_DAMAGE:
        raise ExportError(
            f"{loop.path} has a damaged header, so no file can refer to it; export the loop again."
        ) from None
    finally:
        header.source.close()
    if not uids["SOPInstanceUID"] or not sop_class:
        raise ExportError(
            f"{loop.path} has no SOP Instance UID, so no DICOM file can refer to it; choose another format."
        )
    reference = Dataset()
    reference.SpecificCharacterSet = "ISO_IR 192"
    reference.Rows, reference.Columns = loop.height, loop.width
    reference.SOPClassUID = UltrasoundMultiFrameImageStorage if len(loop) > 1 else UltrasoundImageStorage
    for keyword, uid in uids.items():
        setattr(reference, keyword, UID(options.uid(uid)) if uid else generate_uid(prefix=None))
    for keyword in _PATIENT:
        setattr(reference, keyword, None)
    if technical["LossyImageCompression"] == "01":
        reference.LossyImageCompression = "01"
        if _METHOD.fullmatch(str(technical["LossyImageCompressionMethod"] or "")):
            reference.LossyImageCompressionMethod = technical["LossyImageCompressionMethod"]
            reference.LossyImageCompressionRatio = technical["LossyImageCompressionRatio"]
    return Source(reference, sop_class, patient)


def finish(data: Dataset, source: Source, options: PatientOptions) -> None:
    """Write into a result the class of what it refers to, and the patient or that it does not say whose it is."""
    for element in data.iterall():
        if element.keyword == "ReferencedSOPClassUID":
            element.value = UID(source.sop_class)
    data.SpecificCharacterSet = source.reference.SpecificCharacterSet
    if options.keep:
        for keyword, value in source.patient.items():
            setattr(data, keyword, value)
        return
    code = Dataset()  # as PS3.15 E.1.1 asks for
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = BASIC_PROFILE[0], "DCM", BASIC_PROFILE[1]
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "m2dino export"
    data.DeidentificationMethodCodeSequence = Sequence([code])
    data.LongitudinalTemporalInformationModified = "REMOVED"


def save(dataset: Dataset, folder: Path, stem: str) -> None:
    """Write `<stem>.dcm` into a folder that is there."""
    with silenced():
        dataset.save_as(folder / f"{stem}.dcm", enforce_file_format=True)
