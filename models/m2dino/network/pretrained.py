"""The plain ViT that a network starts from: random, timm's download, or a file of DINOv3 weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import timm
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.eva import Eva

from m2dino.errors import CheckpointError, NotACheckpointError

DINOV3_LICENCE = (
    "DINOv3 License (derived from Meta's DINOv3 weights); "
    "https://ai.meta.com/resources/models-and-libraries/dinov3-license/"
)


def make_vit(name: str, pretrained: bool = False, weights: Path | None = None) -> Eva:
    """Return the ViT that timm calls `name`, without a classifier.

    Parameters
    ----------
    name : str
    pretrained : bool
        Fetch timm's weights for it, where they are not in timm's cache.
    weights : Path, optional
        A safetensors file of weights, in timm's or in Meta's layout, instead.

    Raises
    ------
    NotACheckpointError
        The file is not there, not safetensors, or holds the weights of another network.
    CheckpointError
        The weights cannot be fetched.
    """
    if weights is not None:
        return _from_file(name, weights)
    # From random weights a layer scale of 1e-5 would hold every block at the identity for long: start at 0.1.
    options: dict[str, Any] = {"pretrained": True} if pretrained else {"init_values": 0.1}
    try:
        return _checked(timm.create_model(name, num_classes=0, **options), name)
    except (OSError, HfHubHTTPError) as error:
        raise CheckpointError(
            f"The weights of {name} cannot be fetched: without a connection, give a file of them with --weights."
        ) from error


def _from_file(name: str, weights: Path) -> Eva:
    if not weights.is_file():
        raise NotACheckpointError(f"{weights}: there is no such file of weights.")
    try:
        # Read here rather than by timm, which would unpickle a file of another kind.
        state = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise NotACheckpointError(f"{weights}: not a safetensors file, or cut short ({error}).") from error
    try:
        vit = timm.create_model(name, num_classes=0, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    except (RuntimeError, KeyError, AttributeError) as error:
        raise NotACheckpointError(
            f"{weights}: these are not weights of {name}; choose another file or preset."
        ) from error
    vit = _checked(vit, name)
    # timm keeps the overlay with the model: a second copy of every weight.
    cast("dict[str, Any]", vit.pretrained_cfg).pop("state_dict", None)
    return vit


def _checked(vit: object, name: str) -> Eva:
    if not isinstance(vit, Eva):
        raise TypeError(f"{name} is not a DINOv3 ViT of timm")
    return vit


def weights_licence(name: str) -> str:
    """Return the licence that what is trained from timm's weights for `name` comes under."""
    known = timm.get_pretrained_cfg(name)
    licence = known.license if known is not None else None
    if licence == "dinov3-license":
        return DINOV3_LICENCE
    return f"that of the weights it started from: {licence or 'see timm'} ({known.hf_hub_id if known else name})"
