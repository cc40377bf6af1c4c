"""COCO: what is written comes back, and the reference implementation reads it."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from m2dino.cine import CineLoop, open_loop
from m2dino.errors import DatasetError
from m2dino.export import annotated_loop, export_annotations, read_coco
from m2dino.export.rle import decode_rle, encode_rle
from m2dino.tasks import Label, Task
from m2dino.values import Box, Keypoints, Mask, Value
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as reference
from pycocotools.coco import COCO

from tests.export.conftest import FRAMES, HEIGHT, TASKS, WIDTH, Setup, value_of

# The reference implementation is behind on a change of NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
MASKS = SHAPES.flatmap(lambda shape: hnp.arrays(bool, shape))


@given(MASKS)
def test_run_lengths_are_those_of_the_reference(inside: NDArray[np.bool_]) -> None:
    theirs = reference.encode(np.asfortranarray(inside.astype(np.uint8)))
    assert encode_rle(inside) == theirs["counts"].decode()
    assert np.array_equal(decode_rle(theirs["counts"].decode(), inside.shape), inside)


@given(st.lists(st.integers(0, 900), min_size=1, max_size=12))
def test_plain_run_lengths_are_read(runs: list[int]) -> None:
    size = (1, sum(runs))
    if sum(runs):
        theirs = reference.decode(reference.frPyObjects({"size": size, "counts": runs}, *size))
        assert np.array_equal(decode_rle(runs, size), theirs.astype(bool))


@given(st.text(alphabet=[chr(48 + i) for i in range(70)], max_size=30), SHAPES)
def test_damaged_run_lengths_never_give_a_mask_of_another_size(text: str, size: tuple[int, int]) -> None:
    with contextlib.suppress(ValueError):
        assert decode_rle(text, size).shape == size


COORDINATES = st.floats(-5, 80, allow_nan=False, allow_subnormal=False)
BOXES = st.tuples(COORDINATES, COORDINATES, st.floats(0, 60), st.floats(0, 60)).map(
    lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)
POINTS = hnp.arrays(np.float64, (2, 2), elements=st.one_of(COORDINATES, st.just(float("nan")))).map(Keypoints)
LABELS = hnp.arrays(np.uint8, (HEIGHT, WIDTH), elements=st.integers(0, 3)).map(Mask)


@settings(max_examples=25, deadline=None)
@given(
    values=st.one_of(
        *(
            st.tuples(st.just(kind), st.dictionaries(st.integers(0, 5), strategy, min_size=1, max_size=3))
            for kind, strategy in (("segmentation", LABELS), ("detection", BOXES), ("regression", POINTS))
        )
    )
)
def test_values_come_back_exactly(setup: Setup, values: tuple[str, dict[int, Value]]) -> None:
    kind, by_frame = values
    task = TASKS[kind]
    with tempfile.TemporaryDirectory() as folder:
        loop = annotated_loop(setup.loop, task, [(frame, value, "edited") for frame, value in by_frame.items()])
        export_annotations([loop], Path(folder) / "out", "coco")
        assert read_coco(Path(folder) / "out" / "annotations" / f"{task.id}.json", task, setup.loop) == by_frame


def _reference(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_the_reference_implementation_reads_it(setup: Setup, tmp_path: Path) -> None:
    kinds = ("segmentation", "detection", "regression")
    done = export_annotations([setup.annotated(kind) for kind in kinds], tmp_path / "out", "coco")
    assert done is not None
    assert (done.frames, done.left_out, done.has_pictures) == (9, (), True)
    coco = _reference(tmp_path / "out" / "annotations" / "cardiac_multi.json")
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(
        TASKS["segmentation"].label_names[1:]
    )
    for image in coco.loadImgs(coco.getImgIds()):
        frame = int(image["file_name"][-10:-4])
        picture = np.asarray(Image.open(tmp_path / "out" / "images" / image["file_name"]).convert("RGB"))
        assert np.array_equal(picture, setup.loop[frame])
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for entry in coco.loadAnns(coco.getAnnIds(image["id"])):
            inside = coco.annToMask(entry).astype(bool)
            labels[inside] = entry["category_id"]
            assert entry["area"] == inside.sum()
            assert entry["bbox"] == reference.toBbox(coco.annToRLE(entry)).tolist()
        assert Mask(labels) == value_of("segmentation", frame)
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3, "tasks share the pictures"
    (boxes,) = _reference(tmp_path / "out" / "annotations" / "thyroid_nodule_det.json").loadAnns([1])
    assert boxes["bbox"] == [3, 4.25, 27.5, 15.75]
    points = _reference(tmp_path / "out" / "annotations" / "FUGC.json")
    assert points.loadCats([1])[0]["keypoints"] == ["internal os", "external os"]
    assert points.loadAnns([2])[0]["keypoints"] == [0, 0, 0, 29.5, 22, 2]
    assert points.loadAnns([2])[0]["num_keypoints"] == 1


@pytest.fixture
def images(tmp_path: Path) -> CineLoop:
    """A folder of four pictures of 40 × 30 pixels, whose names do not number them from 0."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, name in enumerate(("a_10", "a_11", "a_12", "b")):
        Image.fromarray(np.full((30, 40), 20 * i, np.uint8)).save(folder / f"{name}.png")
    return open_loop(folder)


