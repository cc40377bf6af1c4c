"""Files that are no usable checkpoint, each for a reason of its own."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from m2dino.network.card import read_card
from safetensors import safe_open
from safetensors.torch import load_file, save_file

KINDS = (
    "missing",
    "a folder",
    "empty",
    "text",
    "cut short in the header",
    "cut short in the weights",
    "a pickle",
    "another program's",
    "of a newer version",
    "of a version that is no number",
    "without a card",
    "with a card of other fields",
    "with a task that is none",
    "of another shape",
    "of no known backbone",
    "of a backbone to be fetched",
    "without one of its layers",
    "with more experts than weights",
    "with the weights of another network",
)


def tampered(path: Path, out: Path, **changes: str) -> Path:
    """Copy a checkpoint with other metadata."""
    with safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path), out, {**metadata, **changes})
    return out


def without_a_layer(path: Path, out: Path) -> Path:
    with safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors["decoder.out.0.weight"]
    save_file(tensors, out, metadata)
    return out


def changed_card(path: Path, **changes: object) -> str:
    data = json.loads(read_card(path).to_json())
    return json.dumps({**data, **changes})


def broken(kind: str, path: Path, out: Path) -> Path:
    """Make a file that is no usable checkpoint."""
    architecture = read_card(path).architecture
    task = {"task": {"id": "lung", "type": "song", "labels": []}, "n_train": 1, "n_val": 0, "metrics": {}}
    match kind:
        case "missing":
            return out
        case "a folder":
            out.mkdir()
        case "empty":
            out.write_bytes(b"")
        case "text":
            out.write_text("weights would be nice\n" * 100)
        case "cut short in the header":
            out.write_bytes(path.read_bytes()[:500])
        case "cut short in the weights":
            out.write_bytes(path.read_bytes()[:-1])
        case "a pickle":
            torch.save({"a": torch.zeros(3)}, out)
        case "another program's":
            save_file({"a": torch.zeros(3)}, out)
        case "of a newer version":
            return tampered(path, out, version="2")
        case "of a version that is no number":
            return tampered(path, out, version="two")
        case "without a card":
            return tampered(path, out, card="")
        case "with a card of other fields":
            return tampered(path, out, card=changed_card(path, surprise=1))
        case "with a task that is none":
            return tampered(path, out, card=changed_card(path, tasks={"lung": task}))
        case "of another shape":
            return tampered(path, out, card=changed_card(path, architecture={**architecture.to_dict(), "task_dim": 32}))
        case "of no known backbone":
            named = {**architecture.to_dict(), "backbone": "vit_of_nobody"}
            return tampered(path, out, card=changed_card(path, architecture=named))
        case "of a backbone to be fetched":
            named = {**architecture.to_dict(), "backbone": "hf-hub:somebody/something"}
            return tampered(path, out, card=changed_card(path, architecture=named))
        case "with more experts than weights":
            more = {**architecture.to_dict(), "num_experts": architecture.num_experts + 1}
            return tampered(path, out, card=changed_card(path, architecture=more))
        case "with the weights of another network":
            with safe_open(str(path), framework="numpy") as file:
                save_file({"blocks.0.attn.qkv.weight": torch.zeros(6, 2)}, out, file.metadata())
        case "without one of its layers":
            return without_a_layer(path, out)
    return out
