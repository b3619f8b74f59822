"""Perturbations stay in their sets and do increase the loss."""

from __future__ import annotations

import pytest
import torch

from certify.interventions.ascent import L2Ball, ascend, linf_ball


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(1)


Z = torch.rand((20, 2, 3), generator=chance())


@pytest.mark.parametrize("steps", [0, 1, 8])
def test_an_l2_perturbation_stays_in_the_ball_and_the_range(steps: int) -> None:
    aim = torch.randn(Z.shape, generator=torch.Generator().manual_seed(2))
    d = ascend(lambda d: (d * aim).flatten(1).sum(1), L2Ball(Z, 0.4, 0.0, 1.0), steps, chance())
    assert float(d.flatten(1).norm(dim=1).max()) <= 0.4 + 1e-6
    assert float((Z + d).min()) >= 0.0
    assert float((Z + d).max()) <= 1.0


@pytest.mark.parametrize("steps", [0, 1, 8])
def test_an_linf_perturbation_stays_in_the_box_and_the_range(steps: int) -> None:
    aim = torch.randn(Z.shape, generator=torch.Generator().manual_seed(2))
    d = ascend(lambda d: (d * aim).flatten(1).sum(1), linf_ball(Z, 0.3, 0.0, 1.0), steps, chance())
    assert float(d.abs().max()) <= 0.3 + 1e-6
    assert float((Z + d).min()) >= -1e-6
    assert float((Z + d).max()) <= 1.0 + 1e-6


def test_the_worst_perturbation_of_a_linear_loss_is_found() -> None:
    aim = torch.randn(Z.shape, generator=torch.Generator().manual_seed(2))
    loss = lambda d: (d * aim).flatten(1).sum(1)  # noqa: E731
    far = L2Ball(Z, 0.4, -9.0, 9.0)
    best = 0.4 * aim.flatten(1).norm(dim=1)
    start, end = (loss(ascend(loss, far, steps, chance())) / best for steps in (0, 20))
    # Steps add up to the radius, so that a start on the far side ends short of the best.
    assert (end > start + 0.2).all()
    assert float(end.mean()) > 0.8
    box = linf_ball(Z, 0.3, -9.0, 9.0)
    torch.testing.assert_close(loss(ascend(loss, box, 8, chance())), 0.3 * aim.abs().flatten(1).sum(1))
