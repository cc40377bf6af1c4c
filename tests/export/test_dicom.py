"""DICOM SEG and SR, as other readers see them; and whose they say they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import open_loop
from m2dino.data.store import Store
from m2dino.deid import DeidOptions, deidentify
from m2dino.errors import ExportError, MissingExtraError
from m2dino.export import Annotation, PatientOptions, annotated_loop, export_annotations, loops_of_store
from m2dino.values import Box, Keypoints, Mask
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from tests.cine.making import dicom_header, moving_square, save_native, video
from tests.export.conftest import HEIGHT, OF_THE_PATIENT, SECRET, TASKS, WIDTH, Setup, dicom_loop, value_of

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def exported(setup: Setup, folder: Path, kind: str, to: Any, options: PatientOptions | None = None) -> Path:
    export_annotations([setup.annotated(kind)], folder / "out", to, options)
    (path,) = (folder / "out").iterdir()
    return path


def labels(frame: int) -> Any:
    value = value_of("segmentation", frame)
    assert isinstance(value, Mask)
    return value.labels


def test_segments_are_the_masks_for_three_readers(setup: Setup, tmp_path: Path) -> None:
    path = exported(setup, tmp_path, "segmentation", "dicom-seg")
    data = dcmread(path)
    expected = np.stack([labels(frame) == segment for frame in (0, 1, 4) for segment in (1, 2, 3)])
    assert np.array_equal(data.pixel_array, expected)
    by_itk = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert np.array_equal(by_itk > 0, expected)
    seg = hd.seg.segread(path)
    source = data.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert source.ReferencedSOPClassUID == MULTI_FRAME
    by_highdicom = seg.get_pixels_by_source_frame(source.ReferencedSOPInstanceUID, [1, 2, 5], combine_segments=True)
    assert np.array_equal(by_highdicom, np.stack([labels(frame) for frame in (0, 1, 4)]))


def test_each_frame_says_which_frame_it_is_of_and_claims_no_place_in_the_patient(setup: Setup, tmp_path: Path) -> None:
    data = dcmread(exported(setup, tmp_path, "segmentation", "dicom-seg"))
    assert data.SOPClassUID == SegmentationStorage
    assert data.SegmentationType == "BINARY"
    assert "FrameOfReferenceUID" not in data
    groups = data.PerFrameFunctionalGroupsSequence
    told = []
    for group in groups:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPClassUID == MULTI_FRAME
        assert "PlanePositionSequence" not in group
        content = group.FrameContentSequence[0]
        assert content.TemporalPositionIndex == source.ReferencedFrameNumber
        told.append((source.ReferencedFrameNumber, group.SegmentIdentificationSequence[0].ReferencedSegmentNumber))
        assert content.DimensionIndexValues == [told[-1][1], (1, 2, 5).index(told[-1][0]) + 1]
    assert told == [(frame, segment) for frame in (1, 2, 5) for segment in (1, 2, 3)]
    assert [item.DimensionIndexPointer for item in data.DimensionIndexSequence] == [0x0062000B, 0x00209128]


def test_segments_have_names_codes_and_an_algorithm(setup: Setup, tmp_path: Path) -> None:
    data = dcmread(exported(setup, tmp_path, "segmentation", "dicom-seg"))
    cavity, _, atrium = data.SegmentSequence
    assert (cavity.SegmentLabel, atrium.SegmentLabel) == ("LV cavity", "left atrium")
    code = atrium.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("82471001", "SCT")
    own = cavity.SegmentedPropertyTypeCodeSequence[0]
    assert (own.CodingSchemeDesignator, own.CodeMeaning) == ("99M2DINO", "LV cavity")
    assert cavity.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert cavity.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "model-1"


@pytest.mark.parametrize(("fate", "model", "kind"), [("proposed", "m", "AUTOMATIC"), ("edited", "", "MANUAL")])
def test_who_drew_is_said(setup: Setup, tmp_path: Path, fate: Any, model: str, kind: str) -> None:
    values = [Annotation(0, value_of("segmentation", 0), fate, model)]
    export_annotations([annotated_loop(setup.loop, TASKS["segmentation"], values)], tmp_path / "out", "dicom-seg")
    (path,) = (tmp_path / "out").iterdir()
    assert {segment.SegmentAlgorithmType for segment in dcmread(path).SegmentSequence} == {kind}


def test_frames_that_do_not_fill_bytes_follow_each_other(tmp_path: Path) -> None:
    data = dicom_header(3, 7, 5, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4")
    loop = open_loop(save_native(tmp_path / "a.dcm", data, bytes(3 * 7 * 5 * 3)))
    rng = np.random.default_rng(1)
    masks = {frame: rng.integers(0, 4, (7, 5)).astype(np.uint8) for frame in (0, 2)}
    values = [Annotation(frame, Mask(mask)) for frame, mask in masks.items()]
    export_annotations([annotated_loop(loop, TASKS["segmentation"], values)], tmp_path / "out", "dicom-seg")
    (path,) = (tmp_path / "out").iterdir()
    read = dcmread(path).pixel_array
    assert np.array_equal(read, np.stack([mask == k for mask in masks.values() for k in (1, 2, 3)]))


def groups_of(path: Path) -> list[Any]:
    content: Any = hd.sr.srread(path).content
    return list(content.get_planar_roi_measurement_groups())


def shape_of(group: Any) -> tuple[str, list[list[float]], int]:
    region = group.roi
    reference = region.ContentSequence[0].ReferencedSOPSequence[0]
    return region.GraphicType, region.value.tolist(), int(reference.ReferencedFrameNumber)


def measures_of(group: Any) -> list[tuple[str, float, str]]:
    return [(m.name.meaning, round(m.value, 4), m.unit.value) for m in group.get_measurements()]


def test_lengths_and_points_stand_in_the_report(setup: Setup, tmp_path: Path) -> None:
    path = exported(setup, tmp_path, "regression", "dicom-sr")
    data = dcmread(path)
    assert data.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    groups = groups_of(path)
    assert [group.finding_type.meaning for group in groups[:3]] == ["internal os", "external os", "length"]
    # DICOM counts from the corner of the first pixel, column before row.
    assert shape_of(groups[0]) == ("POINT", [[13.0, 10.5]], 1)
    assert shape_of(groups[2]) == ("POLYLINE", [[13.0, 10.5], [29.0, 22.5]], 1)
    assert measures_of(groups[2]) == [("Length", 10.0, "mm")]
    assert [shape_of(group)[2] for group in groups] == [1, 1, 1, 2, 5, 5, 5], "hidden points have no place"
    assert groups[0].tracking_uid == groups[4].tracking_uid


def test_boxes_and_areas_stand_in_the_report(setup: Setup, tmp_path: Path) -> None:
    box = groups_of(exported(setup, tmp_path / "a", "detection", "dicom-sr"))[0]
    assert shape_of(box)[1] == [[3, 4.25], [30.5, 4.25], [30.5, 20], [3, 20], [3, 4.25]]
    assert measures_of(box) == [("Height in the image", 7.875, "mm"), ("Width", 13.75, "mm")]
    groups = groups_of(exported(setup, tmp_path / "b", "segmentation", "dicom-sr"))
    assert [group.finding_type.meaning for group in groups] == ["LV cavity", "LV cavity", "Left atrium"] * 2
    assert measures_of(groups[0]) == [("Area", (200 - 12) / 4, "mm2")]
    assert measures_of(groups[1]) == [("Area", 12 / 4, "mm2")]
    kind, outline, frame = shape_of(groups[1])
    corners = np.array(outline)
    assert (kind, frame) == ("POLYLINE", 1)
    assert outline[0] == outline[-1]
    assert corners.min(axis=0).tolist() == [40, 30]
    assert corners.max(axis=0).tolist() == [44, 33]


def test_without_a_scale_lengths_are_in_pixels(tmp_path: Path) -> None:
    loop = open_loop(dicom_loop(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=None))
    assert loop.calibration is None
    values = [Annotation(0, value_of("regression", 0))]
    export_annotations([annotated_loop(loop, TASKS["regression"], values)], tmp_path / "out", "dicom-sr")
    (path,) = (tmp_path / "out").iterdir()
    assert measures_of(groups_of(path)[2]) == [("Length", 20.0, "{pixels}")]


def holds_no_secret(path: Path) -> None:
    raw = path.read_bytes()
    for secret in (SECRET, SECRET.upper(), "19770707", "19770708", "070707", "1.2.840.777"):
        assert secret.encode() not in raw, secret


@pytest.mark.parametrize(("to", "kind"), [("dicom-seg", "segmentation"), ("dicom-sr", "regression")])
def test_nothing_of_the_patient_is_in_it_unless_asked_for(setup: Setup, tmp_path: Path, to: Any, kind: str) -> None:
    path = exported(setup, tmp_path / "a", kind, to)
    holds_no_secret(path)
    data = dcmread(path)
    assert (data.PatientIdentityRemoved, data.PatientName, data.StudyDate) == ("YES", "", "")
    source = dcmread(setup.loop_file)
    assert source.SOPInstanceUID not in str(data)

    kept = dcmread(exported(setup, tmp_path / "b", kind, to, PatientOptions(keep=True)))
    assert "PatientIdentityRemoved" not in kept
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyInstanceUID"):
        assert kept[keyword].value == OF_THE_PATIENT[keyword]
    assert source.SOPInstanceUID in str(kept)
    assert kept.SeriesInstanceUID != source.SeriesInstanceUID
    assert "InstitutionName" not in kept


def test_a_name_in_another_alphabet_is_kept_as_it_is(tmp_path: Path) -> None:
    loop = open_loop(dicom_loop(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 144", PatientName="Люкceмбypг"))
    annotated = annotated_loop(loop, TASKS["segmentation"], [(0, value_of("segmentation", 0), "edited")])
    export_annotations([annotated], tmp_path / "out", "dicom-seg", PatientOptions(keep=True))
    (path,) = (tmp_path / "out").iterdir()
    assert dcmread(path).PatientName == "Люкceмбypг"


def test_an_odd_header_is_kept_without_a_complaint(tmp_path: Path) -> None:
    loop = open_loop(dicom_loop(tmp_path / "a.dcm", PatientSex="X", StudyID=None, StudyTime=""))
    annotated = annotated_loop(loop, TASKS["segmentation"], [(0, value_of("segmentation", 0), "edited")])
    export_annotations([annotated], tmp_path / "out", "dicom-seg", PatientOptions(keep=True))
    (path,) = (tmp_path / "out").iterdir()
    assert dcmread(path).PatientSex == "X"


def test_with_the_salt_of_a_de_identified_copy_it_refers_to_the_copy(setup: Setup, tmp_path: Path) -> None:
    (copy,) = deidentify(setup.loop_file, tmp_path / "copy.dcm", DeidOptions(salt=b"s"))
    assert copy.target is not None
    seg = dcmread(exported(setup, tmp_path, "segmentation", "dicom-seg", PatientOptions(salt=b"s")))
    there = dcmread(copy.target)
    reference = seg.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == there.SeriesInstanceUID
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == there.SOPInstanceUID
    assert seg.StudyInstanceUID == there.StudyInstanceUID


def test_what_is_no_dicom_file_is_refused(setup: Setup, tmp_path: Path) -> None:
    loop = open_loop(video(tmp_path / "a.mp4", moving_square(6, HEIGHT, WIDTH), "mpeg4"))
    film = annotated_loop(loop, TASKS["segmentation"], [(0, value_of("segmentation", 0), "edited")])
    with pytest.raises(ExportError, match=r"is no DICOM file \(mpeg4\), so dicom-seg has nothing to refer to"):
        export_annotations([film], tmp_path / "out", "dicom-seg")
    with Store.open(setup.store) as store, pytest.raises(ExportError, match="name it, or its folder, with --loops"):
        export_annotations(loops_of_store(store), tmp_path / "out", "dicom-sr")
    assert not (tmp_path / "out").exists()
    done = export_annotations([film, setup.annotated("segmentation")], tmp_path / "out", "dicom-seg")
    assert done is not None
    assert len(done.missing) == 1
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_file_without_an_instance_uid_cannot_be_referred_to(tmp_path: Path) -> None:
    path = dicom_loop(tmp_path / "a.dcm")
    data = dcmread(path)
    del data.SOPInstanceUID
    data.save_as(path)
    annotated = annotated_loop(open_loop(path), TASKS["detection"], [(0, Box(1, 2, 3, 4), "edited")])
    export_annotations([annotated], tmp_path / "by meta", "dicom-sr", PatientOptions(keep=True))
    (report,) = (tmp_path / "by meta").iterdir()
    assert data.file_meta.MediaStorageSOPInstanceUID in str(dcmread(report))
    del data.file_meta.MediaStorageSOPInstanceUID
    data.save_as(path)
    with pytest.raises(ExportError, match="has no SOP Instance UID"):
        export_annotations([annotated], tmp_path / "out", "dicom-sr")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.3", "1.2.840.113543.6.6.1.3.10002"])
def test_classes_that_are_retired_or_private_are_referred_to(tmp_path: Path, sop_class: str) -> None:
    loop = open_loop(dicom_loop(tmp_path / "a.dcm", SOPClassUID=sop_class))
    for to, kind in (("dicom-sr", "detection"), ("dicom-seg", "segmentation")):
        annotated = annotated_loop(loop, TASKS[kind], [(0, value_of(kind, 0), "edited")])
        export_annotations([annotated], tmp_path / to, to)  # type: ignore[arg-type]
        (path,) = (tmp_path / to).iterdir()
        told = [element.value for element in dcmread(path).iterall() if element.keyword == "ReferencedSOPClassUID"]
        assert set(told) == {sop_class}


def test_annotations_without_a_shape_make_no_report(setup: Setup, tmp_path: Path) -> None:
    hidden = Keypoints(np.full((2, 2), np.nan))
    annotated = annotated_loop(setup.loop, TASKS["regression"], [(0, hidden, "edited")])
    with pytest.raises(ExportError, match="hold no shape to report"):
        export_annotations([annotated], tmp_path / "out", "dicom-sr")
    done = export_annotations([annotated, setup.annotated("detection")], tmp_path / "out", "dicom-sr")
    assert done is not None
    assert len(done.left_out) == 1


def test_a_missing_library_is_named(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r'pip install "napari-m2dino\[dicom-export\]"'):
        export_annotations([setup.annotated("segmentation")], tmp_path / "out", "dicom-seg")


def test_a_still_is_referred_to_without_a_frame_number(tmp_path: Path) -> None:
    path = dicom_loop(tmp_path / "a.dcm", frames=1)
    loop = open_loop(path)
    for to, kind in (("dicom-sr", "detection"), ("dicom-seg", "segmentation")):
        annotated = annotated_loop(loop, TASKS[kind], [(0, value_of(kind, 0), "edited")])
        export_annotations([annotated], tmp_path / to, to)  # type: ignore[arg-type]
    (report,), (seg,) = (tmp_path / "dicom-sr").iterdir(), (tmp_path / "dicom-seg").iterdir()
    reference: Dataset = groups_of(report)[0].roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert "ReferencedFrameNumber" not in reference
    assert "ReferencedFrameNumber" not in str(dcmread(seg))
    assert np.array_equal(dcmread(seg).pixel_array, np.stack([labels(0) == k for k in (1, 2, 3)]))
