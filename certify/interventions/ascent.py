"""The inner loop of adversarial training: a perturbation, inside a set, that makes a loss large."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class PerturbationSet(ABC):
    """Perturbations that are allowed for each sample of a batch, [batch, *shape]."""

    @abstractmethod
    def start(self, chance: torch.Generator) -> Tensor:
        """Random ones."""

    @abstractmethod
    def step(self, gradient: Tensor, steps: int) -> Tensor:
        """How far to go along this gradient, where the whole way is made in so many steps."""

    @abstractmethod
    def project(self, d: Tensor) -> Tensor:
        """The nearest that is allowed."""


@dataclass(frozen=True)
class L2Ball(PerturbationSet):
    """Perturbations of z that are as long as `eps` at most, taken over the whole flattened sample, and leave z + d
    between `low` and `high`. As Casper et al. do it (arXiv 2403.05030): steps of eps / steps.
    """

    z: Tensor
    eps: float
    low: float
    high: float

    def start(self, chance: torch.Generator) -> Tensor:
        """A random direction of random length."""
        d = torch.randn(self.z.shape, generator=chance, dtype=self.z.dtype)
        length = self.eps * torch.rand(len(d), generator=chance, dtype=d.dtype)
        return self.project(_unit(d) * _along(length, d))

    def step(self, gradient: Tensor, steps: int) -> Tensor:
        """Along the gradient divided by its length."""
        return _unit(gradient) * (self.eps / steps)

    def project(self, d: Tensor) -> Tensor:
        """Shortened, then clamped."""
        length = _lengths(d)
        d = d * _along(torch.clamp(self.eps / length.clamp(min=1e-12), max=1.0), d)
        return (self.z + d).clamp(self.low, self.high) - self.z


@dataclass(frozen=True)
class Box(PerturbationSet):
    """Perturbations that leave z + d between `low` and `high`, elementwise. Steps are signed (Madry et al. 2018)."""

    z: Tensor
    low: Tensor
    high: Tensor

    def start(self, chance: torch.Generator) -> Tensor:
        """Uniform ones."""
        share = torch.rand(self.z.shape, generator=chance, dtype=self.z.dtype)
        return self.low + share * (self.high - self.low) - self.z

    def step(self, gradient: Tensor, steps: int) -> Tensor:
        """2.5 times the way from the middle to a side, in so many steps."""
        return gradient.sign() * (self.high - self.low) * (1.25 / steps)

    def project(self, d: Tensor) -> Tensor:
        """Clamped."""
        return torch.minimum(torch.maximum(self.z + d, self.low), self.high) - self.z


def linf_ball(z: Tensor, eps: float, low: float, high: float) -> Box:
    """Perturbations of at most `eps` in every element that leave z + d between `low` and `high`."""
    return Box(z, (z - eps).clamp(low, high), (z + eps).clamp(low, high))


def ascend(
    loss: Callable[[Tensor], Tensor], allowed: PerturbationSet, steps: int, chance: torch.Generator
) -> Tensor:  # fmt: skip
    """Perturbations [batch, *shape], without gradient, that make the losses [batch] of them large; random for 0 steps.

    After each step the perturbation is projected. The gradient is taken sample by sample.
    """
    d = allowed.start(chance)
    for _ in range(steps):
        d = d.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(d).sum(), d)
        d = allowed.project(d.detach() + allowed.step(gradient, steps))
    return d.detach()


def _lengths(d: Tensor) -> Tensor:
    return d.reshape(len(d), -1).norm(dim=1)


def _along(numbers: Tensor, like: Tensor) -> Tensor:
    """One number a sample, shaped to multiply tensors like this."""
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def _unit(d: Tensor) -> Tensor:
    return d / _along(_lengths(d).clamp(min=1e-12), d)
