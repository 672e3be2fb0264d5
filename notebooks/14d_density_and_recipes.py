# %% [markdown]
# # 14d. Recipes, density, and how much of the loss is recovered
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/14d_density_and_recipes.ipynb)
#
# **Pages** [← 14c. Explaining all latents, and rating them blind](14c_interpretability.ipynb) · [Start here](00_start_here.ipynb) · [14e. Feature splitting →](14e_feature_splitting.ipynb)
#
# Between 2023 and 2024 the recipe for a sparse autoencoder (SAE, also called a dictionary) changed in nearly every part. On this page you train
# the recipe of 2023 and that of 2024 on the same neurons, and look at three numbers by which they were compared: how much of the language model's
# loss survives, how many latents are active on a token, and how often each latent is active at all. The last one shows what was wrong with the first
# recipe: most of its latents are hardly ever active.
#
# **You will** replace the neurons of a model and see how much of its loss is recovered, by a right and two wrong formulas · draw loss against sparsity
# for four penalties · convert three conventions of the same penalty into each other · find a cluster of latents that are hardly ever active, and
# look at what they are · restart dead latents by hand, and measure what that is worth.
#
# **Needs** what a dictionary is and how one is trained ([page 8](08_sae_training.ipynb#model)), and its losses with a penalty
# ([page 8b](08b_activation_functions.ipynb#losses)).
# **Takes** about eight minutes at `laptop` on two cores, once, and some minutes more where the TopK dictionaries that other pages use too are not there yet;
# afterwards what was trained is read back ([start here](00_start_here.ipynb#profiles) has the other profiles).
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html), and its
# updates of [February](https://transformer-circuits.pub/2024/feb-update/index.html) and [April
# 2024](https://transformer-circuits.pub/2024/april-update/index.html).
#
# **On this page** [1 How much of the loss is recovered](#recovered) · [2 Width and sparsity](#trade) · [3 One penalty, three conventions](#conventions) · [4 How often is each latent active?](#density) · [5 Restarting dead latents](#resampling) · [6 Your turn](#your-turn) · [7 Limits](#limits) · [8 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import copy
import functools
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
import torch
from torch.nn.functional import normalize

from companion import claims, dictionaries, memo, run
from companion.evals import anchors, reconstruction
from companion.lm import training
from companion.lm.training import TINY
from companion.plots import density as plots
from companion.plots import widgets
from companion.plots.lines import DOTS, MANY, Log, Panel, lines
from companion.plots.style import CONTROL, MARKED, OURS, shades
from companion.sae import dense, recipe
from companion.sae.dense import ReLU, ReLUNorm
from companion.sae.models import FIRED
from companion.sae.recipe import TrainConfig
from companion.sae.weights import Raw

claims.opening("14d_density_and_recipes")

# %% [markdown]
# The parameters, one line per profile. The subject is the one-layer model of [page 7](07_language_model.ipynb), which has the paper's own width: 128
# channels, and 512 neurons with a relu. Its dictionaries are of those neurons. `topk` are three widths of the TopK dictionary that the other pages
# 14 use as well. The recipes with a penalty are trained with dense products, which cost more, so that theirs are smaller.


# %%
@dataclass(frozen=True)
class Config:
    topk: dictionaries.DictionaryConfig  # its n is the width of most measurements
    widths: tuple[int, int, int]  # TopK: narrow (also that of the seeds below), the above, wide
    steps: int  # of the recipe of April 2024
    old_steps: int  # of that of 2023
    batch: int  # of both
    april: tuple[int, ...]  # widths of the recipe of April 2024; the last one has all seeds
    longer: tuple[int, ...]  # steps of further runs of the recipe of 2023
    resample_at: tuple[int, ...]  # steps at which its dead latents are restarted
    dead_after: int  # steps of silence after which a latent is dead
    contexts: int  # training contexts of the recipes with a penalty
    every: int = 4  # one in so many held-out contexts is used
    penalties: tuple[float, ...] = (1.5, 3.0, 5.0, 10.0)  # lambda, in the form of April 2024
    lr: float = 1e-3
    seeds: int = 5
    controls: int = 2  # seeds of what is trained as a control only


