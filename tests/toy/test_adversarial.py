"""The fast loss under attack against trying every attack on every sample, the mean norm against samples, and what constructed models lose."""

import pytest
import torch

from companion.toy import adversarial, data, geometry, model, theory, train

F64 = torch.float64


def case(models: int = 2, n: int = 7, m: int = 3, batch: int = 200):
    stream = torch.Generator().manual_seed(0)
    W = 0.6 * torch.randn(models, n, m, generator=stream, dtype=F64)
    b = 0.2 * torch.randn(models, n, generator=stream, dtype=F64)
    density = torch.linspace(0.2, 0.8, models, dtype=F64)
    return W, b, data.plain(data.draw(n, batch, stream), density).double(), density


def brute_force(W, b, x, delta, eps):
    """Every attack on every sample, (I, A)."""
    each = [(model.forward(W, b, x + (eps[:, None] * delta[:, a])[:, None]) - x).square().sum(-1) for a in range(delta.shape[1])]
    return torch.stack(each, dim=1).mean(-1)


def test_fast_form_equals_every_attack_on_every_sample():
    W, b, x, _ = case()
    delta, eps = adversarial.attacks(W), torch.tensor([0.1, 0.7], dtype=F64)
    attacked = adversarial.losses(W, b, x, delta, eps)
    torch.testing.assert_close(attacked.loss, brute_force(W, b, x, delta, eps), atol=1e-12, rtol=0)
    torch.testing.assert_close(attacked.clean, model.loss(W, b, x), atol=1e-12, rtol=0)


def test_a_sample_exactly_at_the_relu_s_corner():
    W, b = torch.eye(2, dtype=F64)[None], torch.zeros(1, 2, dtype=F64)
    x, delta, eps = torch.zeros(1, 3, 2, dtype=F64), adversarial.attacks(W), torch.tensor([0.5], dtype=F64)
    attacked = adversarial.losses(W, b, x, delta, eps)
    assert attacked.loss[0].tolist() == pytest.approx([0.25, 0.25, 0, 0])
    assert attacked.clean.item() == 0


def test_sampled_losses_are_those_of_plain_samples():
    W, b, _, density = case(n=4)
    delta, eps = adversarial.attacks(W), torch.tensor([0.2, 0.4], dtype=F64)
    fast = adversarial.sampled_losses(W, b, density, delta, eps, torch.Generator().manual_seed(1), 200_000)
    x = data.plain(data.draw(4, 200_000, torch.Generator().manual_seed(2)), density).double()
    plain = adversarial.losses(W, b, x, delta, eps)
    torch.testing.assert_close(fast.loss, plain.loss, atol=0, rtol=0.02)
    torch.testing.assert_close(fast.clean, plain.clean, atol=0, rtol=0.02)


def test_attacks_are_unit_vectors_along_the_rows_of_M():
    W = torch.tensor([[[2.0], [-1.0], [0.0]]], dtype=F64)
    delta = adversarial.attacks(W)
    assert delta.shape == (1, 6, 3)
    torch.testing.assert_close(delta[0, :2], torch.tensor([[2.0, -1, 0], [-2, 1, 0]], dtype=F64) / 5**0.5)
    assert bool((delta[0, 2] == 0).all())
    torch.testing.assert_close(delta[0, 3:], -delta[0, :3])


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize(("features", "p"), [(1, 1.0), (5, 0.05), (40, 0.3)])
def test_mean_norm_is_that_of_samples(features, p, active):
    x = data.plain(data.draw(features, 100_000, torch.Generator().manual_seed(0)), torch.tensor([p]))[0]
    norm = x.norm(dim=-1)
    norm = norm[norm > 0] if active else norm
    exact = adversarial.mean_norm(features, torch.tensor([p]), active=active).item()
    assert abs(exact - norm.mean().item()) < 4 * norm.std().item() / len(norm) ** 0.5


@pytest.mark.parametrize(("active", "mean"), [(False, 0.15), (True, 0.5)])
def test_mean_norm_of_one_feature_is_its_mean(active, mean):
    assert adversarial.mean_norm(1, torch.tensor([0.3], dtype=F64), active=active).item() == pytest.approx(mean, abs=1e-9)


