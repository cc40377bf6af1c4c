"""The dense decoder: four taps of the transformer and a convolutional detail branch become one map at stride 4.

Fusion of taps at several scales after DPT (Ranftl et al. 2021, arXiv 2103.13413), lighter. The detail branch is ours: a
ViT patch is 16 px wide, and a contour drawn by hand is finer than that.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def norm_act(channels: int) -> nn.Sequential:
    """Group norm and GELU: batches are small and of one task each, so batch statistics would be unsound."""
    return nn.Sequential(nn.GroupNorm(8 if channels % 8 == 0 else 1, channels), nn.GELU())


class DetailBranch(nn.Module):
    """Three convolutions from the image to stride 4. Task-free."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width // 2, 3, stride=2, padding=1),
            norm_act(width // 2),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            norm_act(width),
            nn.Conv2d(width, width, 3, padding=1),
            norm_act(width),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / 4, W / 4)."""
        out: Tensor = self.body(images)
        return out


class ResidualConv(nn.Module):
    """Depthwise and pointwise convolution on a shortcut: cheap enough for a CPU at stride 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            norm_act(width),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class Decoder(nn.Module):
    """Fuse taps, deepest first.

    Parameters
    ----------
    dim : int
        Channels of a tap.
    width : int
        Channels of the output.
    detail_widths : sequence of int
        Channels of the convolutional maps at stride 4, 8, 16 and 32, as many as there are.
    """

    def __init__(self, dim: int, width: int, detail_widths: Sequence[int]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(dim, width, 1) for _ in range(4))
        self.fuse = nn.ModuleList(ResidualConv(width) for _ in range(4))
        self.detail = nn.Conv2d(detail_widths[0], width, 1) if detail_widths else None
        self.middle = nn.Conv2d(detail_widths[1], width, 1) if len(detail_widths) > 1 else None
        self.deep = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in detail_widths[2:])
        self.out = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), norm_act(width))

    def forward(self, taps: Sequence[Tensor], detail: Sequence[Tensor] = ()) -> Tensor:
        """Four taps (B, dim, h, w) at stride 16, shallow to deep, and convolutional maps -> (B, width, 4 h, 4 w)."""
        return self.levels(taps, detail)[-1]

    def levels(self, taps: Sequence[Tensor], detail: Sequence[Tensor] = ()) -> list[Tensor]:
        """Return the maps on the way, (B, width, h, w) and (B, width, 2 h, 2 w), then what `forward` returns."""
        h, w = taps[0].shape[-2:]
        # The two deeper taps fuse at stride 16, the third at 8, the shallowest at 4.
        sizes = [(4 * h, 4 * w), (2 * h, 2 * w), (h, w), (h, w)]
        x: Tensor | None = None
        found: list[Tensor] = []
        for tap, reduce, fuse, size in zip(
            reversed(taps), reversed(self.reduce), reversed(self.fuse), reversed(sizes), strict=True
        ):
            here = reduce(tap)
            if here.shape[-2:] != size:
                here = F.interpolate(here, size=size, mode="bilinear", align_corners=False)
            if x is None:
                x = here
                for lateral, deep in zip(self.deep, detail[2:], strict=True):
                    x = x + F.interpolate(lateral(deep), size=size, mode="bilinear", align_corners=False)
            else:
                if x.shape[-2:] != size:
                    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
                x = x + here
            if self.detail is not None and detail and size == sizes[0]:
                x = x + self.detail(detail[0])
            if self.middle is not None and len(detail) > 1 and size == sizes[1]:
                x = x + self.middle(detail[1])
            x = fuse(x)
            found.append(x)
        assert x is not None
        return [*found[1:3], self.out(x)]