# %% tags=["parameters"]
one = dictionaries.offline_subject("python-stdlib-1l")
base = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
site = dict(layer=0, hook="mlp.hook_post", keep=("averaged", "untrained"))
neurons = dictionaries.DictionaryConfig(one, base, contexts=6000, heldout=1024, **site)
small = TrainConfig(n=128, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
tiny_subject = replace(TINY, layers=1, steps=100)
tiny = dictionaries.DictionaryConfig(tiny_subject, small, contexts=1000, heldout=64, **site)
long = replace(base, n=2**14, steps=20_000, batch=4096, dead_after_tokens=3_000_000)
longer_subject = replace(training.OFFLINE["python-stdlib-1l"], seed=run.seed_shift(), steps=20_000, batch=64)
large = dictionaries.DictionaryConfig(longer_subject, long, contexts=48_000, heldout=4096, **site)
cfg = run.choose(
    quick=Config(
        tiny, (64, 128, 256), steps=120, old_steps=120, batch=128, april=(64, 128), longer=(60,),
        resample_at=(40, 70), dead_after=5, contexts=1000, lr=3e-3, seeds=2,
    ),
    laptop=Config(
        neurons, (512, 2048, 8192), steps=600, old_steps=1200, batch=128, april=(128, 512),
        longer=(400, 2400), resample_at=(600, 700, 800, 900), dead_after=12, contexts=2000,
    ),
    paper=Config(
        large, (4096, 2**14, 2**16), steps=100_000, old_steps=300_000, batch=4096, april=(512, 4096, 2**14),
        longer=(10_000,), resample_at=(10_000, 20_000, 30_000, 40_000), dead_after=3750,
        contexts=48_000, lr=1e-4,
    ),
)  # fmt: skip
page = claims.Page("14d_density_and_recipes", cfg)
print(f"n = {cfg.april[-1]} for the recipes with a penalty, {cfg.topk.train.n} for TopK; {cfg.seeds} seeds")

# %% [markdown]
# <a id="recovered"></a>
# ## 1 How much of the loss is recovered
# The neurons' values $a$ (after the relu) are all that the MLP writes from: it adds $a W_{down} + b$ to the residual stream. A dictionary reads $a$
# and gives back $\hat a$. How much does the language model lose if it goes on with $\hat a$? We replace $a$ by hand at every token, and let the rest of
# the model run. With $a$ itself nothing may change. The dictionary is the TopK one of [page 8](08_sae_training.ipynb#model), with $k$ latents per token;
# what it costs must be what `subject.spliced` finds, the package's way of putting a dictionary into a model.

# %%
subject, tokens, acts, _ = dictionaries.heldout(cfg.topk)  # tokens (N, T), acts (N, T, 512)
some, a = tokens[:: cfg.every], acts[:: cfg.every].contiguous()
before_mlp = subject.activations(some, "blocks.0.hook_resid_mid")  # (N, T, 128)
write = subject.blocks[0].get_submodule("mlp.c_proj")  # x -> x W_down + b


@torch.no_grad()
def loss_with(neurons):
    return subject.losses_from(before_mlp + write(neurons), some, layer=0)  # nats of each token (N, T-1)


def through(sae, values):
    """What a dictionary makes of neurons, some contexts at a time."""
    return torch.cat([sae.decode(sae.encode(part), part) for part in values.split(16)])


sae = dictionaries.dictionary(cfg.topk)
clean, rebuilt = loss_with(a), loss_with(through(sae, a))
assert torch.allclose(clean, subject.losses(some), atol=1e-4)
with subject.spliced({cfg.topk.site: sae}) as spliced:
    assert torch.allclose(spliced.losses(some[:8]), rebuilt[:8], atol=1e-3)
print(f"{some.numel():,} held-out tokens: loss {clean.mean():.3f}, with the dictionary {rebuilt.mean():.3f}")

# %% [markdown]
# Is that much? The paper compares it with the rise that comes from switching all neurons off, the *zero ablation*. The share of the loss that is
# *recovered* is
#
# $$ \frac{L_{zero} - L_{sae}}{L_{zero} - L_{base}}, $$
#
# 1 if nothing is lost and 0 if the dictionary is no better than no neurons at all. The paper's dictionaries recover 79 % (eight times as many latents as
# neurons) to 94.5 % (256 times as many). Any other bad answer could stand in the place of zero: the mean of every neuron, or, outside the model, a
# guess that knows only how frequent each token is (the *unigram* loss). The share depends on which one is taken.


# %%
def recovered(loss, ablated):
    return ((ablated.mean() - loss.mean()) / (ablated.mean() - clean.mean())).item()


bad = {"zero": loss_with(torch.zeros_like(a))}
bad["mean"] = loss_with(a.mean(dim=(0, 1)).expand_as(a).contiguous())
bad["unigram"] = anchors.unigram_losses(subject.tokens("train"), some, len(subject.unembedding()))
untrained = loss_with(through(dictionaries.dictionary(cfg.topk, "untrained"), a))
assert np.isclose(recovered(rebuilt, bad["zero"]), reconstruction.loss_recovered(clean, rebuilt, bad["zero"]))
print("anchor    loss    recovered: trained   never trained")
for name, ablated in bad.items():
    both = [recovered(loss, ablated) for loss in (rebuilt, untrained)]
    print(f"{name:8} {ablated.mean():5.2f} {both[0]:19.1%} {both[1]:15.1%}")

# %% [markdown]
# Look at the first column of numbers, the losses. Without its neurons this model is far worse than a guess from token frequencies, and so it is with
# the mean of its neurons ([page 7](07_language_model.ipynb#mlp) asks why). So in the paper's share, 0 stands for a model that is worse than one that
# has read nothing, and a high share is easy to reach. The last line is the strict one: there 0 stands for a model that has read nothing.
#
# ### Two wrong formulas
# A public reproduction reports a number of this kind that is wrong in two ways. It divides $L_{sae} - L_{base}$ by $L_{zero} - L_{base}$, which is the
# share that is *lost* (the paper's 21 % and not its 79 %). And it takes this ratio in every batch and averages the ratios. An average of ratios
# is not the ratio of the averages: a batch in which the neurons hardly matter has a small denominator and counts for much. How far that goes is
# seen best with small batches. Here is the share recovered with batches of one context, and of one token.

# %%
zero = bad["zero"]
lost = ((rebuilt.mean() - clean.mean()) / (zero.mean() - clean.mean())).item()
by_context = ((zero.mean(1) - rebuilt.mean(1)) / (zero.mean(1) - clean.mean(1))).mean().item()
each = (zero - rebuilt) / (zero - clean)  # one ratio per token
assert np.isclose(lost, 1 - recovered(rebuilt, zero))
print(f"right, on totals            {recovered(rebuilt, zero):8.2%}")
print(f"the share lost              {lost:8.2%}")
print(f"mean of ratios, by context  {by_context:8.2%}")
print(f"mean of ratios, by token    {each.mean():8.2%}, between {each.min():.0f} and {each.max():.0f}")
print(f"tokens that the model guesses no worse without its neurons: {(zero <= clean).double().mean():.1%}")

# %% [markdown]
# By context the error is small here. By token the mean of ratios is meaningless: for some tokens the denominator is nearly zero, or negative, because
# the model without neurons happens to guess them as well. The ratio of the totals does not depend on how the text is cut into batches.
#
# ### Measuring a dictionary
# Every dictionary of this page is measured in the same way. The *density* of a latent is the share of held-out tokens on which it is active. The sum of
# all densities is $L_0$, the mean number of active latents per token.


# %%
@functools.cache  # the same for all dictionaries
def measured_on(topk, every):
    """The model and one in `every` held-out contexts: tokens, the stream before the MLP, neurons."""
    subject, tokens, acts, _ = dictionaries.heldout(topk)
    stream = subject.activations(tokens[::every], f"blocks.{topk.layer}.hook_resid_mid")
    return subject, tokens[::every], stream, acts[::every].contiguous()


def measured_with(sae, topk, every):
    """Densities, L0, error and loss of a dictionary."""
    subject, tokens, stream, neurons = measured_on(topk, every)
    counts, rebuilt = 0, []
    for part in neurons.split(16):
        code = sae.encode(part)
        counts = counts + reconstruction.firing_counts(code, sae.n)
        rebuilt.append(sae.decode(code, part))
    density, rebuilt = counts.double() / tokens.numel(), torch.cat(rebuilt)  # (n,), (N, T, 512)
    write = subject.blocks[topk.layer].get_submodule("mlp.c_proj")
    with torch.no_grad():
        loss = subject.losses_from(stream + write(rebuilt), tokens, topk.layer).double().mean().item()
    mse = reconstruction.normalised_mse(neurons, rebuilt)
    return {"density": density, "l0": density.sum().item(), "loss": loss, "mse": mse}


def measure(what):
    config, which, topk, every = what
    return measured_with(dictionaries.dictionary(config, which), topk, every)


def found(config, which="averaged"):
    return memo.memo(measure, (config, which, cfg.topk, cfg.every))


assert np.isclose(found(cfg.topk)["loss"], rebuilt.double().mean(), atol=1e-3)
active = [reconstruction.l0(sae.encode(part)) for part in a.split(16)]
assert np.isclose(found(cfg.topk)["l0"], np.mean(active))

# %% [markdown]
# May we ask for the paper's 79 %? Not against zero ablation: in the table above the dictionary *before training* (random directions, of which the best $k$
# are taken for each token) passes too. That is a finding, and the first claim. The second asks for the paper's number against token frequencies, which
# is harder than what the paper states. Its controls are the untrained dictionary, and the mean of every neuron in the dictionary's place.


# %%
def topk(n, seed):
    return dictionaries.variant(cfg.topk, n=n, seed=seed)


SEEDS = range(cfg.seeds)
narrow, middle, wide = cfg.widths
L_base = clean.double().mean().item()


def of_seeds(which, anchor):
    """Share recovered by the dictionary of each seed."""
    worst = bad[anchor].double().mean().item()
    return [(worst - found(topk(middle, seed), which)["loss"]) / (worst - L_base) for seed in SEEDS]


page.check(
    "recipes.zero-is-easy",
    of_seeds("untrained", "zero"),
    control={"the same dictionary against token frequencies": of_seeds("untrained", "unigram")},
)
page.check(
    "recipes.loss-recovered",
    of_seeds("averaged", "unigram"),
    control={
        "before training": of_seeds("untrained", "unigram"),
        "the mean of every neuron": recovered(bad["mean"], bad["unigram"]),
    },
)

# %% [markdown]
# So a share of 79 % against zero ablation can be had without any training, in this model. In another model zero ablation may do less harm, and the share mean
# more: a number of this kind should come with that of an untrained dictionary. Against token frequencies the trained dictionaries still pass, and the
# untrained ones are far off.
#
# <a id="trade"></a>
# ## 2 Width and sparsity
# A dictionary can lose less in two ways: with more latents active per token, or with more latents to choose from. To separate the two, the paper draws
# loss against $L_0$, with one line per coefficient $\lambda$ of the penalty and a point per number of latents (here the narrowest and the widest). We do so
# for the recipe of April 2024:
#
# $$ \text{loss} = |\hat x - x|^2 + \lambda \sum_i f_i\,|d_i|, \qquad f = \mathrm{relu}(W_{enc}\, x + b_{enc}), \qquad
# \hat x = \sum_i f_i\, d_i + b_{pre}, $$
#
# where $x$ is $a$ times one number for all tokens, so that $|x|^2$ is 512 in the mean (otherwise a value of $\lambda$ would mean nothing on another
# model), and $d_i$ is the direction of latent $i$, of any length. $\lambda$ rises from 0 during the first steps, and the learning rate falls to 0 over the
# last fifth. The loop stands on [page 8b](08b_activation_functions.ipynb#losses); here is how its settings are written.


# %%
def of_neurons(train, seed=0):
    """A dictionary of the same neurons with this recipe."""
    own = dict(contexts=cfg.contexts, seed=seed, keep=("averaged", "untrained"))
    own |= dict(heldout=32)  # of the training's own error; this page measures with `found`
    return replace(cfg.topk, train=replace(train, space="scalar"), **own)


def april(penalty, n=cfg.april[-1], seed=0):
    return of_neurons(recipe.april_2024(n, cfg.steps, cfg.batch, penalty=penalty, lr=cfg.lr), seed)


spread = [[found(april(penalty, seed=seed)) for penalty in cfg.penalties] for seed in SEEDS]
by_width = {penalty: [found(april(penalty, n)) for n in cfg.april] for penalty in cfg.penalties}
by_k = [found(topk(n, 0)) for n in cfg.widths]

# %% [markdown]
# We expect a larger $\lambda$ to give fewer active latents and a higher loss. TopK fixes $L_0$ at $k$, so that its points stand one above the other, and we
# expect them below the lines, as on [page 8b](08b_activation_functions.ipynb#frontiers). That distance is not due to TopK alone: the TopK dictionaries are
# wider and have seen more tokens (both numbers are in the caption). More latents at the same $\lambda$ should lower the loss; look whether $L_0$ stays
# the same as they do.


# %%
def points(runs):
    return np.array([each["l0"] for each in runs]), np.array([each["loss"] for each in runs])


curves = {f"λ = {penalty:g}": [points(runs)] for penalty, runs in by_width.items()}
others = [points(runs) for runs in spread[1:]]
colours = shades(len(cfg.penalties))
looks = [dict(color=colour, marker="o", ms=4) for colour in colours]
looks += [dict(color=MARKED, marker="s", ms=4, ls=""), dict(color=CONTROL, marker=".", ls="", ms=4, zorder=0)]
drawn = curves | {f"TopK, k = {cfg.topk.train.k}": [points(by_k)], "other seeds": others}
across = Log("active latents per token, L0", every=MANY)
panel = Panel(None, drawn, across, "loss (nats per token)", looks, {"no dictionary": L_base})
page.save_figure(
    lines(panel, size=(5.4, 3.6)),
    "loss_against_l0",
    {"widths": cfg.april, "TopK widths": cfg.widths} | {name: held[0] for name, held in drawn.items()},
    f"Follow one colour: a line is one penalty, from {cfg.april[0]} latents (left) to {cfg.april[-1]}. "
    f"Squares: TopK with {', '.join(map(str, cfg.widths))}, one above the other, as it fixes L0. Grey: "
    f"more seeds of {cfg.april[-1]} latents. {cfg.steps} steps of {cfg.batch} tokens (TopK: "
    f"{cfg.topk.train.steps} of {cfg.topk.train.batch}). The paper's lines are of runs of a million steps; "
    "there each falls with n.",
)
for penalty, runs in by_width.items():
    pairs = zip(cfg.april, runs, strict=True)
    texts = [f"n = {n}: L0 {each['l0']:.1f}, loss {each['loss']:.3f}" for n, each in pairs]
    print(f"λ = {penalty:4g}", *texts, sep="   ")

# %% [markdown]
# The first claim is about the order of the penalties: from one $\lambda$ to the next larger one, $L_0$ must fall and the loss must rise, in every seed.
# As the control, four random seeds of one $\lambda$ take the place of the four penalties, since an order could also come about by chance.
#
# The second is about width, at equal $L_0$. A dictionary raises the loss; which share of this rise disappears when TopK gets four times as many latents,
# with the same $k$? In the paper 21 % of the loss is lost, and 5.5 % with 32 times as many latents. If every doubling removes the same share, four times as
# many remove two fifths. We ask for a tenth, as the runs are short. The control is another seed of the same width. Printed below the card: the same
# step in width before training, where more latents are only more random directions to choose from.


# %%
def ordered(runs):
    steps = pairwise((each["l0"], each["loss"]) for each in runs)
    return np.mean([fewer < many and worse > better for (many, better), (fewer, worse) in steps])


def removed(fewer, more):
    return 1 - (more["loss"] - L_base) / (fewer["loss"] - L_base)


def widened(which, seeds=SEEDS):
    return [removed(found(topk(narrow, seed), which), found(topk(middle, seed), which)) for seed in seeds]


page.check(
    "recipes.penalty-orders",
    [ordered(runs) for runs in spread],
    control={"seeds of one penalty": [ordered(runs[:4]) for runs in zip(*spread, strict=True)]},
)
again = [removed(found(topk(narrow, seed)), found(topk(narrow, (seed + 1) % cfg.seeds))) for seed in SEEDS]
page.check(
    "recipes.wider-loses-less",
    widened("averaged"),
    control={"another seed of the same width": again},
)
print(f"the same step before training: {np.mean(widened('untrained', range(cfg.controls))):.0%}")
print(f"from {middle} to {wide} latents: {removed(by_k[1], by_k[2]):.0%} (one seed)")

# %% [markdown]
# The second card says in how many seeds four times as many latents help by a tenth. Compare its median with the first printed line: a dictionary that was
# never trained gains from width as well, because among more directions the best $k$ fit better, learned or not. Where its share is as large as that of
# the trained ones, the gain from width says nothing about what the new latents are; [page 14e](14e_feature_splitting.ipynb) asks that. The last printed
# line is one step further in width. The widest dictionary has the same few training steps for four times as many latents, so it need not be better, and
# a share below 0 says that it is worse.
#
# <a id="conventions"></a>
# ## 3 One penalty, three conventions
# The coefficient of the 2023 paper is $0.004$, that of the April update 5, and that of a well-known open replication $0.0003$. A person who
# reproduced the paper wrote that a much smaller coefficient was needed and that the reason was not known. The reason is likely that "squared error plus
# L1" is written in three ways: the error as a mean or a sum over the $D$ entries, the penalty as a mean or a sum over the $B$ tokens of a batch.


# %%
def bricken_2023(x, x_hat, f, coefficient):
    return (x - x_hat).square().mean(dim=1).mean() + coefficient * f.sum(dim=1).mean()


def april_2024(x, x_hat, f, coefficient):
    return (x - x_hat).square().sum(dim=1).mean() + coefficient * f.sum(dim=1).mean()


def nanda_2023(x, x_hat, f, coefficient):
    return (x - x_hat).square().sum(dim=1).mean() + coefficient * f.sum()


FORMS = {
    bricken_2023: (dense.BRICKEN_2023, 0.004, 512, 8192),  # coefficient, width, batch
    april_2024: (dense.APRIL_2024, 5.0, 512, 2048),
    nanda_2023: (dense.NANDA_2023, 3e-4, 2048, 4096),
}
for form, (named, coefficient, width, batch) in FORMS.items():
    converted = dense.convert_l1(coefficient, named, dense.APRIL_2024, width, batch)
    print(f"{form.__name__:12} {coefficient:7g} is {converted:5.2f} in the form of April 2024")

# %% [markdown]
# In one form, coefficients that are a factor of ten thousand apart become numbers of one order. They need not become equal, since the three authors
# trained on different models. Is the conversion right? The same model with a converted coefficient must get the same *gradient*, up to one factor for all
# parameters, which Adam does not notice (it divides by the gradient's own size). Below, all three forms get the coefficient that stands for $\lambda = 3$,
# on a batch of 64 tokens in double precision.

# %%
x64 = torch.randn(64, 24, generator=run.generator(0, "conventions"), dtype=torch.float64)
model = ReLU.random(24, 96, None, run.generator(0, "model")).double()


def gradient(form, coefficient):
    f = torch.relu((x64 - model.b_pre) @ model.W_enc.T + model.b_enc)  # (B, n)
    loss = form(x64, f @ model.W_dec + model.b_pre, f, coefficient)
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, [*model.parameters()])])


