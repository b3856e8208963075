"""Muon in float32 and in stacks: torch's own computes in bfloat16, which a processor without such instructions emulates.

There it takes more time than the rest of the training's step. Here matrices of one shape are orthogonalised together, in
float32 on a CPU and in bfloat16 on a GPU. The update is that of `torch.optim.Muon` with Nesterov momentum and
`adjust_lr_fn="match_rms_adamw"`; the tests hold it against that.

Sources: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), for the iteration and its
coefficients; J. Liu et al., "Muon is scalable for LLM training" (2025), for the scale of the update.
"""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices `(B, rows, columns)` with their singular values brought near to 1 by a quintic Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT  # (B, rows, rows)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for 2D parameters.

    lr is scaled by 0.2 sqrt(max(rows, columns)), so that a step is about as large as one of AdamW with the same lr.
    Raises ValueError for a parameter that is no matrix.
    """

    def __init__(self, params, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.ndim != 2:
                raise ValueError(f"params: expected matrices, got a parameter of shape {tuple(p.shape)}")

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes: dict[tuple, list[Tensor]] = {}
            for p in (p for p in group["params"] if p.grad is not None):
                shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                directions = orthogonalized(torch.stack([self._momentum(p, group["momentum"]) for p in params]))
                for p, direction in zip(params, directions, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(direction, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        """The gradient after Nesterov momentum."""
        state = self.state[p]
        buffer = state.setdefault("momentum_buffer", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)
