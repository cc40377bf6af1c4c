"""Checkpoints on disk: what is written comes back, what is not one is refused, nothing is half-written."""

from __future__ import annotations

import copy
import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from m2dino.errors import CheckpointWriteError, M2DinoError, NotACheckpointError
from m2dino.network.card import MetricValue, ModelCard, TaskReport, read_card
from m2dino.network.checkpoint import load_checkpoint, save_checkpoint
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.tasks import Label, Task, builtin_tasks
from safetensors.torch import load_file

from tests.broken_checkpoints import KINDS, broken, changed_card, tampered

OWN = Task("my_points", "regression", (Label("near"), Label("far", "the far wall")), "Mine", horizontal_flip=False)


@pytest.fixture(scope="module")
def net(architecture: Architecture) -> M2Dino:
    torch.manual_seed(0)
    net = M2Dino(architecture.with_options(top_k=2), [builtin_tasks()["lung"], OWN]).eval()
    net.add_private_experts("my_points")
    with torch.no_grad():
        for block in net.backbone.mixtures:
            for parameter in block.private.parameters():
                parameter.normal_(std=0.02)
    return net


@pytest.fixture(scope="module")
def card(net: M2Dino) -> ModelCard:
    metrics = {"DSC": MetricValue(0.91, 0.89, 0.93, 63), "HD": MetricValue(12.5)}
    return ModelCard(
        "mine",
        net.architecture,
        {"lung": TaskReport(builtin_tasks()["lung"], 100, 63, metrics), "my_points": TaskReport(OWN, 20)},
        parent_id="tiny-0123",
        fingerprint="abc",
        licence="CC BY 4.0",
        data=("one set", "another"),
        limits="small",
        training={"steps": 3, "seed": 0},
    )


@pytest.fixture
def path(net: M2Dino, card: ModelCard, tmp_path: Path) -> Path:
    save_checkpoint(net, card, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_what_is_written_comes_back_bit_for_bit(net: M2Dino, card: ModelCard, tmp_path: Path) -> None:
    written = save_checkpoint(net, card, tmp_path / "new" / "mine.safetensors")
    loaded, read = load_checkpoint(tmp_path / "new" / "mine.safetensors")
    assert read == written == read_card(tmp_path / "new" / "mine.safetensors")
    assert replace(written, id="", created="") == card
    assert loaded.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in net.state_dict().items())
    assert not loaded.training
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        for task_id in net.tasks:
            assert all(torch.equal(a, b) for a, b in zip(net(image, task_id), loaded(image, task_id), strict=True))


def test_float16_loads_exactly_what_was_written(net: M2Dino, card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(net, card, path, precision="float16")
    written, loaded = load_file(path), load_checkpoint(path)[0].state_dict()
    assert {value.dtype for value in written.values()} == {torch.float16}
    assert all(torch.equal(loaded[key], value.float()) for key, value in written.items())
    assert {value.dtype for value in loaded.values()} == {torch.float32}
    again = tmp_path / "again.safetensors"
    save_checkpoint(load_checkpoint(path)[0], read_card(path), again, precision="float16")
    assert all(torch.equal(load_file(again)[key], value) for key, value in written.items())


def test_the_id_tells_weights_apart(net: M2Dino, card: ModelCard, tmp_path: Path) -> None:
    first = save_checkpoint(net, card, tmp_path / "a.safetensors")
    changed = copy.deepcopy(net)
    with torch.no_grad():
        changed.embeddings["task_lung"][0] += 1e-6
    assert save_checkpoint(net, card, tmp_path / "b.safetensors").id == first.id
    assert save_checkpoint(changed, card, tmp_path / "b.safetensors").id != first.id


def test_a_card_dates_nothing_to_the_day(path: Path) -> None:
    assert len(read_card(path).created) == len("2030-01")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_checkpoint_is_refused_by_name(kind: str, path: Path, tmp_path: Path) -> None:
    wrong = broken(kind, path, tmp_path / "wrong.safetensors")
    with pytest.raises(NotACheckpointError) as caught:
        load_checkpoint(wrong)
    message = str(caught.value)
    assert message.startswith(f"{wrong}: ")
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("name", ["title", "licence", "limits"])
def test_a_card_whose_texts_are_none_is_refused_when_it_is_read(name: str, path: Path, tmp_path: Path) -> None:
    """Not minutes later, by a fine-tune that adds to them."""
    wrong = tampered(path, tmp_path / "odd.safetensors", card=changed_card(path, **{name: ["small"]}))
    with pytest.raises(NotACheckpointError, match=f"{name} is no text"):
        read_card(wrong)


def test_weights_of_a_pyramid_are_told_from_those_without(path: Path, tmp_path: Path) -> None:
    architecture = read_card(path).architecture
    assert architecture.pyramid
    card = changed_card(path, architecture={**architecture.to_dict(), "pyramid": False})
    with pytest.raises(NotACheckpointError, match="2 deep maps in the decoder instead of 0"):
        read_card(tampered(path, tmp_path / "flat.safetensors", card=card))


def test_weights_of_class_maps_are_told_from_those_without(path: Path, tmp_path: Path) -> None:
    architecture = read_card(path).architecture
    assert architecture.class_maps
    net = M2Dino(architecture, [builtin_tasks()["breast_3cls"]])
    named = {"breast_3cls": TaskReport(builtin_tasks()["breast_3cls"], 9)}
    save_checkpoint(net, ModelCard("classes", architecture, named), tmp_path / "classes.safetensors")
    path = tmp_path / "classes.safetensors"
    card = changed_card(path, architecture={**architecture.to_dict(), "class_maps": False})
    with pytest.raises(NotACheckpointError, match="1 heads that tell classes from a deep map instead of 0"):
        read_card(tampered(path, tmp_path / "flat.safetensors", card=card))


def test_a_newer_version_says_what_to_do(path: Path, tmp_path: Path) -> None:
    with pytest.raises(NotACheckpointError, match="update this program"):
        read_card(tampered(path, tmp_path / "new.safetensors", version="99"))


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    call: str, net: M2Dino, card: ModelCard, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        with pytest.raises(CheckpointWriteError) as caught:
            save_checkpoint(net, replace(card, title="other"), path)
    assert isinstance(caught.value, M2DinoError)
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_named(net: M2Dino, card: ModelCard, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointWriteError, match="file"):
        save_checkpoint(net, card, tmp_path / "file" / "mine.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointWriteError, match="folder"):
        save_checkpoint(net, card, tmp_path / "folder")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_a_headline_is_fit_to_show(path: Path) -> None:
    tasks = read_card(path).tasks
    assert tasks["lung"].headline() == "Dice 0.91 (0.89-0.93)"
    assert tasks["my_points"].headline() == "no held-out figure"
    points = TaskReport(OWN, 20, 5, {"MRE": MetricValue(7.254, 5.0, 9.96, 5)})
    assert points.headline() == "radial error 7.3 px (5.0-10.0)"