wanted = gradient(april_2024, 3.0)
for form, (named, *_) in FORMS.items():
    own = gradient(form, dense.convert_l1(3.0, dense.APRIL_2024, named, width=24, batch=64))
    assert torch.allclose(own / own.norm(), wanted / wanted.norm(), atol=1e-12)
    unconverted = torch.cosine_similarity(gradient(form, 3.0), wanted, dim=0)
    print(f"{form.__name__:12} converted: the same gradient; unconverted its cosine is {unconverted:.2f}")

# %% [markdown]
# ### What the penalty should not depend on
# There is one more choice. Suppose the decoder rows may have any length. Then a latent can be written in many ways: $f_i$ half as large and $d_i$ twice as
# long is the same model. A penalty on $f$ alone changes with that choice, and training would make $f$ small and $d$ long without any gain in
# sparsity. Two cures are known: hold $|d_i|$ at 1 (2023), or count $f_i |d_i|$ (April 2024), which no such choice can change. Here every latent is
# rescaled by a random factor $c_i$.

# %%
c = torch.rand(96, generator=run.generator(0, "scales"), dtype=torch.float64) * 4 + 0.25
free = ReLUNorm.random(24, 96, None, run.generator(0, "free rows")).double().requires_grad_(False)
rescaled = copy.deepcopy(free)
rescaled.W_enc /= c[:, None]
rescaled.b_enc /= c
rescaled.W_dec *= c[:, None]
before, after = free.terms(x64), rescaled.terms(x64)
plain = [each.latents(x64).sum().item() for each in (free, rescaled)]
assert torch.allclose(before.x_hat, after.x_hat)  # the same reconstruction
assert torch.isclose(before.penalty, after.penalty)  # the same penalty of April 2024
assert abs(plain[1] / plain[0] - 1) > 0.1  # the plain L1 is another one
print(f"April 2024: {before.penalty:.1f}, {after.penalty:.1f}; plain L1: {plain[0]:.1f}, {plain[1]:.1f}")

