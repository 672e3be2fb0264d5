"""N2G on latents whose rules are known, step by step and as a whole, and what its explanations are worth."""

from types import SimpleNamespace

import pytest
import torch

from companion.evals import explanations, n2g
from companion.evals.n2g import ANY, Pattern, Settings, Trie
from companion.lm.labels import ContextLabels
from companion.sae.models import Code, TopK
from companion.sae.weights import Raw

A, B, C, PAD = 0, 1, 2, 8
"""Of 8 tokens; the padding is none of them."""
SETTINGS = Settings(padding=PAD, examples=10_000)


def text(contexts, length, seed=0):
    return torch.randint(8, (contexts, length), generator=stream(seed))


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def back(tokens, steps):
    """The token so many steps before each, -1 before the text."""
    return torch.cat([torch.full_like(tokens[:, :steps], -1), tokens[:, : tokens.shape[1] - steps]], dim=1)[:, : tokens.shape[1]]


def within(tokens, steps):
    return torch.stack([back(tokens, step) == B for step in range(1, steps + 1)]).any(dim=0)


def hashed(tokens):
    """At random on a tenth of the tokens, but the same for the same text: a hash of all that was read."""
    state, out = torch.zeros(len(tokens), dtype=torch.long), []
    for column in tokens.T:
        state = (state * 6364136223846793005 + (column + 1) * 1442695040888963407) ^ (state >> 29)
        out.append((state >> 33) % 10 == 0)
    return torch.stack(out, dim=1)


# Texts of 8 tokens: a run of all of them begins where they begin.
RULES = {
    "a": (lambda tokens: tokens == A, {((A,), False)}),
    "a after b": (lambda tokens: (tokens == A) & (back(tokens, 1) == B), {((B, A), False)}),
    "a two after b": (lambda tokens: (tokens == A) & (back(tokens, 2) == B), {((B, ANY, A), False)}),
    "a when b within 5": (lambda tokens: (tokens == A) & within(tokens, 5), {((B, *[ANY] * gap, A), False) for gap in range(5)}),
    "a anywhere after b": (lambda tokens: (tokens == A) & within(tokens, 7), {((B, *[ANY] * gap, A), gap == 6) for gap in range(7)}),
    "start": (lambda tokens: torch.arange(tokens.shape[1]).expand_as(tokens) == 0, {((ANY,), True)}),
    "second if a": (lambda tokens: (torch.arange(tokens.shape[1]) == 1) & (tokens == A), {((ANY, A), True)}),
}


def latents(*rules):
    return lambda tokens: torch.stack([rule(tokens) for rule in rules], dim=-1).float()


def explained(activations, tokens, settings=SETTINGS):
    return n2g.explain(activations, tokens, n2g.firings(activations, tokens), settings, stream())


# --- the whole ---


def test_each_known_rule_is_found_exactly_and_holds_on_other_text():
    activations, train, heldout = latents(*(rule for rule, _ in RULES.values())), text(3000, 8), text(500, 8, seed=1)
    tries = explained(activations, train)
    for trie, (name, (_, patterns)) in zip(tries, RULES.items(), strict=True):
        assert {(pattern.tokens, pattern.anchored) for pattern in trie.patterns} == patterns, name
    found = explanations.score(tries, heldout, n2g.firings(activations, heldout))
    for scores in found[:3]:
        assert torch.equal(scores, torch.ones(len(RULES), dtype=torch.float64))
    assert explanations.simulation(tries, torch.ones(len(RULES)))(heldout).equal(activations(heldout))


def test_sixteen_examples_are_enough_for_a_rule_of_one_pattern():
    (trie,) = explained(latents(RULES["a after b"][0]), text(500, 12), Settings(padding=PAD))
    assert len(trie.patterns) == 16
    assert {pattern.tokens for pattern in trie.patterns} == {(B, A)}


def told_apart(tokens, first):
    """With a first token that no other context has: else a latent of the whole text could be learnt by heart near the start."""
    return torch.cat([torch.arange(first, first + len(tokens))[:, None], tokens], dim=1)


