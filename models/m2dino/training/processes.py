"""One process or several that share each batch: Lightning Fabric carries devices, precision and processes.

Started by torchrun (`torchrun --nproc-per-node 2 -m m2dino train …`), each process takes a part of every batch. Losses
sum over the whole batch where they are no plain means, so that the gradient, the mean over the processes, is that of
one process with the whole batch.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Literal, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor

from m2dino.device import choose_device, has_bfloat16
from m2dino.errors import UsageError

Value = TypeVar("Value")


def make_fabric(device: str = "auto") -> Fabric:
    """Return a launched Fabric, with bfloat16 where the hardware has it: one device, or one a process of torchrun's."""
    chosen = choose_device(device)
    # It writes its choice of precision to stderr by a handler of its own.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed" if has_bfloat16(chosen) else "32-true"
    common: dict[str, Any] = {"accelerator": chosen.type, "precision": precision}
    if TorchElasticEnvironment.detect():
        local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        # Each step uses the heads of a few tasks only; no layer keeps running statistics.
        strategy = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
        fabric = Fabric(devices=local, num_nodes=world // local, strategy=strategy, **common)
    else:
        devices: list[int] | int = [chosen.index or 0] if chosen.type == "cuda" else 1
        fabric = Fabric(devices=devices, **common)
    fabric.launch()
    return fabric


def is_first() -> bool:
    """Whether this is the process that writes and prints; known before Fabric is launched."""
    return not TorchElasticEnvironment.detect() or os.environ["RANK"] == "0"


def part_of(batch_size: int, fabric: Fabric) -> slice:
    """Return which images of each batch this process takes.

    Raises
    ------
    UsageError
        The batch cannot be divided evenly.
    """
    world = fabric.world_size
    if batch_size % world:
        raise UsageError(f"A batch of {batch_size} cannot be shared by {world} processes; use a multiple of {world}.")
    each = batch_size // world
    return slice(fabric.global_rank * each, (fabric.global_rank + 1) * each)


def total(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, letting gradients through."""
    if not torch.distributed.is_initialized():
        return tensor
    from torch.distributed.nn.functional import all_reduce

    summed: Tensor = all_reduce(tensor)
    return summed


def mean(fabric: Fabric, values: Tensor) -> Tensor:
    """Mean of a tensor over all processes; the same in each, also where one has a NaN."""
    if fabric.world_size == 1:
        return values
    reduced = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(reduced, Tensor)
    return reduced


def from_first(fabric: Fabric, value: Value) -> Value:
    """Return the first process's value in every process."""
    if fabric.world_size == 1:
        return value
    shared: Value = fabric.broadcast(value)
    return shared