# %% [markdown]
# <a id="density"></a>
# ## 4 How often is each latent active?
# In the paper's histograms of density there are two groups: ordinary latents, and many that are active on fewer than one token in a million. It
# calls the second group the *ultralow density cluster*. The recipe that it used differs from that of April 2024 in several parts:
#
# | | 2023 | April 2024 |
# |---|---|---|
# | decoder rows | length 1 | any length |
# | encoder at the start | independent of the decoder | parallel to the decoder |
# | the encoder sees | $x - b_{pre}$ | $x$ |
# | penalty | whole from the first step | rises during the first steps |
# | learning rate | constant | falls to 0 over the last fifth |
# | dead latents | restarted four times | no remedy |
#
# We train the recipe of 2023 first without restarts, to see what it does by itself, with the $\lambda$ that is the default in the April update.


# %%
PENALTY = cfg.penalties[2]


def old(seed=0, steps=cfg.old_steps, **changed):
    """The recipe of 2023 at the same penalty; `changed` are parts of it."""
    changed = dict(resample_at=(), dead_after_tokens=cfg.dead_after * cfg.batch) | changed
    return of_neurons(recipe.bricken_2023(cfg.april[-1], steps, cfg.batch, PENALTY, cfg.lr, **changed), seed)


compared = {
    f"2023, λ = {PENALTY:g}": found(old()),
    f"April 2024, λ = {PENALTY:g}": found(april(PENALTY)),
    f"TopK, k = {cfg.topk.train.k}": found(topk(narrow, 0)),
    f"TopK, k = {cfg.topk.train.k}, n = {middle}": found(topk(middle, 0)),
}
for name, each in compared.items():
    rare, typical = np.quantile(each["density"], (0.05, 0.5))
    text = f"density: 5 % below {rare:.1e}, half below {typical:.1e}"
    print(f"{name:22} L0 {each['l0']:5.1f}  loss {each['loss']:.2f}  {text}")