@pytest.mark.parametrize("examples", [16, 500])
def test_a_random_latent_is_predicted_no_better_than_by_chance(examples):
    activations, train, heldout = latents(hashed), told_apart(text(400, 24), 100), told_apart(text(400, 24, seed=1), 1000)
    tries = explained(activations, train, Settings(padding=PAD, examples=examples))
    found = explanations.score(tries, heldout, n2g.firings(activations, heldout))
    assert found.chance.item() == pytest.approx(2 * 0.1 / 1.1, abs=0.02)
    assert found.f1.item() < found.chance.item() + 0.02
    assert found.precision.item() == pytest.approx(0.1, abs=0.03) or found.recall.item() < 0.01


def test_examples_are_random_and_of_every_latent():
    activations, tokens = latents(lambda tokens: tokens == A, lambda tokens: tokens == B, lambda tokens: tokens > 8), text(50, 10)
    fired = n2g.firings(activations, tokens)
    drawn = [n2g._drawn(fired, 5, stream(seed)) for seed in range(2)]
    assert all(each.counts.tolist() == [5, 5, 0] for each in drawn)
    assert not torch.equal(drawn[0].context, drawn[1].context)
    for each in drawn:
        assert torch.equal(tokens[each.context, each.position], each.latent)


# --- step by step, on one example worked by hand ---


def graded(tokens):
    """On a: .3, and .3 more after b, .4 more two after c."""
    return ((tokens == A) * (0.3 + 0.3 * (back(tokens, 1) == B) + 0.4 * (back(tokens, 2) == C)))[..., None]


TEXT = torch.tensor([[5, C, B, A]])


@pytest.mark.parametrize(
    ("share", "longest", "length", "value"), [(0.5, None, 2, 0.6), (0.3, None, 1, 0.3), (0.9, None, 3, 1), (0.9, 2, 0, 1), (0.5, 2, 2, 0.6)]
)
def test_the_shortest_run_that_keeps_the_share(share, longest, length, value):
    lengths, values = n2g.shortest(graded, TEXT, n2g.firings(graded, TEXT), Settings(PAD, share=share - 1e-6, longest=longest))
    assert lengths.tolist() == [length]
    assert values.tolist() == pytest.approx([value])


def test_an_example_that_needs_more_than_the_longest_run_makes_no_pattern():
    (trie,) = explained(graded, TEXT, Settings(PAD, share=0.9, longest=2))
    assert trie.patterns == ()
    assert trie.predict(TEXT).eq(0).all()


def test_the_whole_text_keeps_the_activation_by_definition():
    """Also where it does not, as with rounding or an activation that depends on the batch."""
    fired = n2g.firings(lambda tokens: torch.ones(*tokens.shape, 1), TEXT)
    lengths, values = n2g.shortest(lambda tokens: torch.zeros(*tokens.shape, 1), TEXT, fired, Settings(PAD))
    assert lengths.tolist() == [1, 2, 3, 4]
    assert values.tolist() == [1, 1, 1, 1]


def test_what_padding_in_front_must_keep_is_a_share_of_the_activation_in_the_text():
    """Activations by position .45 of 1 at 1, .8 at 2: the run of one token has 1 at the start and .45 after the padding."""
    by_position = lambda tokens: torch.tensor([1, 0.45, 0.8])[: tokens.shape[1]].repeat(len(tokens), 1)[..., None]  # noqa: E731
    fired = n2g.firings(by_position, TEXT[:, :3])
    run = TEXT[:, 2:3]
    assert not n2g.needs_start(by_position, run, fired.chosen(torch.tensor([2])), Settings(PAD)).item()  # .45 >= .5 * .8
    assert n2g.needs_start(by_position, run, fired.chosen(torch.tensor([0])), Settings(PAD)).item()  # .45 < .5 * 1


@pytest.mark.parametrize(("share", "expected"), [(0.5, [False, False, True]), (0.35, [True, False, True]), (0.25, [True, True, True])])
def test_a_token_matters_if_padding_in_its_place_costs_the_share(share, expected):
    """Of c b a with 1: without c .6, without b .7, without a nothing is left."""
    found = n2g.matters(graded, TEXT[:, 1:], torch.tensor([0]), torch.tensor([1.0]), Settings(PAD, share=share))
    assert found.tolist() == [expected]


def test_equal_rows_are_read_once_for_whatever_latents():
    read = []

    def activations(tokens):
        read.append(len(tokens))
        return torch.stack([tokens, 10 * tokens], dim=-1).float()

    rows, of = text(500, 2), torch.arange(500) % 2
    assert torch.equal(n2g.last_activation(activations, rows, of), rows[:, -1] * (1 + 9 * of.float()))
    assert sum(read) == len(rows.unique(dim=0))


