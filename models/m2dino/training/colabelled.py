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


class DeepForward(nn.Module):
    """The same with what the heads say of the decoder's coarser maps, which can be learnt from as well.

    Deep supervision (Lee et al. 2015, arXiv 1409.5185) without parameters of its own: the task's head reads all maps.
    """

    def __init__(self, net: M2Dino, coarser: bool) -> None:
        super().__init__()
        self.net, self.coarser = net, coarser

    def forward(self, images: Tensor, task_ids: Iterable[str]) -> dict[str, list[Output]]:
        """Predict tasks for uint8 images (B, 3, S, S): each coarse to fine, the last is the network's answer."""
        grid = (images.shape[-2] // 16, images.shape[-1] // 16)
        prefix = self.net.prefix(self.net.normalise(images))
        if not self.coarser:
            return {task_id: [self.net.from_prefix(prefix, grid, task_id)] for task_id in task_ids}
        return {
            task_id: self.net.answers(self.net.encode(prefix, grid, task_id), grid, task_id, coarser=True)
            for task_id in task_ids
        }
