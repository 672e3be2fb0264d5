"""Autoencoders in the forward pass: what the bridge's hooks give, edits, the error term, and what is refused."""

import math
import warnings
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from companion.lm import families
from companion.lm.sources import SubjectError
from companion.lm.subject import Subject
from companion.sae.dense import ReLU
from companion.sae.models import TopK, normalise
from companion.sae.weights import Raw

NAMES = ["gpt2", "gpt_neox", "gpt_neox, one after the other", "llama", "gemma2"]
POST, MLP = "blocks.1.hook_resid_post", "blocks.0.mlp.hook_post"


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(1, 512, (5, 12), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=NAMES)
def opened(request, tiny_home, make):
    """In double precision, so that two ways to compute agree closely."""
    from transformers import AutoTokenizer

    return Subject(make(request.param).double(), request.param, tokenizer=AutoTokenizer.from_pretrained(tiny_home))


@pytest.fixture(scope="module")
def sub(make):
    return Subject(make("gpt2"), "gpt2")


def random_sae(d: int, kind=ReLU, n: int = 64, dtype=torch.float32):
    """With biases; ReLU's code is continuous, so that rounding cannot choose another one."""
    generator = torch.Generator().manual_seed(0)
    sae = kind.random(d, n, 4 if kind is TopK else None, generator).requires_grad_(False)
    for bias in (sae.b_pre, sae.b_enc):
        bias += 0.3 * torch.randn(bias.shape, generator=generator)
    return sae.to(dtype)


def sites_of(sub: Subject, layer: int) -> list[str]:
    return [f"blocks.{layer}.{name}" for name in families.sites(sub.family, sub.config)]


def width(sub: Subject, site: str) -> int:
    return sub.activations(torch.ones(1, 1, dtype=torch.long), site).shape[-1]


def through(sae, acts):
    return sae.decode(sae.encode(acts), acts)


def hooks_of(site: str, sae) -> list:
    """The same for the bridge. Its hook_resid_mid is what the norm is given, not the stream that the block goes on with; what attention
    adds is both."""
    if not site.endswith("hook_resid_mid"):
        return [(site, lambda acts, hook: through(sae, acts))]
    block, before = site.removesuffix("hook_resid_mid"), []
    return [
        (f"{block}hook_resid_pre", lambda acts, hook: before.append(acts) or acts),
        (f"{block}hook_attn_out", lambda added, hook: through(sae, before[-1] + added) - before[-1]),
    ]


# --- the same as another implementation ---


