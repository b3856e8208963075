"""The training's own Muon against torch's, and what it refuses."""

import pytest
import torch

from cookbook_utils.tiny.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(24, 64), (64, 24), (32, 32)])
def test_a_step_is_that_of_torch(shape):
    torch.manual_seed(0)
    start, grads = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    pair = [(ours, Muon([ours], lr=0.02, weight_decay=0.05)),
            (theirs, torch.optim.Muon([theirs], lr=0.02, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"))]  # fmt: skip
    for grad in grads:
        for p, optimizer in pair:
            p.grad = grad.clone()
            optimizer.step()
    moved, wanted = ours.detach() - start, theirs.detach() - start
    assert (moved - wanted).norm() < 0.02 * wanted.norm()  # torch computes in bfloat16


def test_singular_values_come_near_to_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(3, 20, 50)))
    assert values.min() > 0.5 and values.max() < 1.3


def test_matrices_of_one_shape_do_not_mix():
    torch.manual_seed(0)
    both = torch.randn(2, 16, 30)
    assert torch.allclose(orthogonalized(both)[1], orthogonalized(both[1:])[0], atol=1e-5)


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"params: expected matrices, got a parameter of shape \(5,\)"):
        Muon([torch.nn.Parameter(torch.zeros(5))])