def test_more_rows_than_are_read_at_once(monkeypatch):
    rows, of = text(50, 3), torch.arange(50) % 2
    monkeypatch.setattr(n2g, "TOKENS", 10)
    assert torch.equal(n2g.last_activation(lambda tokens: torch.stack([tokens, -tokens], -1).float(), rows, of), rows[:, -1] * (1 - 2.0 * of))
    activations = latents(lambda tokens: tokens == A)
    fired = n2g.firings(activations, rows)
    assert torch.equal(torch.stack([fired.context, fired.position]), (rows == A).nonzero().T)


# --- the trie ---


def plainly(trie, row):
    """Its predictions by one walk after the other."""
    found = []
    for last in range(len(row)):
        value, node = 0.0, trie._root
        for place in range(last, -1, -1):
            node = node.after.get(row[place], node.after.get(ANY))
            if node is None or node.ends or (place == 0 and node.anchored):
                ends = [] if node is None else node.ends or node.anchored
                value = sum(ends) / max(1, len(ends))
                break
        found.append(value)
    return found


def test_predictions_are_those_of_one_walk_after_the_other():
    chosen = stream(3)
    for _ in range(20):
        lengths = torch.randint(1, 5, (6,), generator=chosen).tolist()
        draw = [torch.randint(-1, 3, (length,), generator=chosen).tolist() for length in lengths]
        trie = Trie(
            Pattern(tuple(tokens), anchored, index + 1.0) for index, (tokens, anchored) in enumerate(zip(draw, [False, True] * 3, strict=True))
        )
        tokens = torch.randint(3, (10, 7), generator=chosen)
        assert torch.allclose(trie.predict(tokens), torch.tensor([plainly(trie, row) for row in tokens.tolist()]))


@pytest.mark.parametrize(
    ("patterns", "row", "expected"),
    [
        ([(5, 1, 2), (0, ANY, 2)], [0, 1, 2], [0, 0, 0]),  # the token itself is followed, and no step taken back
        ([(5, 1, 2), (0, ANY, 2)], [0, 3, 2], [0, 0, 2]),
        ([(2,), (1, 2)], [1, 2, 2], [0, 1, 1]),  # the shorter pattern hides the longer one
        ([(1, 2), (1, 2)], [1, 2, 0], [0, 1.5, 0]),  # the mean
        ([(1, 1, 2)], [1, 2], [0, 0]),  # a context shorter than the pattern
        ([], [1, 2], [0, 0]),
    ],
)
def test_a_walk_back_through_the_trie(patterns, row, expected):
    trie = Trie(Pattern(tokens, False, index + 1.0) for index, tokens in enumerate(patterns))
    assert trie.predict(torch.tensor([row])).tolist() == [expected]


# --- scores and baselines ---


def test_precision_recall_and_f1_by_hand():
    tokens = torch.tensor([[A, B, A, C], [B, B, A, C]])
    fired = n2g.firings(latents(lambda tokens: (tokens == A) | (tokens == C), lambda tokens: tokens == B, lambda tokens: tokens > 7), tokens)
    tries = [Trie([Pattern((B, A), False, 1.0)]), Trie([]), Trie([Pattern((A,), False, 1.0)])]
    found = explanations.score(tries, tokens, fired)
    assert found.precision[0] == 1
    assert found.recall[0] == 0.4
    assert found.f1[0] == pytest.approx(2 * 0.4 / 1.4)
    assert found.chance[0] == pytest.approx(2 * 0.625 / 1.625)
    assert (found.f1[1], found.recall[1]) == (0, 0)  # nothing is predicted
    assert found.precision[1].isnan()
    assert found.f1[2].isnan()  # never active here
    assert found.recall[2].isnan()
    here = explanations.score(tries, tokens, fired, where=torch.tensor([[True] * 4, [False] * 4]))
    assert here.recall[0] == pytest.approx(1 / 3)


def test_channels_at_a_density_are_active_on_that_share_of_the_tokens():
    channels = lambda tokens: torch.randn(*tokens.shape, 3, generator=stream(int(tokens.sum())))  # noqa: E731
    tokens, density = text(50, 20), torch.tensor([0.01, 0.1, 0.7])
    active = explanations.at_density(channels, tokens, density)(tokens) > 0
    assert torch.allclose(active.float().mean((0, 1)), density)


