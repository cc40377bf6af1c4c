"""DICOM Segmentation: one binary multi-frame object for each loop and task.

An ultrasound loop has no place in the patient, so neither has its segmentation: there is no frame of reference and no
plane position. Each frame says by Derivation Image Sequence which frame of which instance it is of, pixel on pixel, and
is indexed by segment and by Temporal Position Index, the number of that frame from 1. Every annotated frame is there
for every segment, empty or not: a frame that is not there was not annotated.

highdicom, which knows the object's many modules, makes one frame without a frame of reference and no more; the other
frames and their functional groups (PS3.3 C.7.6.16, C.8.20) are put in here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.uid import UltrasoundImageStorage
from skimage.color import rgb2lab

from m2dino import __version__
from m2dino.cine.dicom_header import silenced
from m2dino.colours import colour
from m2dino.export.annotated import AnnotatedLoop
from m2dino.export.concepts import category_of, concept_of
from m2dino.export.dicom_source import finish, read_source, save
from m2dino.export.identity import PatientOptions
from m2dino.tasks import Task
from m2dino.values import Mask

MAKER = "napari-m2dino"


def write_segs(loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str], patient: PatientOptions) -> None:
    """Write `<task>_<loop>.dcm` for each loop into a folder that is there.

    Raises
    ------
    ExportError, LoopError
        A loop's file cannot be referred to.
    """
    for loop in loops:
        seg = segmentation(loop, patient)
        save(seg, folder, f"{loop.task.id}_{stems[loop.loop_id]}")


def segmentation(loop: AnnotatedLoop, patient: PatientOptions) -> Dataset:
    """Return the segmentation of a loop, whose file is at hand.

    Raises
    ------
    ExportError, LoopError
        The loop's file cannot be referred to.
    """
    assert loop.loop is not None
    source = read_source(loop.loop, patient)
    packed, models, fates = _packed(loop)
    reference = source.reference
    still = deepcopy(reference)
    still.SOPClassUID = UltrasoundImageStorage  # of one frame, which is all that highdicom takes
    with silenced():
        seg = hd.seg.Segmentation(
            source_images=[still],
            pixel_array=np.zeros((1, *loop.size), np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=_segments(loop.task, models, fates),
            series_instance_uid=hd.UID(),
            series_number=1,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            omit_empty_frames=False,
            content_label="M2DINO",
            content_description=loop.task.title[:64],
            series_description=f"{loop.task.title[:48]} (m2dino)",
            manufacturer=MAKER,
            manufacturer_model_name="m2dino",
            software_versions=__version__,
            device_serial_number="0",  # it has to be there, and a program has none
        )
    _put_frames(seg, loop, reference)
    seg.PixelData = packed + b"\0" * (len(packed) % 2)
    with silenced():
        finish(seg, source, patient)
    return seg


def _segments(task: Task, models: set[str], fates: set[str]) -> list[hd.seg.SegmentDescription]:
    kind = "MANUAL" if not models else "AUTOMATIC" if fates == {"proposed"} else "SEMIAUTOMATIC"
    algorithm = None
    if models:
        algorithm = hd.AlgorithmIdentificationSequence(
            name="M2DINO", family=codes.DCM.ArtificialIntelligence, version=", ".join(sorted(models))[:64]
        )
    return [
        hd.seg.SegmentDescription(
            segment_number=index,
            segment_label=label.name[:64],
            segmented_property_category=category_of(label.name),
            segmented_property_type=concept_of(label.name, task),
            algorithm_type=kind,
            algorithm_identification=algorithm,
            tracking_uid=hd.UID(),
            tracking_id=f"{task.id} {label.name}"[:64],
            display_color=_lab(colour(index)),
        )
        for index, label in enumerate(task.labels)
        if index
    ]


def _lab(shown: str) -> CIELabColor:
    rgb = np.array([int(shown[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return CIELabColor(*(float(part) for part in rgb2lab(rgb.reshape(1, 1, 3)).ravel()))


def _packed(loop: AnnotatedLoop) -> tuple[bytes, set[str], set[str]]:
    """Return the bits of all frames, segment by segment within a frame, and the models and fates met on the way."""
    models: set[str] = set()
    fates: set[str] = set()

    def planes() -> Iterator[NDArray[np.bool_]]:
        for item in loop:
            assert isinstance(item.value, Mask)
            models.update({item.model_id} - {""})
            fates.add(item.fate)
            for index in range(1, loop.task.num_classes):
                yield (item.value.labels == index).ravel()

    packed = bytearray()
    rest = np.empty(0, bool)  # frames follow each other without filling up the byte
    for plane in planes():
        bits = np.concatenate((rest, plane))
        whole = bits.size - bits.size % 8
        packed += np.packbits(bits[:whole], bitorder="little").tobytes()
        rest = bits[whole:]
    packed += np.packbits(rest, bitorder="little").tobytes()
    return bytes(packed), models, fates


def _put_frames(seg: Dataset, loop: AnnotatedLoop, source: Dataset) -> None:
    """Put in the functional groups of all frames, and Temporal Position Index as the second dimension."""
    dimension = Dataset()
    dimension.DimensionOrganizationUID = seg.DimensionIndexSequence[0].DimensionOrganizationUID
    dimension.DimensionIndexPointer = 0x00209128
    dimension.FunctionalGroupPointer = 0x00209111
    dimension.DimensionDescriptionLabel = "Temporal Position Index"
    seg.DimensionIndexSequence.append(dimension)
    pattern = seg.PerFrameFunctionalGroupsSequence[0]
    purpose = pattern.DerivationImageSequence[0]
    for holder in (pattern, *seg.SharedFunctionalGroupsSequence):
        if "SegmentIdentificationSequence" in holder:
            del holder.SegmentIdentificationSequence
    many = loop.loop is not None and len(loop.loop) > 1  # a file of one frame has no frame numbers
    seg.NumberOfFrames = len(loop.frames) * (loop.task.num_classes - 1)
    seg.PerFrameFunctionalGroupsSequence = DicomSequence(
        _group(segment, place, frame + 1, purpose, source, numbered=many)
        for place, frame in enumerate(loop.frames, start=1)
        for segment in range(1, loop.task.num_classes)
    )


def _group(segment: int, place: int, number: int, purpose: Dataset, source: Dataset, *, numbered: bool) -> Dataset:
    content = Dataset()
    content.DimensionIndexValues = [segment, place]
    content.TemporalPositionIndex = number
    identification = Dataset()
    identification.ReferencedSegmentNumber = segment
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    if numbered:
        image.ReferencedFrameNumber = number
    image.PurposeOfReferenceCodeSequence = purpose.SourceImageSequence[0].PurposeOfReferenceCodeSequence
    image.SpatialLocationsPreserved = "YES"
    derivation = Dataset()
    derivation.DerivationCodeSequence = purpose.DerivationCodeSequence
    derivation.SourceImageSequence = DicomSequence([image])
    group = Dataset()
    group.FrameContentSequence = DicomSequence([content])
    group.SegmentIdentificationSequence = DicomSequence([identification])
    group.DerivationImageSequence = DicomSequence([derivation])
    return group
