"""The ImageNet weights that a conv stem starts from: a safetensors file that comes with this package.

`scripts/make_stem.py` makes it from torchvision's MobileNetV2 (BSD 3-Clause).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from m2dino.errors import NotACheckpointError
from m2dino.network.card import read_metadata
from m2dino.network.checkpoint import read_tensors, write_tensors
from m2dino.network.model import M2Dino
from m2dino.network.stem import ConvStem

FORMAT = "m2dino stem"


def bundled_stem(name: str) -> Path | None:
    """Return the file of ImageNet weights that comes with this package for a network of timm, or None."""
    path = Path(__file__).parent / "weights" / f"{name}.safetensors"
    return path if path.is_file() else None


def start_stem(net: M2Dino) -> str | None:
    """Give a fresh network's stem the weights that come with this package, and hold its early stages.

    Returns
    -------
    str or None
        Whose weights, under which licence; None where the network has no stem, or no weights come for it.
    """
    path = bundled_stem(net.architecture.stem)
    if net.stem is None or path is None:
        return None
    source = load_stem(net.stem, net.architecture.stem, path)
    net.stem.freeze_early()
    return source


def write_stem(state: Mapping[str, Tensor], name: str, source: str, path: Path) -> None:
    """Write folded weights in half precision.

    Parameters
    ----------
    state : mapping of str to Tensor
        Of `ConvStem.body`.
    name : str
        timm's name of the network.
    source : str
        Whose weights, under which licence.
    path : Path
    """
    half = {key: value.to(torch.float16) for key, value in state.items()}
    write_tensors(half, {"format": FORMAT, "name": name, "source": source}, path)


def load_stem(stem: ConvStem, name: str, path: Path) -> str:
    """Load trained weights into a stem, and return whose they are, under which licence.

    Raises
    ------
    NotACheckpointError
        The file is of another kind, or of another network.
    """
    about = read_metadata(path)
    if about.get("format") != FORMAT or about.get("name") != name:
        raise NotACheckpointError(f"{path}: these are not weights of the stem {name}.")
    try:
        stem.body.load_state_dict({key: value.float() for key, value in read_tensors(path).items()})
    except RuntimeError as error:
        raise NotACheckpointError(f"{path}: these weights do not fit the stem {name}.") from error
    return about.get("source", "an unnamed source")