# %% [markdown]
# Two quantiles do not show whether there are two groups; a histogram does. Its horizontal axis is logarithmic: one unit is a factor of ten. The function
# `valley` looks for the deepest valley between two peaks, and a dashed line is drawn in it. A valley can also be shallow, as any uneven slope has some.
# So the function returns the depth too, and the claim below is about the depth.


# %%
def valley(density):
    """Depth (lowest bin over the lower of the two peaks beside it) and place of the deepest valley."""
    active = density[density > 0].log10().numpy()
    bars, edges = np.histogram(active, bins=np.arange(-6, 0.01, 0.2))
    smooth = np.convolve(bars, [0.25, 0.5, 0.25], mode="same")
    best = (1.0, None)
    for at in range(1, len(smooth) - 1):
        peak = min(smooth[:at].max(), smooth[at + 1 :].max())
        if peak >= 0.01 * len(density):  # a peak holds at least a hundredth of the latents in a bin
            best = min(best, (smooth[at] / peak, 10 ** edges[at : at + 2].mean()), key=lambda pair: pair[0])
    return best


tokens_seen = some.numel()
valleys = {name: deepest for name, each in compared.items() if (deepest := valley(each["density"]))[1]}
lows = {name: place for name, (_, place) in valleys.items()}
depths = "; ".join(f"{name}: {depth:.2f}" for name, (depth, _) in valleys.items())
shown = {name: each["density"].numpy() for name, each in compared.items()}
page.save_figure(
    plots.densities(shown, 1 / tokens_seen, lows),
    "density",
    {name: np.log10(density[density > 0]) for name, density in shown.items()},
    "Compare the first panel with the second. The recipe of 2023 gives two groups of latents: common ones, "
    "and rare ones that are active on one token in thousands. That of April 2024 gives one group. Full "
    "lines: medians. Dashed: the deepest valley, wherever the rule finds one; only a deep one parts two "
    f"groups (lowest bin over the lower peak, {depths}). {cfg.april[-1]} latents if not said otherwise; "
    f"{cfg.old_steps} and {cfg.steps} steps of {cfg.batch} tokens, no restarts; {tokens_seen:,} held-out "
    "tokens. The paper's second group is rarer still (below one in a million); this text could not show it.",
)

# %% [markdown]
# The first claim asks for a valley less than half as high as the lower of the two peaks, in every seed. The control is the recipe of April 2024, which
# should have one peak. And the other way round: the update reports that its recipe leaves under 1 % of latents dead. We count every latent, dead
# ones included, whose density is below a tenth of the median of the April dictionary, and ask for less than one in a hundred. The control is the recipe
# of 2023.


# %%
def far_below(density, typical):
    return (density < typical / 10).double().mean().item()


two_groups = [found(old(seed))["density"] for seed in SEEDS]
one_group = [runs[2]["density"] for runs in spread]
page.check(
    "recipes.two-groups-2023",
    [valley(density)[0] for density in two_groups],
    control={"April 2024": [valley(density)[0] for density in one_group]},
)
typical = [density.median() for density in one_group]
page.check(
    "recipes.april-no-rare",
    [far_below(*pair) for pair in zip(one_group, typical, strict=True)],
    control={"2023, no restarts": [far_below(*pair) for pair in zip(two_groups, typical, strict=True)]},
)
for n in (narrow, middle):
    rarer = [far_below(d := found(topk(n, seed))["density"], d.median()) for seed in SEEDS]
    print(f"TopK, n = {n}: {np.mean(rarer):.1%} below a tenth of its own median")

# %% [markdown]
# With the recipe of 2023 there are two groups, and the rare one is the larger; with that of April 2024 there is one, and nothing far below it. The last two
# lines are for orientation: TopK has its own remedy for dead latents (AuxK, [page 8a](08a_sae_recipe.ipynb#dead)), and a tail of rare ones that grows
# with its width. (At the same $\lambda$ the two recipes differ in $L_0$ and in the number of steps as well; see the limits.)
#
# ### What are the rare latents?
# The update of February 2024 offers an explanation. A latent is useful if its encoder row (what makes it active) and its decoder row (what it then adds)
# have to do with each other. In the recipe of 2023 the two start independent. A latent that never finds a direction worth adding gets no reward for being
# active, only the penalty, and becomes rarer and rarer. In the paper's picture, which is three-dimensional, encoder and decoder rows of the ordinary
# latents have a dot product near 1, and those of the rare group are spread around 0.
#
# That cosine alone is poor evidence. A latent that is seldom active is seldom trained, so its rows stay where they were put, and with an independent
# start they were put at a cosine near 0. So we keep the rows of before the training too, and ask a second question: how near is a decoder row to *its own
# start*? In the picture a latent is a point, once in each panel. If the rare group is what never left its start, its points lie near 1 on the right.


# %%
def rows(config, which="averaged"):
    sae = dictionaries.dictionary(config, which).sae.cpu()
    return normalize(sae.W_enc, dim=1), normalize(sae.W_dec, dim=1)


def two_rows(config):
    """Cosine of every latent's encoder row with its decoder row."""
    E, D = rows(config)
    return (E * D).sum(1)


def kept(config):
    """Cosine of every latent's decoder row with what it was before the training."""
    return (rows(config)[1] * rows(config, "untrained")[1]).sum(1)


def panel_of(cosines, up, **more):
    drawn = {}
    for name, config in (("recipe of 2023", old()), ("April 2024", april(PENALTY))):
        density = found(config)["density"].clamp(min=0.5 / tokens_seen)
        drawn[name] = [(density.log10().numpy(), cosines(config).numpy())]
    return Panel(None, drawn, "log10 density", up, looks, **more)


looks = [dict(DOTS, color=colour, marker=marker, ms=3) for colour, marker in ((OURS, "o"), (CONTROL, "x"))]
both = panel_of(two_rows, "cos(encoder, decoder)"), panel_of(kept, "cos(decoder, its start)", legend=None)
page.save_figure(
    lines(*both, size=(4.2, 3.2)),
    "never_found_a_direction",
    {f"{each.up}, {name}": np.stack(at)[:, ::4] for each in both for name, (at,) in each.curves.items()},
    "A point per latent. Look at the right panel first: the decoder rows of the rare group of 2023 (blue, "
    "left) are nearly where they started, those of the common group (blue, right) and of April 2024 (grey) "
    "are far from it, and few lie between. Left panel: encoder and decoder rows of rare latents are less "
    "alike than those of common ones, and more alike than two random directions (about 0.04). April's rows "
    f"start parallel. {cfg.april[-1]} latents each, seed 0.",
)

# %% [markdown]
# The first claim is about the right panel: the median for rare latents less that for common ones. A plainer explanation would give a difference too: that
# every latent moves as far as it is used, the rarer the less, without any group. Then the rarer half of the *common* latents would also have moved less
# than the other half, and so would the rarer half in the recipe of April 2024, which has no rare group. These are the controls.
#
# The paper and the open replication add that the encoder rows of the rare group are nearly the same. The second claim asks whether two of them have a
# larger cosine than two of the common group; the control parts the latents at random into groups of the same sizes.