# --- labels ---


def planted(contexts=40, seed=0):
    """Six labels of a quarter of the tokens each; the fourth is true wherever the first is."""
    values = torch.rand(contexts, 30, 6, generator=stream(seed)) < 0.25
    values[..., 3] |= values[..., 0]
    return ContextLabels(values, torch.rand(contexts, 30, generator=stream(seed + 1)) < 0.9)


def active_where(values):
    return n2g.firings(lambda tokens: values.float(), torch.zeros(values.shape[:2], dtype=torch.long))


def test_planted_labels_and_conjunctions_are_found_and_hold_on_the_other_half():
    halves = [planted(), planted(seed=9)]
    fired = []
    for labels in halves:
        noise = torch.rand(labels.known.shape, generator=stream(5)) < 0.1
        rules = [labels.values[..., 2], labels.values[..., 1] & labels.values[..., 4], labels.values[..., 0], noise, noise & False]
        fired.append(active_where(torch.stack(rules, dim=-1)))
    rules = explanations.best_labels(fired[0], halves[0])
    assert rules.tolist()[:3] == [[2, 2], [1, 4], [0, 0]]  # one label, not with another that is true wherever it is
    assert rules.tolist()[4] == [-1, -1]
    found = explanations.score_labels(rules, fired[1], halves[1])
    assert found.f1.tolist()[:3] == [1, 1, 1]
    assert found.f1[3] < found.chance[3] + 0.05
    assert found.f1[4].isnan()


def test_labels_are_scored_as_patterns_are_on_the_same_tokens():
    labels = planted()
    tokens = labels.values[..., 0].long()
    fired = active_where(labels.values[..., [1]])
    by_labels = explanations.score_labels(torch.tensor([[0, 0]]), fired, labels)
    by_pattern = explanations.score([Trie([Pattern((1,), False, 1.0)])], tokens, fired, labels.known)
    assert torch.allclose(torch.stack(by_labels), torch.stack(by_pattern))


def test_a_latent_without_a_rule_that_is_active_after_all_scores_0():
    labels = planted()
    found = explanations.score_labels(torch.tensor([[-1, -1]]), active_where(labels.values[..., [1]]), labels)
    assert (found.f1, found.recall) == (0, 0)
    assert found.precision.isnan()


# --- explanations in the latents' place ---


@pytest.fixture(scope="module")
def sae(tiny):
    made = TopK.random(tiny.d_model, 64, 4, stream()).requires_grad_(False)
    made.b_pre.copy_(torch.randn(tiny.d_model, generator=stream(1)))
    return made


@pytest.fixture(scope="module")
def tokens(tiny):
    return tiny.tokens("heldout")[:3]


def test_latent_activations_are_the_code_written_out(tiny, sae, tokens):
    some = torch.tensor([40, 3, 17])
    acts, code = explanations.latent_activations(tiny, sae, 0, some)(tokens), sae.encode(tiny.residual(tokens, 0))
    dense = torch.zeros(*tokens.shape, 64).scatter(-1, code.indices, code.values)
    assert torch.equal(acts, dense[..., some])


def bare(sae):
    """Another library's model behind the two methods that are asked for."""
    return SimpleNamespace(encode=sae.encode, decode=sae.decode)


@pytest.mark.parametrize("form", [lambda sae: sae, bare, Raw], ids=["ours", "bare", "raw"])
def test_perfect_explanations_are_the_autoencoder_and_empty_ones_its_bias(form, tiny, sae, tokens):
    sae = form(sae)
    every = torch.randperm(64, generator=stream())
    perfect = explanations.latent_activations(tiny, sae, 0, every)
    found = explanations.explained_losses(tiny, sae, 0, tokens, every, perfect)
    resid = tiny.residual(tokens, 0)
    assert torch.equal(found.explained, found.own)
    assert torch.equal(found.own, tiny.losses_from(sae.decode(sae.encode(resid), resid), tokens, 0))
    assert torch.equal(found.clean, tiny.losses_from(resid, tokens, 0))
    nothing = Code(torch.zeros(*tokens.shape, 1, dtype=torch.long), torch.zeros(*tokens.shape, 1))
    bias = tiny.losses_from(sae.decode(nothing, resid), tokens, 0)
    assert torch.allclose(found.silent, bias, atol=1e-6)
    assert not torch.allclose(found.silent, found.own, atol=1e-3)
    empty = explanations.simulation([Trie([])] * 64, torch.ones(64))
    assert torch.equal(explanations.explained_losses(tiny, sae, 0, tokens, every, empty).explained, found.silent)


