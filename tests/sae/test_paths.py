"""What a model computes with: gradients of every output against dense autograd, and who chooses the kernels."""

import logging

import pytest
import torch

from companion.sae import kernels, paths

N, D, K, B = 96, 7, 4, 33


def _inputs(generator):
    shapes = ((B, D), (N, D), (N,), (D,), (N, D))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def _run(kept_values, decode, inputs):
    """Both outputs of the pair of kernels: the kept values and the reconstruction without bias."""
    x, W_enc, b_enc, b_pre, W_dec = inputs
    values, indices = kernels.select(x - b_pre, W_enc, b_enc, K)
    by = kernels.ByLatent(indices, N)
    kept = kept_values(x, W_enc, b_enc, b_pre, by, values)
    return kept, decode(W_dec, kept, by)


FAST, REFERENCE = (paths.kept_values, paths.decode), (paths.kept_values_reference, paths.decode_reference)


@pytest.mark.parametrize("output", ["values", "reconstruction", "both"])
def test_gradients_of_every_output_are_those_of_dense_autograd(output, generator):
    inputs = _inputs(generator)
    weights = [torch.randn(B, K, generator=generator, dtype=torch.float64), torch.randn(B, D, generator=generator, dtype=torch.float64)]
    if output != "both":
        weights[["values", "reconstruction"].index(output) - 1].zero_()
    gradients = []
    for form in (FAST, REFERENCE):
        outputs = _run(*form, inputs)
        gradients.append(torch.autograd.grad([(o * w).sum() for o, w in zip(outputs, weights, strict=True)], inputs))
    for fast, plain, name in zip(*gradients, ("x", "W_enc", "b_enc", "b_pre", "W_dec"), strict=True):
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10, msg=name)
        assert (name, output) == ("W_dec", "values") or plain.abs().max() > 0  # a gradient that is lost would agree with nothing


def test_gradient_of_a_kept_but_negative_value_is_zero():
    x, W = torch.ones(1, 2, dtype=torch.float64), torch.full((3, 2), -1.0, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    values, indices = kernels.select(x, W, zeros[0], 2)
    kept = paths.kept_values(x, W, *zeros, kernels.ByLatent(indices, 3), values)
    kept.sum().backward()
    assert (kept == 0).all()
    assert (W.grad == 0).all()


# --- the choice --------------------------------------------------------------------------------------------------


def wrong(name, form):
    """EXACT with one form that is wrong."""
    return paths.EXACT._replace(**{name: form})


def shifted(select):
    """The k entries after the largest one."""

    def chosen(x, W, b, k):
        values, indices = select(x, W, b, k + 1)
        order = values.argsort(dim=1, descending=True)[:, 1:]
        return values.gather(1, order), indices.gather(1, order)

    return chosen


def forgetful(by, values, x):
    """The last pair of a row counts for nothing."""
    return kernels.transposed_gather(by, values.index_fill(1, torch.tensor([values.shape[1] - 1]), 0.0), x)


BROKEN = {
    "selection leaves out": wrong("select", shifted(kernels.select)),
    "selection off by": wrong("select", lambda *a: (kernels.select(*a)[0] * 1.01, kernels.select(*a)[1])),
    "reconstruction off by": wrong("weighted_gather", lambda *a: 1.01 * kernels.weighted_gather(*a)),
    "gradient of x off by": wrong("gathered_dot", lambda *a: -kernels.gathered_dot(*a)),
    "gradient of W_enc off by": wrong("transposed_gather", forgetful),
    "kept values off by nan": wrong("select", lambda *a: (kernels.select(*a)[0] * torch.nan, kernels.select(*a)[1])),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_path_that_is_wrong_anywhere_has_a_fault(why):
    assert why in paths.fault(BROKEN[why], "cpu")


@pytest.mark.parametrize(("path", "slack"), [(paths.EXACT, paths.TOLERANCE), (paths.REFERENCE, paths.TOLERANCE), (paths.LOW, paths.LOW_SLACK)])
def test_a_right_path_has_none(path, slack):
    assert paths.fault(path, "cpu", slack) is None


def does_not_compile():
    raise RuntimeError("PassManager::run failed\nand many more lines")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (does_not_compile, "not used on cpu, the exact path is: RuntimeError: PassManager::run failed"),
        (lambda: BROKEN["gradient of x off by"], "gradient of x off by"),
    ],
    ids=["does not compile", "wrong"],
)
def test_a_path_that_fails_its_check_gives_way_to_the_exact_one_with_one_line(make, why, caplog):
    with caplog.at_level(logging.WARNING):
        assert [paths.checked(make, torch.device("cpu")) for _ in range(3)] == [paths.EXACT] * 3
    (line,) = caplog.messages
    assert why in line
    assert "\n" not in line


def test_a_path_is_checked_once_per_device_and_taken_if_it_passes(caplog, monkeypatch):
    ran, fault = [], paths.fault
    monkeypatch.setattr(paths, "fault", lambda *a: ran.append(1) or fault(*a))
    right = paths.EXACT._replace(select=lambda *a: kernels.select(*a))
    assert all(paths.checked(make, torch.device("cpu")) is right for make in [lambda: right] * 3)
    assert len(ran) == 1
    assert not caplog.messages


def test_a_cpu_gets_the_exact_path_and_low_precision_only_by_name():
    assert paths.recommended("cpu") is paths.EXACT
    assert paths.low("cpu") is paths.LOW


def test_a_gpu_gets_its_kernels_after_their_check(monkeypatch):
    asked = []
    monkeypatch.setattr(paths, "checked", lambda *a: asked.append(a) or paths.REFERENCE)
    assert paths.recommended("cuda:1") is paths.low("cuda:1") is paths.REFERENCE
    assert [(make, device.index) for make, device, *_ in asked] == [(paths._triton, 1), (paths._triton_low, 1)]