# %%
def groups(config):
    """Rare and common latents: below and above the valley. Dead ones are in neither."""
    density = found(config)["density"]
    place = valley(density)[1] or density[density > 0].median().item()
    return (density > 0) & (density < place), density >= place


def medians(cosines, config):
    return [cosines(config)[group].median().item() for group in groups(config)]


def of_halves(config, group):
    """The rarer half of a group less its other half."""
    by_density = kept(config)[group][found(config)["density"][group].argsort()]
    rarer, other = (half.median() for half in by_density.tensor_split(2))
    return (rarer - other).item()


def alike(W):
    """Mean cosine of all pairs of unit rows."""
    n = len(W)
    return ((W.sum(0).square().sum() - n) / (n * (n - 1))).item() if n > 1 else 0.0


def more_alike(config, shuffle=None):
    (E, _), (rare, common) = rows(config), groups(config)
    order = torch.arange(len(E)) if shuffle is None else torch.randperm(len(E), generator=shuffle)
    return alike(E[order][rare]) - alike(E[order][common])


all_latents = torch.ones(cfg.april[-1], dtype=torch.bool)
page.check(
    "recipes.rare-never-found",
    [rare - common for rare, common in (medians(kept, old(seed)) for seed in SEEDS)],
    control={
        "the rarer half of the common latents": [of_halves(old(i), groups(old(i))[1]) for i in SEEDS],
        "the rarer half of April 2024": [of_halves(april(PENALTY, seed=i), all_latents) for i in SEEDS],
    },
)
page.check(
    "recipes.rare-encoders-alike",
    [more_alike(old(seed)) for seed in SEEDS],
    control={"parted at random": [more_alike(old(seed), run.generator(seed, "parted")) for seed in SEEDS]},
)

# %% [markdown]
# So the rare latents are a group of their own: their decoder rows hardly left the random start, while those of common latents have left it, whether these
# are used much or less. Only the few latents whose density lies between those of the two groups also have a cosine that lies between. In this sense
# rare latents never found a direction. The claim does not say why. That the encoder rows of rare latents are *nearly the same* is not what we see; they
# are only a little more alike than others.
#
# ### Does it need a long run, or this start?
# The paper's runs have a million steps. Here are shorter and longer runs of the recipe of 2023 (the rate is constant and the batches are the same, so that
# a shorter run is the beginning of a longer one), and one in which only the start differs: the encoder parallel to the decoder. All are of seed 0.

# %%
parallel = old(transposed_start=True)
runs = {f"{steps:,} steps": old(steps=steps) for steps in sorted((*cfg.longer, cfg.old_steps))}
for name, config in (runs | {"parallel start": parallel}).items():
    density, (rare, common) = found(config)["density"], groups(config)
    text = f"valley {valley(density)[0]:.2f}, {rare.sum()} rare, half below {density[rare].median():.1e}"
    text += f"; {common.sum()} common, {(density == 0).sum()} never active; loss {found(config)['loss']:.2f}"
    print(f"{name:14} {config.train.steps * cfg.batch:10,} tokens: {text}")
    for what, cosines in {"encoder, decoder": two_rows, "decoder, its start": kept}.items():
        of_rare, of_common = medians(cosines, config)
        print(f"{'':15}cos({what}): rare {of_rare:.2f}, common {of_common:.2f}")

# %% [markdown]
# The groups part early, and with more steps the rare group becomes rarer. Its decoder rows are as near to their start in the longest run as in the
# shortest: they stop moving before the groups have parted. So it cannot be told from this whether a latent becomes rare because it finds no direction,
# or finds none because it is rare.
#
# The parallel start has rare latents too, but fewer, and a lower loss. Their decoder rows are again near their start, and for that reason the cosine of
# encoder and decoder is the *larger* one among the rare. So that cosine, on which the explanation of February 2024 rests, shows how the rows were placed at
# the start, and not whether a latent has found a direction.
#
# Look at the recipes one by one. The menu chooses between dictionaries that the page has trained.

# %%
by_penalty = zip(cfg.penalties, spread[0], strict=True)
stored = compared | {f"April 2024, λ = {penalty:g}": each for penalty, each in by_penalty}


def one_recipe(which):
    each = stored[which]
    name = f"{which}: L0 {each['l0']:.1f}, loss {each['loss']:.2f} (no dictionary {L_base:.2f})"
    return plots.densities({name: each["density"].numpy()}, 1 / tokens_seen)


widgets.live(one_recipe, which=tuple(stored))

# %% [markdown]
# <a id="resampling"></a>
# ## 5 Restarting dead latents
# The paper's remedy is to *resample*: four times in a run, latents that have been silent for long get new rows. In its appendix this is done in six
# steps. (1) Dead is what was silent over a fixed number of steps. (2) Compute the loss of many inputs. (3) Draw one input per dead latent, with a
# probability proportional to the *square* of its loss. (4) The decoder row becomes that input at length 1. (5) The encoder row becomes the same direction, at
# 0.2 times the mean length of the encoder rows of living latents, and the bias 0. (6) Adam's running means for all these entries are set to 0. Without the
# last step Adam would go on moving the new rows in the direction of the old ones.


# %%
@torch.no_grad()
def resample(sae, adam, x, dead, generator, penalty):
    f = torch.relu((x - sae.b_pre) @ sae.W_enc.T + sae.b_enc)  # (S, n)
    losses = (f @ sae.W_dec + sae.b_pre - x).square().sum(dim=1) + penalty * f.sum(dim=1)  # 2
    drawn = torch.multinomial(losses.square().cpu(), len(dead), generator=generator).to(dead)  # 3
    directions = normalize(x[drawn], dim=1)
    length = sae.W_enc[torch.isin(torch.arange(sae.n).to(dead), dead, invert=True)].norm(dim=1).mean()
    sae.W_dec[dead] = directions  # 4
    sae.W_enc[dead], sae.b_enc[dead] = 0.2 * length * directions, 0.0  # 5
    for parameter in (sae.W_enc, sae.W_dec, sae.b_enc):
        for mean in ("exp_avg", "exp_avg_sq"):
            adam.state[parameter][mean][dead] = 0  # 6


# %% [markdown]
# `recipe.resample` is the package's. From the same model, optimiser and generator both must make exactly the same rows. We take the trained dictionary of
# section 4, let Adam make one step so that it has something to forget, and call its never active latents dead, with some others.


# %%
def after_restart(restart):
    sae = copy.deepcopy(dictionaries.dictionary(old()).sae).double().requires_grad_(True)
    adam = torch.optim.Adam(sae.parameters(), cfg.lr)
    terms = sae.terms(sample[:256])
    (terms.error + PENALTY * terms.penalty).backward()
    adam.step()
    restart(sae, adam, sample, dead, run.generator(0, "restart"), PENALTY)
    memory = [adam.state[part]["exp_avg"] for part in (sae.W_enc, sae.W_dec, sae.b_enc)]
    return [part.detach() for part in (sae.W_enc, sae.W_dec, sae.b_enc, *memory)]


