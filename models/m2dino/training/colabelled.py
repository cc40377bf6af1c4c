"""The network run on images for several tasks at once: its task-free half once for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from m2dino.network.heads import Output
from m2dino.network.model import M2Dino


class SharedForward(nn.Module):
    """A network as a module that answers several tasks in one call, as wrappers for several devices need it."""

    def __init__(self, net: M2Dino) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, task_ids: Iterable[str]) -> dict[str, Output]:
        """Predict tasks for uint8 images (B, 3, S, S)."""
        grid = (images.shape[-2] // 16, images.shape[-1] // 16)
        prefix = self.net.prefix(self.net.normalise(images))
        return {task_id: self.net.from_prefix(prefix, grid, task_id) for task_id in task_ids}