def coco_file(
    path: Path, names: list[str], annotations: list[dict[str, Any]], categories: list[dict[str, Any]], **size: int
) -> Path:
    listed = [{"id": i + 7, "file_name": name, "height": 30, "width": 40, **size} for i, name in enumerate(names)]
    for i, entry in enumerate(annotations):
        entry.setdefault("id", i + 1)
    path.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": categories}))
    return path


LUMEN = Task("vessel", "segmentation", (Label("background"), Label("lumen"), Label("wall")), "Vessel")
CATEGORIES = [{"id": 3, "name": "Wall"}, {"id": 9, "name": "LUMEN"}]


def test_polygons_of_other_programs_are_filled(images: CineLoop, tmp_path: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 60)[:-1]
    ring = np.stack([20 + 12 * np.cos(angles), 15 + 9 * np.sin(angles)], axis=1).ravel().tolist()
    square = [1, 2, 5, 2, 5, 6, 1, 6]
    path = coco_file(
        tmp_path / "x.json",
        ["folder/a_11.png", "b.png", "a_10.png"],
        [
            {"image_id": 7, "category_id": 9, "segmentation": [ring, square]},
            {"image_id": 8, "category_id": 3, "segmentation": [square]},
        ],
        CATEGORIES,
    )
    values = read_coco(path, LUMEN, images)
    assert list(values) == [1, 3], "images without an annotation say nothing in the files of other programs"
    wall, lumen = values[3], values[1]
    assert isinstance(wall, Mask)
    assert isinstance(lumen, Mask)
    expected = np.zeros((30, 40), np.uint8)
    expected[2:6, 1:5] = 2
    assert np.array_equal(wall.labels, expected), "a polygon along the edges of pixels is exactly these pixels"
    theirs = reference.decode(reference.merge(reference.frPyObjects([ring, square], 30, 40))).astype(bool)
    ours = lumen.labels == 1
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.93


def test_frames_are_told_by_file_name_then_by_number(setup: Setup, images: CineLoop, tmp_path: Path) -> None:
    square = [{"image_id": 7, "category_id": 9, "segmentation": [[1, 2, 5, 2, 5, 6, 1, 6]]}]
    for name, frame in (("a_12.png", 2), ("a_12.jpg", 2), ("A_11.PNG", 1), ("folder\\B.tif", 3)):
        named = coco_file(tmp_path / "x.json", [name], square, CATEGORIES)
        assert list(read_coco(named, LUMEN, images, 1)) == [frame]
    for name, first, frame in (("clip_0003.png", 0, 3), ("clip_0003.jpg", 1, 2), ("x\\5.png", 0, 5), ("6.png", 1, 5)):
        path = coco_file(tmp_path / "x.json", [name], square, CATEGORIES, height=HEIGHT, width=WIDTH)
        assert list(read_coco(path, LUMEN, setup.loop, first)) == [frame]
    path = coco_file(tmp_path / "x.json", [f"c_{FRAMES}.png"], square, CATEGORIES, height=HEIGHT, width=WIDTH)
    with pytest.raises(DatasetError, match="--first-frame 1"):
        read_coco(path, LUMEN, setup.loop)


def test_names_in_a_folder_of_images_that_fit_two_files_or_none_are_refused(images: CineLoop, tmp_path: Path) -> None:
    Image.new("L", (40, 30)).save(images.path / "a_12.bmp")
    loop = open_loop(images.path)
    square = [{"image_id": 7, "category_id": 9, "segmentation": [[1, 2, 5, 2, 5, 6, 1, 6]]}]
    exact = coco_file(tmp_path / "x.json", ["A_12.bmp"], square, CATEGORIES)
    assert list(read_coco(exact, LUMEN, loop)) == [2]
    for name in ("a_12.jpg", "c_1.png", "2.png"):
        path = coco_file(tmp_path / "x.json", [name], square, CATEGORIES)
        with pytest.raises(DatasetError, match="should be that of a frame's file"):
            read_coco(path, LUMEN, loop)


def test_an_image_of_another_loop_is_passed_over(setup: Setup, images: CineLoop, tmp_path: Path) -> None:
    export_annotations([setup.annotated("detection")], tmp_path / "out", "coco")
    path = tmp_path / "out" / "annotations" / "thyroid_nodule_det.json"
    with pytest.raises(DatasetError, match="no annotation in it is of this loop"):
        read_coco(path, TASKS["detection"], images)