def test_logits_and_losses_at_every_site_are_those_of_the_bridge_with_hooks(opened, tokens):
    bridge, clean = opened.bridge(), opened.logits(tokens)
    for site in (*sites_of(opened, 1), *sites_of(opened, 2)):
        sae = random_sae(width(opened, site), dtype=torch.float64)
        wanted = bridge.run_with_hooks(tokens, fwd_hooks=hooks_of(site, sae), return_type="logits")
        with opened.spliced({site: sae}) as run:
            logits, losses = run.logits(tokens), run.losses(tokens)
        assert torch.allclose(logits, wanted, rtol=0, atol=1e-5), site
        entropy = torch.nn.functional.cross_entropy(wanted[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
        assert torch.allclose(losses, entropy, rtol=0, atol=1e-5), site
        assert (logits - clean).abs().max() > 0.1, site


def test_several_at_once_are_those_of_the_bridge_with_several_hooks(opened, tokens):
    """Every site of one block, and one of another; each autoencoder sees what the ones before it have made."""
    sites = [*sites_of(opened, 1)[::-1], "blocks.2.mlp.hook_post"]
    saes = {site: random_sae(width(opened, site), dtype=torch.float64) for site in sites if "attn" not in site}
    hooks = [hook for site in reversed(saes) for hook in hooks_of(site, saes[site])]
    wanted = opened.bridge().run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits")
    with opened.spliced(saes) as run:
        assert torch.allclose(run.logits(tokens), wanted, rtol=0, atol=1e-5)


def test_a_subject_of_the_package_in_its_own_precision(tiny):
    tokens, bridge = tiny.tokens("heldout")[:4], tiny.bridge()
    for site in sites_of(tiny, 0):
        sae = random_sae(width(tiny, site))
        with tiny.spliced({site: sae}) as run:
            logits = run.logits(tokens)
        wanted = bridge.run_with_hooks(tokens, fwd_hooks=hooks_of(site, sae), return_type="logits")
        assert torch.allclose(logits, wanted, rtol=0, atol=1e-5), site


def test_the_stream_replaced_gives_what_the_blocks_above_make_of_it(tiny):
    tokens, sae = tiny.tokens("heldout")[:200], random_sae(tiny.d_model, TopK)  # more than one chunk
    resid = through(sae, tiny.residual(tokens, 0))
    with tiny.spliced({"blocks.0.hook_resid_post": sae}) as run:
        losses, code = run.losses(tokens), run.code("blocks.0.hook_resid_post")
        assert torch.allclose(tiny.residual(tokens, 0), resid, atol=1e-5)  # whatever runs the model runs it spliced
    assert torch.allclose(losses, tiny.losses_from(resid, tokens, 0), atol=1e-5)
    assert torch.equal(code.indices, sae.encode(tiny.residual(tokens, 0)).indices)


def test_the_error_term_leaves_the_model_as_it_is(opened, tokens):
    for layer in range(3):
        saes = {site: random_sae(width(opened, site), dtype=torch.float64) for site in sites_of(opened, layer)}
        with opened.spliced(saes, error_term=True) as run:
            assert torch.allclose(run.logits(tokens), opened.model(tokens).logits, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_keeps_it(dtype, make, tokens):
    half = Subject(make("gpt2").to(dtype), "gpt2")
    clean = half.logits(tokens)
    for site in sites_of(half, 1):
        with half.spliced({site: random_sae(width(half, site))}, error_term=True) as run:
            assert torch.equal(run.logits(tokens), clean)
        with half.spliced({site: random_sae(width(half, site))}) as run:
            assert run.logits(tokens).dtype == dtype


# --- edits ---


def dense(code, n):
    return code.values.new_zeros(*code.values.shape[:-1], n).scatter_add(-1, code.indices, code.values)


@pytest.mark.parametrize("kind", [ReLU, TopK])
@pytest.mark.parametrize("positions", [None, 3, -1, slice(2, 5), [0, 7], torch.arange(12) > 8])
def test_a_clamped_latent_has_its_value_there_and_nowhere_else(kind, positions, sub, tokens):
    sae = random_sae(32, kind)
    with sub.spliced({POST: sae}) as run:
        run.logits(tokens)
        before = dense(run.code(POST), 64)
        run.set(POST, 9, 2.5, positions)
        run.set(POST, 4, 0.0)
        run.add(POST, 5, -1.25, positions)
        logits, after = run.logits(tokens), dense(run.code(POST), 64)
    wanted = before.clone()
    where = slice(None) if positions is None else positions
    wanted[:, where, 9] = 2.5
    wanted[:, :, 4] = 0
    wanted[:, where, 5] -= 1.25
    assert torch.allclose(after, wanted)
    _, mean, std = normalise(sub.residual(tokens, 1))
    assert torch.allclose(logits, sub.logits_from((wanted @ sae.W_dec + sae.b_pre) * std + mean, 1), atol=1e-4)


def test_the_last_clamp_counts_and_clear_forgets_all(sub, tokens):
    sae = random_sae(32, TopK)
    with sub.spliced({POST: sae}) as run:
        before = run.logits(tokens)
        run.set(POST, 3, 100.0)
        run.set(POST, 3, 2.0)
        after = run.logits(tokens)
        assert (dense(run.code(POST), 64)[..., 3] == 2).all()
        run.add(POST, 3, 1.5)
        run.logits(tokens)
        assert (dense(run.code(POST), 64)[..., 3] == 3.5).all()
        run.clear()
        assert torch.equal(run.logits(tokens), before)
    assert not torch.allclose(after, before)


def test_with_the_error_term_an_edit_adds_its_direction_and_nothing_else(sub, tokens):
    sae = random_sae(32)
    resid = sub.residual(tokens, 1)
    step = 4.0 - dense(sae.encode(resid), 64)[..., 7]
    with sub.spliced({POST: sae}, error_term=True) as run:
        run.set(POST, 7, 4.0)
        logits = run.logits(tokens)
    edited = resid + step[..., None] * sae.W_dec[7] * normalise(resid).std
    assert torch.allclose(logits, sub.logits_from(edited, 1), atol=1e-4)


def test_an_edit_upstream_reaches_the_code_downstream(sub, tokens):
    saes = {MLP: random_sae(128), POST: random_sae(32)}
    with sub.spliced(saes, error_term=True) as run:
        run.logits(tokens)
        before = dense(run.code(POST), 64)
        run.set(MLP, 7, 50.0, positions=6)
        run.logits(tokens)
        after = dense(run.code(POST), 64)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


# --- other autoencoders ---


def test_a_raw_one_and_one_of_another_library(sub, tokens):
    class Pairs(NamedTuple):
        indices: Tensor
        values: Tensor

    class Identity:
        """Every entry a latent of its own."""

        def encode(self, acts):
            return Pairs(torch.arange(32).expand(acts.shape), acts)

        def decode(self, code, acts):
            return torch.zeros_like(acts).scatter_add(-1, code.indices, code.values)

    with sub.spliced({POST: Identity()}) as run:
        assert torch.allclose(run.logits(tokens), sub.logits(tokens), atol=1e-5)
        run.set(POST, 31, 0.0)
        edited = run.logits(tokens)
        assert isinstance(run.code(POST), Pairs)
    resid = sub.residual(tokens, 1)
    resid[..., 31] = 0
    assert torch.allclose(edited, sub.logits_from(resid, 1), atol=1e-5)
    raw, resid = Raw(random_sae(32), centred=True, factor=0.2), sub.residual(tokens, 1)
    with sub.spliced({POST: raw}) as run:
        assert torch.allclose(run.logits(tokens), sub.logits_from(through(raw, resid), 1), atol=1e-5)


# --- afterwards, and what is refused ---


def hooks_left(sub: Subject) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in sub.model.modules())


def test_nothing_is_left_behind(sub, tokens):
    before, saes = sub.logits(tokens), {site: random_sae(width(sub, site)) for site in sites_of(sub, 1)}
    with sub.spliced(saes):
        assert hooks_left(sub) == 7  # one a site, and one on the block for its middle
    with pytest.raises(ZeroDivisionError), sub.spliced(saes):
        1 / 0  # noqa: B018
    assert not hooks_left(sub)
    assert torch.equal(sub.logits(tokens), before)


def test_a_block_within_a_block_is_refused_and_the_outer_one_goes_on(sub, tokens):
    sae = random_sae(32)
    with sub.spliced({POST: sae}) as run:
        before = run.logits(tokens)
        with pytest.raises(SubjectError, match="gpt2 is spliced already: give all sites in one dictionary"), sub.spliced({MLP: sae}):
            pass
        assert torch.equal(run.logits(tokens), before)
    with sub.spliced({}) as run:
        assert torch.equal(run.logits(tokens), sub.logits(tokens))


@pytest.mark.parametrize(
    ("saes", "why"),
    [
        (lambda: {"blocks.9.hook_resid_post": random_sae(32)}, r"'blocks.9.hook_resid_post' is no site of gpt2 .*sites are blocks"),
        (lambda: {MLP: random_sae(32)}, r"blocks.0.mlp.hook_post: .* shape \(1, 1, 128\): .*with 32"),
        (lambda: {POST: Raw(random_sae(128))}, r"blocks.1.hook_resid_post: .* shape \(1, 1, 32\): .*with 128"),
        (lambda: {POST: torch.nn.Linear(32, 32)}, "blocks.1.hook_resid_post: a Linear has no encode and decode"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_hooked(saes, why, sub):
    with pytest.raises(SubjectError, match=why), sub.spliced(saes()):
        pass
    assert not hooks_left(sub)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda run: run.set("blocks.0.hook_resid_post", 3, 1.0), "nothing is spliced at 'blocks.0.hook_resid_post'; there is something at " + POST),
        (lambda run: run.set(POST, 64, 1.0), "64 is no latent of this autoencoder: they are 0 to 63"),
        (lambda run: run.add(POST, -1, 1.0), "-1 is no latent"),
        (lambda run: run.set(POST, 3, math.nan), "latent 3 cannot be set or raised by nan"),
        (lambda run: run.code(POST), "there is no code before"),
        (lambda run: run.set(POST, 3, 1.0, 12) or run.logits(torch.ones(1, 12).long()), "positions 12 of a context of 12 tokens"),
        (lambda run: run.set(POST, 3, 1.0, "all") or run.logits(torch.ones(1, 12).long()), "positions all of a context"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(edit, why, sub):
    with sub.spliced({POST: random_sae(32)}) as run, pytest.raises(SubjectError, match=why):
        edit(run)
    assert not hooks_left(sub)


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        (dict(hook_name="blocks.0.hook_resid_post"), "this autoencoder is of blocks.0.hook_resid_post, as its file says; .* sae.origin.clear"),
        (dict(hook_name="blocks.1.hook_mlp_out", model_name="gpt2"), "is of blocks.1.hook_mlp_out"),
        (dict(hook_name=POST, model_name="pythia-70m"), "is of pythia-70m, as its file says, and this model is gpt2"),
        (dict(hook_name=POST, model_name="openai-community/gpt2"), None),
        (dict(hook_name="blocks.2.hook_resid_pre", model_name="gpt2-small"), None),
        (dict(hook_name="unknown", model_name="unknown"), None),
        (None, None),
    ],
)
def test_what_its_file_says_of_it_is_compared(origin, why, sub):
    """Another site is an error; another model a warning, since one model has several names."""
    sae = random_sae(32)
    sae.origin = origin and dict(origin)
    for each in (sae, Raw(sae, origin=origin)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if why:
                with pytest.raises(SubjectError if "is of blocks" in why else UserWarning, match=why), sub.spliced({POST: each}):
                    pass
                each.origin.clear()
            with sub.spliced({POST: each}):
                pass
