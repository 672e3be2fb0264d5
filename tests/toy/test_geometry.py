"""Measures on shapes whose values are known exactly."""

import pytest
import torch

from companion.toy import geometry


@pytest.mark.parametrize("name", geometry.POLYTOPES)
def test_every_polytope_is_a_tight_frame_of_unit_vectors_with_dimensionality_d_over_k(name):
    corners = geometry.polytope(name)
    k, d = corners.shape
    torch.testing.assert_close(corners.norm(dim=1), torch.ones(k, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(corners.mT @ corners, k / d * torch.eye(d, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(geometry.dimensionality(1.3 * corners), torch.full((k,), d / k, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("dimensions", "name"), [(3, "tetrahedron"), (4, "5-cell")])
def test_simplices_have_cosines_minus_one_over_d(dimensions, name):
    gram = geometry.polytope(name) @ geometry.polytope(name).T
    expected = torch.full_like(gram, -1 / dimensions).fill_diagonal_(1)
    torch.testing.assert_close(gram, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("parts", "dimensionalities"),
    [
        (("digon",) * 3, [1 / 2] * 6),
        (("triangle", "digon"), [2 / 3] * 3 + [1 / 2] * 2),
        (("pentagon", "digon"), [2 / 5] * 5 + [1 / 2] * 2),
    ],
)
def test_tegum_products_split_into_their_factors(parts, dimensionalities):
    W = geometry.tegum(*parts)
    assert geometry.dimensionality(W).tolist() == pytest.approx(dimensionalities, abs=1e-12)
    assert [component.name for component in geometry.components(W)] == list(parts)
    assert geometry.leverage(W).tolist() == pytest.approx(dimensionalities, abs=1e-12)


def test_a_null_space_along_the_diagonal_makes_the_regular_simplex():
    Q = torch.linalg.qr(torch.cat([torch.ones(4, 1), torch.eye(4)[:, :3]], dim=1).double()).Q
    assert geometry.classify(Q[:, 1:]) == "tetrahedron"


def test_cube_and_antiprism_share_a_dimensionality_and_not_a_name():
    cube, antiprism = geometry.polytope("cube"), geometry.polytope("square antiprism")
    torch.testing.assert_close(geometry.dimensionality(cube), geometry.dimensionality(antiprism), atol=1e-12, rtol=0)
    assert (geometry.classify(cube), geometry.classify(antiprism)) == ("cube", "square antiprism")
    assert (antiprism @ antiprism.T)[0].sort().values[:2].tolist() == pytest.approx([-(2**0.5 + 1) / 3] * 2, abs=1e-12)


def test_five_uneven_directions_in_a_plane_are_no_pentagon():
    angle = torch.tensor([0.0, 0.4, 2.0, 3.0, 5.0])
    assert geometry.classify(torch.stack([angle.cos(), angle.sin()], dim=1)) == "other"


def test_dimensionality_is_bounded_by_leverage_which_sums_to_the_rank():
    W = torch.randn(7, 20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    D, score = geometry.dimensionality(W), geometry.leverage(W)
    assert bool((score - D > -1e-12).all())
    assert score.sum(1).tolist() == pytest.approx([6] * 7, abs=1e-10)
    W[..., 3:] = 0
    assert geometry.leverage(W).sum(1).tolist() == pytest.approx([3] * 7, abs=1e-10)


def test_dead_features_have_dimensionality_zero():
    W = torch.zeros(4, 2)
    W[0, 0], W[1, 0] = 1, -1
    assert geometry.dimensionality(W).tolist() == [0.5, 0.5, 0, 0]
    assert geometry.norms(W).tolist() == [1, 1, 0, 0]
    assert geometry.components(W) == [geometry.Component((0, 1), 1, "digon")]


def test_interference_is_what_dimensionality_shares():
    W = torch.randn(3, 8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own, interference = geometry.norms(W).square(), geometry.interference(W)
    torch.testing.assert_close(own / (own + interference), geometry.dimensionality(W))
    by_hand = sum((W[0, 2] @ W[0, j] / W[0, 2].norm()) ** 2 for j in range(8) if j != 2)
    assert interference[0, 2].item() == pytest.approx(by_hand.item())
    assert geometry.interference(torch.tensor([[0.05, 0], [1, 0]]), dead=0.1).tolist() == pytest.approx([0, 0.0025])


@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_upright_turns_one_vector_up_and_another_to_the_right(dimensions):
    for seed in range(4):  # each sign that a decomposition may give its axes
        W = torch.randn(6, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        turned = geometry.upright(W, W[0], W[2])
        torch.testing.assert_close(turned @ turned.T, W @ W.T)
        assert turned[0, :-1].abs().max() < 1e-12 < turned[0, -1]
        assert turned[2, 0] > 0
        torch.testing.assert_close(turned[2, 1:-1], torch.zeros(dimensions - 2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_dimensions_per_feature_of_orthogonal_and_antipodal_features():
    assert geometry.dimensions_per_feature(torch.eye(4)).item() == 1
    assert geometry.dimensions_per_feature(geometry.tegum("digon", "digon")).item() == pytest.approx(0.5)


def test_line_test_counts_on_and_beside():
    values = torch.tensor([0.5, 0.501, 0.499, 0.5125, 0.4875, 0.487, 0.9])
    assert geometry.line_test(values, 0.5) == geometry.LineTest(3, 1.5)


@pytest.mark.parametrize(
    "measure",
    [geometry.norms, geometry.dimensionality, geometry.leverage, geometry.dimensions_per_feature, geometry.components],
)
def test_weights_that_are_not_finite_are_refused(measure):
    with pytest.raises(ValueError, match="NaN or infinite"):
        measure(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]))


def test_shapes_and_names_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="one model"):
        geometry.components(torch.zeros(2, 3, 2))
    with pytest.raises(ValueError, match="not defined"):
        geometry.dimensions_per_feature(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="no polytope 'nonagon'"):
        geometry.polytope("nonagon")
    with pytest.raises(ValueError, match="hidden=1"):
        geometry.upright(torch.ones(2, 1), torch.ones(1), torch.ones(1))