def test_points_are_matched_by_name(images: CineLoop, tmp_path: Path) -> None:
    category = {"id": 1, "name": "person", "keypoints": ["External os", "internal OS"]}
    entry = {"image_id": 7, "category_id": 1, "keypoints": [1, 2, 1, 3, 4, 2], "num_keypoints": 2}
    path = coco_file(tmp_path / "x.json", ["a_10.png"], [entry], [category])
    assert read_coco(path, TASKS["regression"], images) == {0: Keypoints(np.array([[4.0, 3.0], [2.0, 1.0]]))}


BOX: dict[str, Any] = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}
NODULE = [{"id": 1, "name": "nodule"}]
FIRST = ["a_10.png"]


@pytest.mark.parametrize(
    ("names", "entries", "categories", "task", "says"),
    [
        (FIRST, [BOX], [{"id": 1, "name": "cyst"}], TASKS["detection"], "'cyst' cannot .* labels are 'nodule'"),
        (FIRST, [BOX, BOX], NODULE, TASKS["detection"], "frame 0 has 2 boxes"),
        (["c.png"], [BOX], NODULE, TASKS["detection"], "is no frame of this loop, which has the frames 0 to 3"),
        (FIRST * 2, [BOX, {**BOX, "image_id": 8}], NODULE, TASKS["detection"], "would both be frame 0"),
        (FIRST, [{**BOX, "bbox": [1, 2]}], NODULE, TASKS["detection"], "'a_10.png' is damaged"),
        (FIRST, [{**BOX, "bbox": [1, 2, -3, 4]}], NODULE, TASKS["detection"], "'a_10.png' is damaged"),
        (FIRST, [{**BOX, "image_id": 70}], NODULE, TASKS["detection"], "not in the file"),
        (FIRST, [{**BOX, "image_id": []}], NODULE, TASKS["detection"], "no COCO file"),
        (FIRST, [], NODULE, TASKS["detection"], "no annotation in it is of this loop"),
        (FIRST, [BOX], [{"id": 1, "name": "lumen"}], LUMEN, "annotation without a mask"),
        (FIRST, [BOX], NODULE, TASKS["regression"], "keypoints without names .* 'internal os'"),
        (FIRST, [BOX], [{"id": 1, "keypoints": 1}], TASKS["regression"], "keypoints without names"),
        (FIRST, [BOX], NODULE, TASKS["classification"], "no place for the class"),
    ],
)
def test_what_is_wrong_is_said(
    images: CineLoop,
    tmp_path: Path,
    names: list[str],
    entries: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    task: Task,
    says: str,
) -> None:
    path = coco_file(tmp_path / "x.json", names, [dict(entry) for entry in entries], categories)
    with pytest.raises(DatasetError, match=says) as caught:
        read_coco(path, task, images)
    assert str(path) in str(caught.value)


def test_an_image_of_another_size_and_a_file_that_is_none_are_refused(images: CineLoop, tmp_path: Path) -> None:
    path = coco_file(tmp_path / "x.json", FIRST, [dict(BOX)], NODULE, height=31)
    with pytest.raises(DatasetError, match="40 × 31 pixels, the loop's frames are 40 × 30"):
        read_coco(path, TASKS["detection"], images)
    for text in ("", "[1]", "{", '{"images": 3}', '{"images": [], "annotations": []}'):
        path.write_text(text)
        with pytest.raises(DatasetError, match=r"COCO file|JSON file"):
            read_coco(path, TASKS["detection"], images)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_coco(tmp_path / "none.json", TASKS["detection"], images)


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), kind=st.sampled_from(("segmentation", "detection", "regression")))
def test_a_damaged_file_is_read_or_refused_in_words(setup: Setup, data: st.DataObject, kind: str) -> None:
    """Anything may stand anywhere: the result is values that fit the loop, or one sentence."""
    task = TASKS[kind]
    entry: dict[str, Any] = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    entry["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [5, HEIGHT * WIDTH - 5]}
    entry["keypoints"] = [1, 2, 2, 3, 4, 1]
    image: dict[str, Any] = {"id": 7, "file_name": "a_1.png", "height": HEIGHT, "width": WIDTH}
    names = list(task.label_names)
    category: dict[str, Any] = {"id": 1, "name": names[-1], "keypoints": names}
    content: dict[str, Any] = {"images": [image], "annotations": [entry], "categories": [category]}
    places: list[Any] = [content, image, entry, category, entry["segmentation"]]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places))
        place[data.draw(st.sampled_from([*place, "loop_id", "frame", "fate", "box"]))] = data.draw(JUNK)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        path.write_text(json.dumps(content))
        with contextlib.suppress(DatasetError):
            found = read_coco(path, task, setup.loop)
            assert annotated_loop(setup.loop, task, [(f, value, "edited") for f, value in found.items()]).frames
