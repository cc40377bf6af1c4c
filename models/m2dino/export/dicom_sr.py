"""DICOM Structured Report, TID 1500: lengths, areas, boxes and points, each with its place on a frame.

One report for each loop and task. Every shape is a measurement group (TID 1410) whose image region refers to one frame
of the loop's instance. Coordinates are DICOM's (PS3.3 C.18.6.1.1): column before row, (0, 0) being the corner of the
first pixel, so that its centre is (0.5, 0.5). Millimetres stand there only where a scale holds at all of the shape.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from m2dino.cine.dicom_header import silenced
from m2dino.errors import ExportError
from m2dino.export.annotated import AnnotatedLoop, Annotation
from m2dino.export.concepts import concept_of, private
from m2dino.export.dicom_seg import MAKER
from m2dino.export.dicom_source import finish, read_source, save
from m2dino.export.identity import PatientOptions
from m2dino.export.measures import Measure, area_of, lengths_between, sides_of
from m2dino.export.outlines import pieces_of
from m2dino.values import Box, Keypoints, Mask

Shape = NDArray[np.float64]


def write_reports(
    loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str], patient: PatientOptions
) -> list[str]:
    """Write `<task>_<loop>.dcm` for each loop into a folder that is there; return what was left out and why.

    Raises
    ------
    ExportError, LoopError
        A loop's file cannot be referred to, or no annotation holds a shape.
    """
    empty = []
    for loop in loops:
        document = report(loop, patient)
        if document is None:
            empty.append(f"The annotations of {loop.task.id} on the loop {loop.loop_id[:16]} hold no shape to report.")
            continue
        save(document, folder, f"{loop.task.id}_{stems[loop.loop_id]}")
    if len(empty) == len(loops):
        raise ExportError(empty[0])
    return empty


def report(loop: AnnotatedLoop, patient: PatientOptions) -> Dataset | None:
    """Return the report of a loop, whose file is at hand; None where its annotations hold no shape.

    Raises
    ------
    ExportError, LoopError
        The loop's file cannot be referred to.
    """
    assert loop.loop is not None
    source = read_source(loop.loop, patient)
    builder = _Groups(loop, source.reference)
    groups = [group for item in loop for group in builder.of(item)]
    if not groups:
        return None
    with silenced():
        device = sr.DeviceObserverIdentifyingAttributes(
            hd.UID(), name="napari-m2dino", manufacturer_name=MAKER, model_name="m2dino"
        )
        content = sr.MeasurementReport(
            observation_context=sr.ObservationContext(
                observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
            ),
            procedure_reported=codes.SCT.DiagnosticUltrasonography,
            imaging_measurements=groups,
            title=codes.DCM.ImagingMeasurementReport,
            language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
                sr.CodedConcept("en", "RFC5646", "English")
            ),
        )
        document: Dataset = sr.ComprehensiveSR(
            evidence=[source.reference],
            content=content[0],
            series_instance_uid=hd.UID(),
            series_number=1,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description=f"{loop.task.title[:48]} (m2dino)",
        )
        finish(document, source, patient)
    return document


@dataclass
class _Groups:
    """Makes the measurement groups of one loop; what has one name is tracked by one UID from frame to frame."""

    loop: AnnotatedLoop
    source: Dataset
    tracked: dict[str, hd.UID] = field(default_factory=dict)

    def of(self, item: Annotation) -> Iterator[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
        task, loop = self.loop.task, self.loop.loop
        if isinstance(item.value, Mask):
            for index in range(1, task.num_classes):
                name = task.label_names[index]
                for outline, inside in pieces_of(item.value.labels == index):
                    yield self._group(item, name, "POLYLINE", outline + 0.5, [area_of(inside, name, loop)])
        elif isinstance(item.value, Box):
            y_min, x_min, y_max, x_max = item.value.as_tuple()
            corners = [(y_min, x_min), (y_min, x_max), (y_max, x_max), (y_max, x_min), (y_min, x_min)]
            name = task.label_names[0]
            yield self._group(item, name, "POLYLINE", np.array(corners), list(sides_of(item.value, name, loop)))
        elif isinstance(item.value, Keypoints):
            for name, point in zip(task.label_names, item.value.points, strict=True):
                if not np.isnan(point).any():
                    yield self._group(item, name, "POINT", point[None] + 0.5, [])
            for measure, ends in lengths_between(item.value, task, loop):
                yield self._group(item, measure.name, "POLYLINE", np.array(ends) + 0.5, [measure])

    def _group(
        self, item: Annotation, name: str, graphic: str, shape: Shape, measures: list[Measure]
    ) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
        """Return the group of a shape, (N, 2), (y, x) from the corner of the first pixel."""
        height, width = self.loop.size
        inside = np.clip(shape, 0.0, (height, width))
        if name not in self.tracked:
            self.tracked[name] = hd.UID(f"2.25.{uuid.uuid4().int}")
        image = sr.SourceImageForRegion(
            self.source.SOPClassUID, self.source.SOPInstanceUID, self._frame_numbers(item.frame)
        )
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(self.tracked[name], f"{self.loop.task.id} {name}"[:64]),
            referenced_region=sr.ImageRegion(graphic, inside[:, ::-1], image),
            finding_type=concept_of(name, self.loop.task),
            algorithm_id=sr.AlgorithmIdentification("M2DINO", item.model_id) if item.model_id else None,
            measurements=[_measurement(measure) for measure in measures],
            qualitative_evaluations=[sr.QualitativeEvaluation(private("Review"), private(item.fate))],
        )

    def _frame_numbers(self, frame: int) -> list[int] | None:
        """Return the frame's number from 1; none for a file of one frame, which has no frame numbers."""
        assert self.loop.loop is not None
        return [frame + 1] if len(self.loop.loop) > 1 else None


def _measurement(measure: Measure) -> sr.Measurement:
    names = {
        "area": codes.SCT.Area,
        "width": codes.SCT.Width,
        "height": private("Height in the image"),
        "length": codes.SCT.Length,
    }
    squared = measure.kind == "area"
    if measure.mm is None:
        unit = sr.CodedConcept("{pixels}2" if squared else "{pixels}", "UCUM", "square pixels" if squared else "pixels")
        return sr.Measurement(names[measure.kind], measure.px, unit)
    unit = codes.UCUM.SquareMillimeter if squared else codes.UCUM.Millimeter
    return sr.Measurement(names[measure.kind], measure.mm, unit)