factor = dictionaries.dictionary(old()).factor  # what activations are multiplied by
sample = (acts.flatten(0, 1)[: 64 * 64 : 2] * factor).double()  # (S, 512)
never = (found(old())["density"] == 0).nonzero().flatten()
dead = torch.cat([never, torch.arange(8)]).unique().to(acts.device)
by_hand, packaged = after_restart(resample), after_restart(recipe.resample)
assert all(torch.equal(*pair) for pair in zip(by_hand, packaged, strict=True))
W_enc, W_dec, b_enc, *memory = by_hand
lengths = W_enc.norm(dim=1)
living = torch.ones(len(W_enc), dtype=torch.bool).index_fill(0, dead.cpu(), False)
assert torch.allclose(lengths[dead], 0.2 * lengths[living].mean())
assert torch.allclose(W_dec[dead].norm(dim=1), torch.ones_like(lengths[dead]))
assert not any(part[dead].any() for part in memory)
print(f"{len(dead)} latents restarted")

# %% [markdown]
# ### Does being active prove anything?
# After the restart the new latents should be active. A test of that kind passes easily: their bias is 0, so that a row in *any* direction is active on
# about half of all tokens. Here are the shares of tokens on which new latents are active at once, with rows from inputs and with random rows.


# %%
def random_rows(sae, adam, x, dead, generator, penalty):
    """As `resample`, but with random directions in the place of inputs."""
    resample(sae, adam, x, dead, generator, penalty)
    directions = normalize(torch.randn(len(dead), sae.d, generator=generator).to(x), dim=1)
    with torch.no_grad():
        sae.W_enc[dead] = sae.W_enc[dead].norm(dim=1, keepdim=True) * directions
        sae.W_dec[dead] = directions


centre = dictionaries.dictionary(old()).sae.b_pre.double()
for name, (W_enc, _, b_enc, *_) in {"inputs": by_hand, "random": after_restart(random_rows)}.items():
    active = ((sample - centre) @ W_enc[dead].T + b_enc[dead] > 0).double().mean()
    print(f"rows from {name}: active on {active:.0%} of the tokens right after the restart")

# %% [markdown]
# So the question is what becomes of them. For that we need a training loop in which the restart can be exchanged. It is the loop of [page
# 8](08_sae_training.ipynb#training) with the penalty of 2023 in the place of TopK, and a count of how long each latent has been silent.


# %%
def train_old(config, restart):
    """The recipe of 2023. Returns a dictionary of activations as they are."""
    train, (batches, acts) = config.train, dictionaries.batches_of(config)
    factor = (acts.shape[1] / acts.square().sum(dim=1).mean()).sqrt().item()
    x = acts * factor  # the sample: mean |x|² = d
    draws = run.generator(config.seed, "restarts")
    sae = recipe.start(x, train, run.generator(config.seed, "start", device=run.device()))
    adam = torch.optim.Adam(sae.parameters(), train.lr, eps=6.25e-10)
    silence = torch.zeros(train.n, dtype=torch.long, device=x.device)
    for step, batch in enumerate(islice(batches, train.steps)):
        dead = (silence > train.dead_after_tokens).nonzero()[:, 0]
        if step in train.resample_at and len(dead):
            restart(sae, adam, x[: train.median_sample], dead, draws, train.penalty)
            silence[dead] = 0
        xb = batch * factor
        f = torch.relu((xb - sae.b_pre) @ sae.W_enc.T + sae.b_enc)
        x_hat = f @ sae.W_dec + sae.b_pre
        loss = ((x_hat - xb).square().sum() + train.penalty * f.sum()) / len(xb)
        adam.zero_grad()
        loss.backward()
        recipe.constrain_decoder(sae)  # rows back to length 1, their gradient made tangent
        adam.step()
        silence = torch.where((f > FIRED).any(dim=0), 0, silence + len(xb))
    recipe.constrain_decoder(sae)
    return Raw(sae.requires_grad_(False), factor=factor)


# %% [markdown]
# Without restarts it must do what the package does. Rounding differs, and a relu network amplifies that, so that after training we compare the error and
# $L_0$, and not the weights.

# %%
short = old(steps=40, median_sample=4096)
text = dictionaries.heldout(short)
ours, theirs = train_old(short, resample), dictionaries.dictionary(short)
x = text.resid[:16]
errors = [reconstruction.normalised_mse(x, through(sae, x)) for sae in (ours, theirs)]
sizes = [reconstruction.l0(sae.encode(x)) for sae in (ours, theirs)]
assert abs(errors[0] / errors[1] - 1) < 0.01
assert abs(sizes[0] / sizes[1] - 1) < 0.02
print(f"error {errors[0]:.4f} by hand, {errors[1]:.4f} by the package; L0 {sizes[0]:.1f} and {sizes[1]:.1f}")

# %% [markdown]
# Three arms from the same start, on the same batches: no restarts, restarts on inputs, restarts on random rows. What do we expect? With restarts fewer
# latents should be without use at the end, and the error should be lower. If the input as a direction matters, random rows should do less well. As
# "without use" we count every latent below the valley, dead ones included.


# %%
RESTARTED = dict(resample_at=cfg.resample_at)


def measure_random(what):
    """The arm that the package does not have."""
    config, topk, every = what
    return measured_with(train_old(config, random_rows), topk, every)


def found_random(seed):
    return memo.memo(measure_random, (old(seed, **RESTARTED), cfg.topk, cfg.every))


arms = {
    "no restarts": [found(old(seed)) for seed in SEEDS],
    "restarted on inputs": [found(old(seed, **RESTARTED)) for seed in SEEDS],
    "restarted on random rows": [found_random(seed) for seed in range(cfg.controls)],
}
border = [found(old(seed))["density"][groups(old(seed))[1]].min().item() for seed in SEEDS]


def unused_in(runs):
    """Share of latents below the valley that the run without restarts has."""
    shares = [each["density"] < place for each, place in zip(runs, border, strict=False)]
    return [share.double().mean().item() for share in shares]


without_use = {name: unused_in(runs) for name, runs in arms.items()}
for name, runs in arms.items():
    l0, loss, mse = (np.mean([each[what] for each in runs]) for what in ("l0", "loss", "mse"))
    unused = np.mean(without_use[name])
    print(f"{name:25} without use {unused:.0%}, L0 {l0:.1f}, error {mse:.3f}, loss {loss:.3f}")

# %% [markdown]
# The first claim: in every seed restarts on inputs lower the share of latents without use by a tenth at least. Living latents alone prove little, since
# they could be living without reconstructing anything. So the second claim is about the error: it must fall by two hundredths of what it is without
# restarts. The control of both is random rows, at the same steps: the boring explanation would be that any new row will do.


# %%
def over_no_restarts(values, arm):
    """Of the seeds that the arm has, its value over that of the run without restarts."""
    return [here / there for here, there in zip(values[arm], values["no restarts"], strict=False)]