def test_a_model_without_superposition_has_vulnerability_one():
    density, eps = torch.tensor([0.05, 0.5, 1.0], dtype=F64), torch.tensor([0.02, 0.1, 0.6], dtype=F64)
    W, b = adversarial.orthogonal(8, 3, density)
    attacked = adversarial.sampled_losses(W, b, density, adversarial.attacks(W), eps, torch.Generator().manual_seed(0), 500)
    torch.testing.assert_close(attacked.vulnerability(eps), torch.ones(3, dtype=F64), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("name", "vulnerability"), [("dedicated", 1), ("digon", 2), ("triangle", 1.5), ("pentagon", 3.2725)])
def test_vulnerability_of_unbiased_polytopes(name, vulnerability):
    vectors = geometry.polytope(name)[None]
    x, eps = torch.zeros(1, 1, vectors.shape[1], dtype=F64), torch.tensor([0.1], dtype=F64)
    measured = adversarial.losses(vectors, x[:, 0], x, adversarial.attacks(vectors), eps).vulnerability(eps).item()
    assert theory.tight_vulnerability(name) == pytest.approx(measured, abs=1e-9) == pytest.approx(vulnerability, abs=1e-3)


def test_robust_loss_takes_the_worse_sign_of_the_chosen_row_and_its_gradient_holds_the_attack_constant():
    W, b, x, _ = case()
    eps, chosen = torch.tensor([0.3, 0.2], dtype=F64), torch.nn.functional.one_hot(torch.arange(200) % 7, 7).double().expand(2, -1, -1)
    rows = eps[:, None, None] * adversarial.attacks(W)[:, :7][:, torch.arange(200) % 7]
    W.requires_grad_()
    expected = torch.maximum(*((model.forward(W, b, x + sign * rows) - x).square().sum(-1) for sign in (1, -1))).mean(-1)
    ours = adversarial.robust_loss(W, b, x, eps, chosen)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), W), torch.autograd.grad(expected.sum(), W))
    torch.testing.assert_close(adversarial.robust_loss(W, b, x, 0 * eps, chosen), model.loss(W, b, x))


def test_only_represented_features_are_attacked_and_each_as_often():
    W = torch.tensor([[[1.0], [0.1], [0.8], [0.2]], [[0.01], [0.0], [0.0], [0.0]]])
    u = torch.linspace(0, 0.999, 1000).expand(2, -1)
    share = adversarial._one_represented(W, u).mean(1)
    torch.testing.assert_close(share, torch.tensor([[0.5, 0, 0.5, 0], [1.0, 0, 0, 0]]), atol=2e-3, rtol=0)


def test_training_with_attacks_of_no_length_is_training():
    def fit(steps: int, *eps: float):
        schedule = train.Schedule(steps, batch=64, rate=0.02)
        return adversarial.fit(model.Config(6, 2), 0.1, torch.tensor(eps), [torch.Generator().manual_seed(0)], schedule)

    W, b = fit(3, 0.0, 0.5)
    assert b.shape == (2, 6)
    torch.testing.assert_close(W[:1], fit(3, 0.0)[0], atol=1e-5, rtol=0)
    features = 1 / geometry.dimensions_per_feature(fit(150, 0.0, 0.5)[0])
    assert features[1] < features[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adversarial.mean_norm(0, torch.tensor([0.1])), "features=0"),
        (lambda: adversarial.mean_norm(3, torch.tensor([0.0])), "density"),
        (lambda: adversarial.attacks(torch.tensor([[[float("nan")]]])), "NaN"),
        (lambda: adversarial.losses(*(torch.ones(1, 2, 1), torch.ones(1, 2), torch.ones(1, 3, 2), torch.ones(1, 1, 2), torch.zeros(1))), "positive"),
        (lambda: theory.tight_vulnerability("blob"), "blob"),
        (lambda: adversarial.fit(model.Config(2, 1), 0.1, torch.tensor([0.1]), [torch.Generator()], train.Schedule(50, 8, 1e30)), "diverged"),
        (lambda: adversarial.fit(model.Config(2, 1), 0.1, torch.tensor([-0.1]), [torch.Generator()], train.Schedule(1, 1, 0.1)), "negative"),
        (lambda: adversarial.fit(model.Config(2, 1), 0.1, torch.tensor([0.1]), [], train.Schedule(1, 1, 0.1)), "stream"),
        (lambda: adversarial.fit(model.Config(2, 1), 1.5, torch.tensor([0.1]), [torch.Generator()], train.Schedule(1, 1, 0.1)), "density"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