def test_latents_that_are_not_explained_keep_their_activations(tiny, sae, tokens):
    code = sae.encode(tiny.residual(tokens, 0))
    some = torch.tensor([40, 3, 17])
    dense = lambda code: torch.zeros(*tokens.shape, 64).scatter_add(-1, code.indices, code.values)  # noqa: E731
    simulated = torch.rand(*tokens.shape, 3, generator=stream()) * (torch.rand(*tokens.shape, 3, generator=stream(1)) < 0.3)
    expected = dense(code)
    expected[..., some] = simulated
    assert torch.equal(dense(explanations.replaced(code, some, simulated)), expected)


@pytest.mark.parametrize(("factor", "scale"), [(1.0, 1.0), (2.0, 0.5), (0.0, 0.0)])
def test_the_scale_of_a_prediction(factor, scale):
    tokens, value = text(20, 10), 1.7
    fired = n2g.firings(lambda tokens: value * latents(lambda tokens: tokens == A)(tokens), tokens)
    tries = [Trie([Pattern((A,), False, factor * float(torch.tensor(value)))] if factor else [])]
    assert explanations.scales(tries, tokens, fired).tolist() == [scale]


def test_the_scale_is_the_least_squares_one():
    tokens = text(20, 10)
    activations = lambda tokens: ((tokens == A) * 1.0 + (tokens == B) * 3.0)[..., None]  # noqa: E731
    trie = Trie([Pattern((A,), False, 2.0), Pattern((C,), False, 1.0)])
    s, a = trie.predict(tokens).flatten().double(), activations(tokens).flatten().double()
    found = explanations.scales([trie], tokens, n2g.firings(activations, tokens))
    assert found.item() == pytest.approx(torch.linalg.lstsq(s[:, None], a[:, None]).solution.item())


# --- bad input ---


@pytest.mark.parametrize(
    ("activations", "tokens", "message"),
    [
        (latents(lambda tokens: tokens > 8), text(5, 4), "none of the 1 latents is active anywhere in these 5 contexts of 4 tokens"),
        (lambda tokens: tokens.float(), text(5, 4), r"must be activations \(N, T, L\)"),
        (lambda tokens: torch.full((*tokens.shape, 1), torch.nan), text(5, 4), "NaN or infinite"),
        (latents(lambda tokens: tokens == A), torch.zeros(0, 4, dtype=torch.long), "at least one of at least one token"),
        (latents(lambda tokens: tokens == A), text(5, 4)[0], "at least one of at least one token"),
    ],
)
def test_what_cannot_be_explained_is_said(activations, tokens, message):
    with pytest.raises(ValueError, match=message):
        n2g.firings(activations, tokens)


@pytest.mark.parametrize("wrong", [dict(share=0.0), dict(share=1.5), dict(examples=0), dict(longest=0)])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="must"):
        Settings(PAD, **wrong)


def test_firings_of_longer_contexts_or_other_latents_are_refused():
    activations, tokens, tries = latents(lambda tokens: tokens == A), text(50, 12), [Trie([])]
    fired = n2g.firings(activations, tokens)
    with pytest.raises(ValueError, match="outside of 50 contexts of 6 tokens"):
        n2g.explain(activations, tokens[:, :6], fired, SETTINGS, stream())
    for use in (explanations.score, explanations.scales):
        with pytest.raises(ValueError, match="outside of 20 contexts"):
            use(tries, tokens[:20], fired)
        with pytest.raises(ValueError, match="2 latents are explained, and the firings are of 1"):
            use(tries * 2, tokens, fired)


def test_contexts_without_labels_or_with_others_are_refused():
    labels = planted()
    fired = active_where(labels.values)
    with pytest.raises(ValueError, match="no token of these contexts has labels"):
        explanations.best_labels(fired, labels._replace(known=labels.known & False))
    with pytest.raises(ValueError, match="outside of 10 contexts"):
        explanations.best_labels(fired, planted(10))
