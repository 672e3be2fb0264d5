import numpy as np
import pytest
import torch

from companion.evals import cost
from companion.evals.cost import Step
from companion.sae import kernels
from companion.sae.models import TopK

PAPER = Step(B=131_072, d=768, n=32_768, k=32)


def total(parts: dict[str, int]) -> int:
    return sum(parts.values())


def test_the_published_sizes_give_the_published_numbers():
    assert total(PAPER.dense_flops()) == pytest.approx(3.30e13, rel=0.005)
    assert total(PAPER.sparse_flops()) == pytest.approx(6.62e12, rel=0.005)
    assert total(PAPER._replace(k_aux=256).sparse_flops()) == pytest.approx(6.83e12, rel=0.005)
    assert total(Step(4096, 128, 4096, 16).dense_flops()) / total(Step(4096, 128, 4096, 16).sparse_flops()) == pytest.approx(4.92, abs=0.01)


def test_parts_add_up_to_the_formulas():
    B, d, n, k, k_aux = 5, 7, 11, 3, 2
    step = Step(B, d, n, k, k_aux)
    assert total(step.dense_flops()) == 10 * B * d * n + 8 * B * d * n + 2 * n * d
    assert total(step.sparse_flops()) == 2 * B * d * n + 8 * B * d * (k + k_aux) + 2 * n * d
    assert step.dense_flops().keys() == step.sparse_flops().keys()


def test_compute_of_training_is_the_dense_count_of_its_steps():
    step = Step(B=64, d=7, n=11, k=3)
    wanted = 5 * (total(step.dense_flops()) - step.dense_flops()["dL/db_pre"])
    assert cost.training_flops(np.array([5 * 64]), 7, 11) == [wanted]


def test_bytes_of_the_paper_s_step():
    half = PAPER._replace(s=2)
    assert total(half.sparse_bytes(fused=False)) - total(half.sparse_bytes()) == pytest.approx(17.2e9, rel=0.005)
    assert PAPER.sparse_bytes()["Adam"] == pytest.approx(1.41e9, rel=0.005)


def test_gathers_are_counted_and_products_as_torch_counts_them():
    B, d, n, k = 6, 8, 32, 4
    values, indices, W = torch.randn(B, k), torch.randint(n, (B, k)), torch.randn(n, d)
    assert cost.counted_flops(lambda: kernels.weighted_gather(indices, values, W)) == 2 * B * k * d
    assert cost.counted_flops(lambda: torch.randn(3, 4) @ torch.randn(4, 5)) == 2 * 3 * 4 * 5
    by = kernels.ByLatent(indices, n)
    assert cost.counted_flops(lambda: kernels.transposed_gather(by, values, torch.randn(B, d))) == 2 * B * k * d
    assert cost.counted_flops(lambda: kernels.gathered_dot(indices, W, torch.randn(B, d))) == 2 * B * k * d


def test_a_whole_step_costs_what_the_formula_says():
    step = Step(B=256, d=192, n=512, k=4)
    sae = TopK.random(step.d, step.n, step.k, torch.Generator().manual_seed(0))
    x = torch.randn(step.B, step.d)
    more = 2 * step.B * (step.n + step.k)  # the bias as one more input, and the kept gradients summed up for its own
    assert cost.counted_flops(lambda: sae.terms(x).error.backward()) == total(step.sparse_flops()) + more


def test_peak_is_the_most_held_at_once_and_not_the_sum():
    def two_then_one():
        a, b = torch.ones(1000), torch.ones(1000)
        del a, b
        return torch.ones(1000)

    assert cost.peak_bytes(two_then_one) == pytest.approx(8000, rel=0.05)
    assert cost.peak_bytes(lambda: None) == 0


def test_calls_take_turns_and_the_first_round_is_dropped():
    order = []
    seconds = cost.by_turns({name: lambda name=name: order.append(name) for name in "ab"}, repeats=3)
    assert order == list("abababab")
    assert [len(taken) for taken in seconds.values()] == [3, 3]


def test_overlap_of_equal_disjoint_and_half_equal_selections():
    a = torch.tensor([[0, 1], [2, 3]])
    assert cost.overlap(a, a.flip(1)) == 1
    assert cost.overlap(a, a + 4) == 0
    assert cost.overlap(a, torch.tensor([[1, 9], [9, 2]])) == 0.5
