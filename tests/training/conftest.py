"""One thread: the rest of the machine may be busy."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