page.check(
    "recipes.restarts-revive",
    over_no_restarts(without_use, "restarted on inputs"),
    control={"random rows": over_no_restarts(without_use, "restarted on random rows")},
)
errors = {name: [each["mse"] for each in runs] for name, runs in arms.items()}
page.check(
    "recipes.restarts-lower-error",
    over_no_restarts(errors, "restarted on inputs"),
    control={"random rows": over_no_restarts(errors, "restarted on random rows")},
)

# %% [markdown]
# So it matters where a new latent points. Restarted on an input, some latents stay active; in a random direction (two seeds) they are soon as rare as
# before, and the error is that of the run without restarts. Three things are not shown. Whether the input must be a badly reconstructed one is not asked
# here. The runs have the same $\lambda$ and not the same $L_0$ (compare it in the table above the cards), so that a part of the lower error may be due to more
# active latents per token. And many latents are still without use at the end. The parallel start of section 4 does more than the restarts (compare its
# loss there with the one above), and the recipe of April 2024, which has that start, has no dead latents to revive.
#
# The paper warns that the loss jumps at every restart, because a dictionary with new rows has to settle again. In the histories of the training runs (the error
# of every tenth batch) this can be seen, and also whether it pays.

# %%
runs = {"no restarts": old(), "restarted on inputs": old(**RESTARTED)}
histories = {name: dictionaries.history(config) for name, config in runs.items()}
curves = {name: [(held["tokens"], held["mse"])] for name, held in histories.items()}
looks = [dict(color=CONTROL, lw=1.3), dict(color=OURS, lw=1.3)]
figure = lines(
    Panel(None, curves, "tokens seen", Log("normalised error of a batch", every=MANY), looks),
    size=(5.4, 3.2),
)
for step in cfg.resample_at:
    figure.axes[0].axvline(step * cfg.batch, color=MARKED, lw=0.8, ls=":")
page.save_figure(
    figure,
    "restarts",
    {"resampled at": cfg.resample_at} | {name: held["mse"] for name, held in histories.items()},
    "Look at the dotted lines, where dead latents are restarted: does the error jump, and does it then fall "
    f"below that of the run without restarts (grey)? Recipe of 2023, λ = {PENALTY:g}, n = {cfg.april[-1]}, "
    f"batches of {cfg.batch} tokens, seed 0.",
)

# %% [markdown]
# <a id="your-turn"></a>
# ## 6 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* In the recipe of April 2024 decoder rows have any length, so that $f_i$ alone does not say how active a latent is. Rewrite a trained
#    dictionary so that its rows have length 1. Which tensors change, and what must stay the same?
#    <details><summary>Hint</summary>Multiply $f_i$ by $|d_i|$: the encoder row and its bias.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    made = dictionaries.dictionary(april(PENALTY)).sae
#    unit, lengths = copy.deepcopy(made), made.W_dec.norm(dim=1)
#    unit.W_dec /= lengths[:, None]
#    unit.W_enc *= lengths[:, None]
#    unit.b_enc *= lengths
#    x = (acts[:2].flatten(0, 1) * factor).float()
#    assert torch.allclose(unit.decode_normalised(unit.encode_normalised(x)), made(x), atol=1e-3)
#    assert torch.allclose(unit.latents(x).sum(), made.terms(x).penalty, rtol=1e-3)
#    print(f"lengths of the rows: {lengths.min():.2f} to {lengths.max():.2f}")
#    ```
#
#    The reconstruction is the same, and the plain L1 of the rewritten dictionary is the April penalty of the first one.
#    </details>
# 2. *(5 minutes)* An error in the conversion of section 3: somebody uses the paper's coefficient of $0.004$ with the error as a sum over 512 entries. By
#    which factor is their penalty too weak? What if the width is 2048?
#    <details><summary>Hint</summary>A mean over $D$ entries is a sum divided by $D$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    for width in (512, 2048):
#        right = dense.convert_l1(4e-3, dense.BRICKEN_2023, dense.APRIL_2024, width, batch=8192)
#        print(f"D = {width}: {right:.2f} and not 4e-3, a factor of {right / 4e-3:.0f}")
#        assert np.isclose(right / 4e-3, width)
#    ```
#
#    The factor is the width itself, so that the right coefficient in one form depends on the model.
#    </details>
# 3. *(5 minutes)* How many of all activations belong to rare latents? Take the dictionary of 2023 without restarts.
#    <details><summary>Hint</summary>The sum of the densities of a group is its part of $L_0$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    each = found(old())
#    rare, common = groups(old())
#    part = each["density"][rare].sum().item() / each["l0"]
#    print(f"{rare.double().mean():.0%} of the latents are rare; they have {part:.1%} of all activations")
#    assert part < 0.5
#    ```
#
#    A small part. Neither $L_0$ nor the loss would show that most of the dictionary is hardly used, which is why the paper looks at densities.
#    </details>
# 4. *(5 minutes)* Inputs are drawn by the square of their loss. How much likelier is an input with three times the loss of another? Check it with a
#    simulation of the drawing.
#    <details><summary>Hint</summary>`torch.multinomial(losses.square(), 100_000, replacement=True)`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    losses = torch.tensor([1.0, 1.0, 3.0])
#    drawn = torch.multinomial(losses.square(), 100_000, replacement=True, generator=run.generator(0, "drawn"))
#    counts = torch.bincount(drawn).double()
#    print(f"drawn {counts[2] / counts[:2].mean():.2f} times as often")
#    assert abs(counts[2] / counts[:2].mean() - 9) < 0.5
#    ```
#
#    Nine times. The square prefers inputs that the dictionary fails on, and with them also outliers.
#    </details>
#
# <a id="limits"></a>
# ## 7 Limits
# - The runs are short, and the dictionaries small. The paper's rare latents are some hundreds of times rarer than ours; whether ours would become theirs in
#   a million steps is not shown. Section 4 shows only where they go in a few thousand.
# - That rare latents stayed at their start says what they are and not how they became so: rare for want of a direction, or without a direction because
#   they were rare.
# - One learning rate for both recipes. At three times that rate most latents of the April recipe died within the first steps (seed 100, $n = 512$,
#   $\lambda = 3$), so that its report of hardly any dead latents holds for a rate that suits the length of the run.
# - The recipes of 2023 and 2024 differ in six parts and here in the number of steps; only the parallel start is varied alone.
# - They are compared at the same $\lambda$ and not at the same $L_0$. The recipe of 2023 has fewer active latents per token here, and restarts add some, so
#   that the losses and errors of the recipes do not say which gives more at equal sparsity.
# - The share of the loss recovered is of one model, in which zero ablation does unusual harm. In another model it may be a stricter measure.
# - Restarts come later in the run than the paper's 2.5 to 10 %: at these shares of a short run no latent has been silent yet.
# - Only neurons of a one-layer model. On a residual stream the loss recovered, and its zero point, are other numbers ([page
#   8](08_sae_training.ipynb#reconstruction)).
#
# <a id="checked"></a>
# ## 8 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
