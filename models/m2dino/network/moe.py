"""Task-conditioned mixture of experts in place of a transformer block's MLP.

After M2DINO (arXiv 2603.18123): the gate of a token is a softmax over a learned projection of [token ; task
embedding], and the output is the gate-weighted sum of the experts. The soft mixture over all experts is the paper's as
far as known; top-k with renormalised weights is our option.
"""

from __future__ import annotations

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

GATE_STD = 0.02


class MoEMlp(nn.Module):
    """Experts of equal shape with one gate.

    All experts' weights lie in two matrices, so that the soft mixture costs two large products instead of many small
    ones: sum_e g_e (W2_e h_e + b2_e) = [W2_1 .. W2_E] [g_1 h_1 ; .. ; g_E h_E] + B2 g.

    Parameters
    ----------
    mlp : timm Mlp
        The MLP to replace; every expert starts as a copy of it.
    num_experts : int
    task_dim : int
        Length of the task embedding.
    top_k : int
        Experts used per token; 0 for all.
    routed : bool
        Without, every expert weighs the same: a dense MLP as wide as all of them, to compare with.
    """

    def __init__(self, mlp: nn.Module, num_experts: int, task_dim: int, top_k: int = 0, routed: bool = True) -> None:
        super().__init__()
        if not isinstance(mlp, Mlp) or not isinstance(mlp.norm, nn.Identity):
            raise TypeError(f"experts are made from a plain MLP, not {type(mlp).__name__}")
        assert mlp.fc1.bias is not None
        assert mlp.fc2.bias is not None
        hidden, dim = mlp.fc1.weight.shape
        self.dim, self.hidden, self.num_experts, self.top_k = dim, hidden, num_experts, top_k
        self.act = mlp.act
        self.fc1 = nn.Linear(dim, num_experts * hidden)
        self.fc2_weight = nn.Parameter(torch.empty(dim, num_experts * hidden))
        self.fc2_bias = nn.Parameter(torch.empty(dim, num_experts))
        self.gate_token = nn.Linear(dim, num_experts) if routed else None
        self.gate_task = nn.Linear(task_dim, num_experts, bias=False) if routed else None
        # Detached gates of the last call, (B, N, E), for reports on how a task uses the experts; None unless asked for.
        self.last_gates: Tensor | None = None
        self.keep_gates = False
        with torch.no_grad():
            self.fc1.weight.copy_(mlp.fc1.weight.repeat(num_experts, 1))
            self.fc1.bias.copy_(mlp.fc1.bias.repeat(num_experts))
            self.fc2_weight.copy_(mlp.fc2.weight.repeat(1, num_experts))
            self.fc2_bias.copy_(mlp.fc2.bias[:, None].expand(-1, num_experts))
            if self.gate_token is not None and self.gate_task is not None:
                nn.init.normal_(self.gate_token.weight, std=GATE_STD)
                nn.init.zeros_(self.gate_token.bias)
                nn.init.normal_(self.gate_task.weight, std=GATE_STD)

    @torch.no_grad()
    def reset_experts(self) -> None:
        """Draw every expert anew and apart, for training from random weights: equal copies would learn alike."""
        for rows in self.fc1.weight.split(self.hidden):
            nn.init.trunc_normal_(rows, std=0.02)
        for columns in self.fc2_weight.split(self.hidden, dim=1):
            nn.init.trunc_normal_(columns, std=0.02)
        nn.init.zeros_(self.fc1.bias)
        nn.init.zeros_(self.fc2_bias)

    def gates(self, x: Tensor, task: Tensor) -> Tensor:
        """Return the gates (B, N, E), each row summing to 1, of tokens (B, N, D) under a task embedding (task_dim,)."""
        if self.gate_token is None or self.gate_task is None:
            return x.new_full((*x.shape[:2], self.num_experts), 1 / self.num_experts, dtype=torch.float32)
        # The projection of [token ; task] is split in two: the task's part is the same for all tokens.
        logits: Tensor = self.gate_token(x) + self.gate_task(task)
        return logits.float().softmax(dim=-1)

    def forward(self, x: Tensor, task: Tensor, private: PrivateExpert | None = None) -> Tensor:
        """Mix the experts for tokens (B, N, D) under a task embedding (task_dim,); returns (B, N, D)."""
        gates = self.gates(x, task)
        if self.keep_gates:
            self.last_gates = gates.detach()
        sparse = 0 < self.top_k < self.num_experts
        out = self._sparse(x, gates) if sparse else self._soft(x, gates)
        return out if private is None else out + private(x, task)

    def _soft(self, x: Tensor, gates: Tensor) -> Tensor:
        hidden = self.act(self.fc1(x)).unflatten(-1, (self.num_experts, self.hidden))
        weighted = (hidden * gates.to(hidden.dtype).unsqueeze(-1)).flatten(-2)
        return F.linear(weighted, self.fc2_weight) + F.linear(gates.to(weighted.dtype), self.fc2_bias)

    def _sparse(self, x: Tensor, gates: Tensor) -> Tensor:
        tokens = x.flatten(0, 1)
        weights, chosen = gates.flatten(0, 1).topk(self.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        w1, b1 = self.fc1.weight.split(self.hidden), self.fc1.bias.split(self.hidden)
        w2 = self.fc2_weight.split(self.hidden, dim=1)
        step = rounding(len(tokens))
        out: Tensor | None = None
        for expert in range(self.num_experts):
            rows, slots = (chosen == expert).nonzero(as_tuple=True)
            share = weights[rows, slots]
            if spare := -len(rows) % step:
                # Any row will do: its share is 0.
                rows, share = F.pad(rows, (0, spare)), F.pad(share, (0, spare))
            hidden = self.act(F.linear(tokens[rows], w1[expert], b1[expert]))
            part = F.linear(hidden, w2[expert], self.fc2_bias[:, expert])
            part = part * share.to(part.dtype).unsqueeze(-1)
            if out is None:
                out = torch.zeros(tokens.shape, dtype=part.dtype, device=part.device)
            out = out.index_add(0, rows, part)
        assert out is not None
        return out.view_as(x)


def rounding(tokens: int) -> int:
    """Return what the number of an expert's tokens is rounded up to a multiple of, of so many tokens in all.

    On a CPU, oneDNN compiles code for every new shape of a product and keeps the newest thousand. Numbers that differ
    in every call would have it compile in every call, for longer than the products take; so few are let through.
    """
    return 16 * max(1, tokens // 256)


class PrivateExpert(nn.Module):
    """An expert that one task alone sees: added beside the mixture, so that every other task stays bit-identical.

    A bottleneck MLP behind its own sigmoid gate. Its last layer starts at zero: adding it changes nothing until it is
    trained.
    """

    def __init__(self, dim: int, task_dim: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, width)
        self.fc2 = nn.Linear(width, dim)
        self.gate_token = nn.Linear(dim, 1)
        self.gate_task = nn.Linear(task_dim, 1, bias=False)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)
        nn.init.zeros_(self.gate_token.weight)
        nn.init.zeros_(self.gate_token.bias)
        nn.init.zeros_(self.gate_task.weight)

    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate_token(x) + self.gate_task(task))
        out: Tensor = gate * self.fc2(F.gelu(self.fc1(x)))
        return out
