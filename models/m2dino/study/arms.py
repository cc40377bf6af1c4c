"""The kinds of network that a study compares, by short names.

- `soft-4`: four experts, all of them mixed.
- `top2-4`: four experts, of which each token uses two.
- `dense-4`: the same matrices as soft-4 without a gate, that is one MLP as wide as four experts. It costs what soft-4
  costs and has as many parameters, but for the gate's; `dense-2` is to top2-4 what dense-4 is to soft-4.
"""

from __future__ import annotations

import re
from typing import Any

from m2dino.errors import UsageError
from m2dino.network.config import Architecture

DEFAULT_ARMS = ("soft-4", "dense-4", "top2-4", "dense-2", "soft-2", "soft-8")
_NAME = re.compile(r"(soft|dense|top([1-9]\d?))-([1-9]\d?)")


def arm_options(name: str) -> dict[str, Any]:
    """Return what an arm changes of an architecture.

    Raises
    ------
    UsageError
        There is no such arm.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"{name!r} is not a kind of network; there are soft-N, dense-N and topK-N, such as top2-4.")
    return {"num_experts": int(found[3]), "top_k": int(found[2] or 0), "routed": found[1] != "dense"}


def arm_architecture(base: Architecture, name: str) -> Architecture:
    """Return an architecture as an arm has it.

    Raises
    ------
    UsageError
        There is no such arm, such as one that uses more experts than it has.
    """
    return base.with_options(**arm_options(name))


def equal_compute(name: str) -> str:
    """Return the arm without a gate that costs what a mixture costs; a dense arm is its own."""
    options = arm_options(name)
    return f"dense-{options['top_k'] or options['num_experts']}"
