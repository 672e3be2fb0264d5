# %% [markdown]
# # 8b. Eight ways to be sparse, compared at equal tokens
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/08b_activation_functions.ipynb)
#
# **Claim.** At the same number of active latents TopK reconstructs better than a ReLU autoencoder with an L1 penalty; Gated and JumpReLU, which
# pay too, come near it. Most of the difference from ReLU is shrinkage, and can be taken back after training; the rest is in the latents themselves:
# which were chosen, and their decoder rows.
#
# Paper: Gao et al., *Scaling and evaluating sparse autoencoders* (2024), [figures 2 and 5, section 5](https://arxiv.org/abs/2406.04093).
#
# **Difference to the paper.**
# - At `laptop` the subject is a 4-layer GPT-2 trained on Python's library, dictionaries have hundreds of latents, and every run sees
#   some hundred thousand tokens, each once. Curves are short of convergence, not all of them equally.
# - Added: JumpReLU, BatchTopK and Matryoshka, which are younger than the paper or not in its figure; ProLU is left out.
# - Added: planted features, which tell shrinkage from a wrong choice.
#
# **Time.** `quick` under half a minute, `laptop` some five minutes on two cores, `paper` a GPU and a network.

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch

from companion import claims, dictionaries, memo, run
from companion.evals import reconstruction, refine
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.plots import sae as plots
from companion.sae import dense, recipe, train
from companion.sae.models import normalise
from companion.sae.recipe import TrainConfig
from companion.toy import planted

# %% [markdown]
# ## What is compared
# The kinds by their names in the package. Those of the first line keep a number of latents, those of the second pay for them.

# %%
KEEP = {"topk": "TopK", "multi_topk": "Multi-TopK", "batch_topk": "BatchTopK", "matryoshka": "Matryoshka"}
PAY = {"relu": "ReLU (2023)", "relu_norm": "ReLU (April 2024)", "gated": "Gated", "jumprelu": "JumpReLU"}
NAMES = KEEP | PAY
PILOT = (100, 101)  # seeds on which learning rates are chosen


@dataclass(frozen=True)
class Planted:
    """Data whose directions are known, and the autoencoders that look for them."""

    train: TrainConfig
    features: int
    width: int  # dimensions they share
    density: float  # probability that a feature is active
    samples: int  # vectors for the start and for every measurement; training sees fresh ones
    seed: int = 0

    def directions(self) -> torch.Tensor:
        return planted.directions(self.features, self.width, run.generator(self.seed, "features", device=run.device()))


def shared(subject, layer, contexts, heldout=192, **settings) -> dictionaries.DictionaryConfig:
    common = TrainConfig(k=1, decay=0.2, median_sample=8192, log_every=25, **settings)
    return dictionaries.DictionaryConfig(subject, common, layer, contexts, heldout=heldout)


def own(k: int, rate: float, **coefficients: float) -> dict[str, tuple[float, float]]:
    """k or coefficient, and rate, of every kind."""
    return {kind: (coefficients.get(kind, k), rate) for kind in NAMES}


# %% [markdown]
# ## Parameters
# One row per profile. Each kind is trained at several sparsities, `kept` for those that keep a number and `penalties` for those that pay, so
# that all of them cross the range of $L_0$ in which they are compared.
#
# Learning rates are chosen on two seeds that nothing else uses (`PILOT`): the rate with the lowest error at the middle of that range, averaged
# over both; for kinds that are drawn with one seed only, on the first of the two. The `laptop` row holds the outcome of that search, over rates
# that differ by factors of two (values in the page's claims file): for every kind the rates next to the one shown have a higher error. A row
# with several rates, as `paper`, searches when it runs.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    stream: dictionaries.DictionaryConfig  # subject, site, and what all runs on it share
    rates: dict[str, tuple[float, ...]]  # learning rates of each kind; of several the best on the pilot seeds is taken
    kept: tuple[int, ...]  # k of those that keep
    penalties: dict[str, tuple[float, ...]]  # coefficients of those that pay
    grid: tuple[float, float]  # range of L0 in which kinds are compared
    sizes: tuple[int, ...]  # numbers of latents, for figure 2b
    planted: Planted
    planted_own: dict[str, tuple[float, float]]  # of each kind on planted data: k or coefficient, and learning rate
    refined: int = 256  # held-out tokens whose amounts are refined
    seeds: int = 5


gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
COEFFICIENTS = dict(relu=2.0, relu_norm=1.5, gated=5.0, jumprelu=0.8)
cfg = run.choose(
    quick=Config(
        shared(TINY, 0, 300, n=64, steps=30, batch=256, dead_after_tokens=5_000), rates=dict.fromkeys(NAMES, (1e-2,)), kept=(4, 8, 16),
        penalties=dict(relu=(0.5, 1.0, 4.0), relu_norm=(4.0, 8.0, 12.0), gated=(4.0, 8.0, 16.0), jumprelu=(4.0, 8.0, 16.0)),
        grid=(7, 14), sizes=(32, 64),
        planted=Planted(TrainConfig(n=64, k=4, steps=200, batch=256), 32, 16, 0.03, 3000),
        planted_own=own(4, 1e-2, **COEFFICIENTS), refined=32, seeds=1,
    ),
    laptop=Config(
        shared(dictionaries.offline_subject("python-stdlib-4l"), 2, 1000, n=512, steps=500, batch=256, dead_after_tokens=20_000),
        rates=dict.fromkeys(NAMES, (1e-2,)) | dict(matryoshka=(5e-3,), relu=(2e-2,), gated=(2e-2,)), kept=(8, 16, 32),
        penalties=dict(relu=(0.8, 1.5, 2.7), relu_norm=(1.0, 1.8, 3.5), gated=(1.3, 2.3, 3.8), jumprelu=(0.25, 0.5, 1.2)), grid=(10, 23),
        sizes=(256, 512, 1024),
        planted=Planted(TrainConfig(n=192, k=4, steps=500, batch=256, dead_after_tokens=15_000, decay=0.2), 96, 32, 0.02, 10_000),
        planted_own=own(4, 1e-2, **COEFFICIENTS),
    ),
    paper=Config(
        shared(gpt2, 8, 48_000, heldout=2048, n=2**15, steps=20_000, batch=8192, dead_after_tokens=3_000_000),
        rates=dict.fromkeys(NAMES, (1e-4, 2e-4, 4e-4, 8e-4)), kept=(16, 32, 64, 128),
        penalties=dict.fromkeys(PAY, (1.0, 3.0, 9.0, 27.0)), grid=(20, 100), sizes=(2**13, 2**14, 2**15),
        planted=Planted(TrainConfig(8192, 10_000, 8192, 12), 4096, 512, 0.002, 32_768),
        planted_own=own(12, 4e-4, **COEFFICIENTS),
    ),
)  # fmt: skip
page = claims.Page("08b_activation_functions", cfg)
cfg

# %% [markdown]
# ## 1. Eight kinds in one notation
# With $p = W_{enc}(x - b_{pre}) + b_{enc}$ for the pre-activations and $\hat x(z) = W_{dec} z + b_{pre}$, all sums over a batch:
#
# | kind | latents $z$ | loss beside $\lVert\hat x(z) - x\rVert^2$ | decoder rows |
# |---|---|---|---|
# | TopK | $\mathrm{relu}(\mathrm{TopK}_k(p))$ | none | unit |
# | Multi-TopK | the same | $+ \frac18 \lVert\hat x(z_{4k}) - x\rVert^2$ | unit |
# | BatchTopK | the $Bk$ largest entries of the whole batch | none | unit |
# | Matryoshka | as BatchTopK | the error is a mean over prefixes $\hat x(z_{<m})$ | unit |
# | ReLU (2023) | $\mathrm{relu}(p)$ | $+ \lambda \sum_i z_i$ | unit |
# | ReLU (April 2024) | $\mathrm{relu}(W_{enc} x + b_{enc})$ | $+ \lambda \sum_i z_i \lVert W_{dec,i}\rVert$ | free |
# | Gated | $1[g > 0]\; \mathrm{relu}(e^{r} q + b_{enc})$ | $+ \lambda \sum_i \mathrm{relu}(g_i)$ and the error of $\hat x(\mathrm{relu}(g))$ | unit |
# | JumpReLU | $p\, 1[p > \theta]$, $\theta \ge 0$ | $+ \lambda \sum_i 1[p_i > \theta_i]$ | unit |
#
# In Gated $q = W_{enc}(x - b_{pre})$ and $g = q + b_{gate}$. Each is a few dense lines. The package writes the first four without ever building $z$.


# %%
def kept(p, k):
    top = p.topk(k, dim=1)
    return torch.zeros_like(p).scatter(1, top.indices, torch.relu(top.values))


def formula(sae, x):
    """Squared error and penalty, from the table."""
    q = (x - sae.b_pre) @ sae.W_enc.T
    p, k, wd = q + sae.b_enc, sae.k, sae.W_dec
    error = lambda z: (z @ wd + sae.b_pre - x).square().sum()  # noqa: E731
    match sae.kind:
        case "topk":
            return error(kept(p, k)), 0
        case "multi_topk":
            return error(kept(p, k)) + error(kept(p, 4 * k)) / 8, 0
        case "batch_topk" | "matryoshka":
            z = torch.relu(p) * (p >= p.flatten().topk(len(x) * k).values[-1])
            sizes = [sae.n] if sae.kind == "batch_topk" else [sae.n * m // 32 for m in (1, 3, 7, 15, 32)]
            return sum(error(z * (torch.arange(sae.n) < size)) for size in sizes) / len(sizes), 0
        case "relu":
            return error(torch.relu(p)), torch.relu(p).sum()
        case "relu_norm":
            z = torch.relu(x @ sae.W_enc.T + sae.b_enc)
            return error(z), (z * wd.norm(dim=1)).sum()
        case "gated":
            g = q + sae.b_gate
            z = torch.relu(sae.r_mag.exp() * q + sae.b_enc) * (g > 0)
            return error(z) + error(torch.relu(g)), torch.relu(g).sum()
        case "jumprelu":
            on = p > sae.threshold.clamp_min(0)
            return error(p * on), on.sum()


# %% [markdown]
# The check is made away from the start, with every parameter moved at random, in double precision.

# %%
x64 = torch.randn(96, 24, generator=run.generator(0, "examples"), dtype=torch.float64)
for kind in NAMES:
    moved = recipe.model_class(kind).random(24, 64, 3 if kind in KEEP else None, run.generator(0, kind)).double()
    for parameter in moved.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=run.generator(0, "moved"), dtype=torch.float64)
    ours, by_hand = moved.terms(x64), formula(moved, x64)
    assert all(torch.allclose(a.double(), torch.as_tensor(b).double()) for a, b in zip((ours.error, ours.penalty), by_hand, strict=True)), kind

# %% [markdown]
# ### Three ways to write one loss
# "The L1 coefficient" of three public recipes is .004, 5 and 3e-4. They differ in what is a sum and what is a mean:
#
# | recipe | error over the $d$ entries | penalty over the $B$ tokens | width, batch |
# |---|---|---|---|
# | Towards Monosemanticity (2023) | mean | mean | 512, 8192 |
# | April 2024 update | sum | mean | any |
# | open replication of the first | sum | sum | 2048, 4096 |
#
# In one unit, sums over $d$ and means over $B$, they differ by a small factor:

# %%
PUBLISHED = {
    "2023": (0.004, dense.BRICKEN_2023, 512, 8192),
    "April 2024": (5.0, dense.APRIL_2024, 512, 2048),
    "replication": (3e-4, dense.NANDA_2023, 2048, 4096),
}
print({name: round(dense.convert_l1(c, form, dense.APRIL_2024, width, batch), 2) for name, (c, form, width, batch) in PUBLISHED.items()})

# %% [markdown]
# A converter is right if it leaves the gradient's direction alone, which is all that Adam sees. The three losses are written out by hand:


# %%
def loss_in(form, coefficient, sae, x):
    z = torch.relu((x - sae.b_pre) @ sae.W_enc.T + sae.b_enc)
    error = (z @ sae.W_dec + sae.b_pre - x).square()
    error = (error.mean(1) if form.error_over_width == "mean" else error.sum(1)).mean()
    penalty = z.sum(1).mean() if form.penalty_over_batch == "mean" else z.sum()
    return error + coefficient * penalty


def direction(form, coefficient):
    one = recipe.model_class("relu").random(24, 64, None, run.generator(0, "one")).double()
    flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss_in(form, coefficient, one, x64), list(one.parameters()))])
    return flat / flat.norm()


# %% [markdown]
# Two directions are compared for each pair of conventions: with the coefficient converted they must be the same, and with the coefficient copied
# unchanged they must differ.

# %%
for a, b in itertools.permutations((dense.BRICKEN_2023, dense.APRIL_2024, dense.NANDA_2023), 2):
    assert (direction(a, 0.1) - direction(b, dense.convert_l1(0.1, a, b, 24, 96))).norm() < 1e-9
    assert (direction(a, 0.1) - direction(b, 0.1)).norm() > 0.1, "a coefficient copied from one convention to another"

# %% [markdown]
# ## 2. At equal tokens, over a common range of $L_0$ (figures 2 and 5)
# Same pool, same order, same number of steps for all. The two ReLU kinds are trained by their whole recipes: 2023 with a constant rate, the
# full penalty from the first step, an independent encoder and four resamplings of dead latents; April 2024 with a falling rate, a penalty that
# rises, clipped gradients and no other remedy for dead latents. All others share the TopK paper's start, the falling rate and the averaged
# weights; a kind that imposes its sparsity has AuxK, Gated and JumpReLU have the rising penalty of the April recipe and the momentum-free Adam
# of their papers.


# %%
def recipe_of(kind: str, common: TrainConfig, sparsity: float, rate: float) -> TrainConfig:
    """The training of one kind, as long and as wide as `common`; `sparsity` is k or the coefficient of the penalty."""
    named = {"relu": recipe.bricken_2023, "relu_norm": recipe.april_2024}
    if kind in named:
        kept = dict(median_sample=common.median_sample, log_every=common.log_every)
        return named[kind](common.n, common.steps, common.batch, sparsity, rate, **kept)
    pays = dict(k=None, penalty=sparsity, penalty_warmup=recipe.warmup_steps(0.05, common.steps), aux_k=0)
    return replace(common, kind=kind, lr=rate, **(dict(k=int(sparsity)) if kind in KEEP else pays))


def run_of(kind: str, level: int, seed: int = 0, n: int | None = None, rate: float | None = None) -> dictionaries.DictionaryConfig:
    """One dictionary: `level` counts a kind's sparsities, `n` its latents."""
    common = replace(cfg.stream.train, n=n or cfg.stream.train.n)
    sparsity = (cfg.kept if kind in KEEP else cfg.penalties[kind])[level]
    return replace(cfg.stream, train=recipe_of(kind, common, sparsity, rate or rate_of(kind)), seed=seed)


# %% [markdown]
# What is measured, on held-out contexts spread over all files: $L_0$, the normalised MSE, and how much the loss of the subject rises with the
# reconstruction in place of its stream at every position (on a quarter of the contexts). Values are read off between the sparsities trained,
# linearly in their logarithms, at points of a range of $L_0$ that every kind covers.


# %%
def rise(config, x_hat):
    """Nats per token that the subject loses with `x_hat` in place of its stream, on every fourth context."""
    text = dictionaries.heldout(config)
    losses = [text.subject.losses_from(stream[::4], text.tokens[::4], config.layer).double().mean() for stream in (x_hat, text.resid)]
    return (losses[0] - losses[1]).item()


def measure(config):
    sae, text = dictionaries.dictionary(config), dictionaries.heldout(config)
    x = text.x.flatten(0, 1)
    code = sae.encode(x)
    mse = reconstruction.normalised_mse(x, sae.decode(code))
    return {"l0": reconstruction.l0(code), "mse": mse, "rise": rise(config, sae.reconstruct(text.resid))}


@functools.cache
def measured(config):
    return memo.memo(measure, config)


def points(kind, seed=0, what="mse", **changed):
    """(L0, value) of a kind's sparsities."""
    runs = [measured(run_of(kind, level, seed, **changed)) for level in LEVELS]
    return [(found["l0"], found[what]) for found in runs]


def on_grid(curve, grid):
    l0, values = np.log(sorted(curve)).T
    return np.exp(np.interp(np.log(grid), l0, values, left=np.inf, right=np.inf))


@functools.cache
def rate_of(kind):
    """The learning rate with the lowest error on the pilot seeds; a single one is the outcome of an earlier search."""
    tried = cfg.rates[kind]
    cost = lambda rate: np.mean([on_grid(points(kind, seed, rate=rate), MIDDLE) for seed in PILOT])  # noqa: E731
    return tried[0] if len(tried) == 1 else min(tried, key=cost)


LEVELS = range(len(cfg.kept))
GRID = np.geomspace(*cfg.grid, 8)
MIDDLE = np.array([np.sqrt(cfg.grid[0] * cfg.grid[1])])
SEEDS = range(cfg.seeds)
COMPARED = ("topk", "relu_norm")  # five seeds; the ReLU recipe of the two with the lower error on the pilot seeds
drawn = {kind: SEEDS if kind in COMPARED else range(1) for kind in NAMES}
mse, delta = ({kind: [points(kind, seed, what) for seed in drawn[kind]] for kind in NAMES} for what in ("mse", "rise"))

# %% [markdown]
# The paper finds TopK below ReLU and near Gated. Pale lines are further seeds. A kind is better the further down and to the left it lies; the
# grey band is the range of $L_0$ in which kinds are compared.

# %%
curves = lambda found: {NAMES[kind]: [np.array(sorted(points)).T for points in seeds] for kind, seeds in found.items()}  # noqa: E731
panels = {"normalised MSE": curves(mse), "rise of the loss (nats per token)": curves(delta)}
page.save_figure(plots.frontiers(panels, cfg.grid), "Fig2a_Fig5_frontiers", {"rates": {kind: rate_of(kind) for kind in NAMES}} | panels)

# %% [markdown]
# Counted on the grid. The control gives TopK an encoder that was never trained, at the same sparsities: it must not beat ReLU.


# %%
def share_below(first, second):
    return [np.mean(on_grid(a, GRID) <= on_grid(b, GRID)).item() for a, b in zip(first, second, strict=True)]


text = dictionaries.heldout(cfg.stream)
x = text.x.flatten(0, 1)
some = x[:: max(1, len(x) // 4096)]


def untrained(level, seed):
    start = recipe.start(x[:4096], run_of("topk", level).train, run.generator(seed, "untrained", device=run.device())).requires_grad_(False)
    code = start.encode(some)
    return reconstruction.l0(code), reconstruction.normalised_mse(some, start.decode(code))


before_training = [[untrained(level, seed) for level in LEVELS] for seed in SEEDS]
page.check(
    "act.topk-below-relu",
    share_below(mse["topk"], mse["relu_norm"]),
    control={"TopK before training, at the same sparsities": share_below(before_training, mse["relu_norm"])},
)

# %% [markdown]
# Is the advantage larger on the loss than on the error, beyond what the error itself explains? Two kinds are compared where their errors are
# equal: $\ln$ rise is read off linearly in $\ln$ MSE, within each seed, over the range of MSE that both curves cover. If TopK's advantage is
# larger downstream, ReLU's rise at equal MSE is larger. The control puts another seed of TopK in ReLU's place. The witness is an error of the
# same size that does more harm: some tokens' streams replaced by the mean, all others exact.


# %%
def curve(kind, seed):
    """ln MSE and ln rise of the sparsities of one seed, in order."""
    return np.log(sorted((m, r) for (_, m), (_, r) in zip(mse[kind][seed], delta[kind][seed], strict=True))).T


def at_equal_error(seed, second):
    """Rise of the second over that of TopK, the geometric mean over the MSE that TopK and ReLU of this seed cover."""
    first, relu = curve("topk", seed), curve("relu_norm", seed)
    both = np.linspace(max(first[0][0], relu[0][0]), min(first[0][-1], relu[0][-1]), 8)
    return np.exp(np.mean(np.interp(both, *second) - np.interp(both, *first)))


def some_replaced(seed):
    order = torch.rand(text.resid.shape[:2], generator=run.generator(seed, "replaced"))
    found = []
    for share in (0.1, 0.3):
        x_hat = torch.where((order < share)[..., None].to(text.resid.device), text.resid.mean((0, 1)), text.resid)
        found.append((reconstruction.normalised_mse(text.x, normalise(x_hat).x), rise(cfg.stream, x_hat)))
    return np.log(sorted(found)).T


page.check(
    "act.loss-advantage",
    [at_equal_error(seed, curve("relu_norm", seed)) for seed in SEEDS],
    control={"TopK of another seed": [at_equal_error(seed, curve("topk", (seed + 1) % cfg.seeds)) for seed in SEEDS]},
    witness=[at_equal_error(seed, some_replaced(seed)) for seed in SEEDS],
)

# %% [markdown]
# ### Against the number of latents (figure 2b)
# At one $L_0$, in the middle of the grid, at the rates found above, one seed. In the paper both errors fall with $n$ and TopK's falls faster.
# Here ReLU's error rises with $n$. That may be short training: a larger dictionary, trained to its end, should be no worse than a
# smaller one. How fast a kind learns cannot be told apart from how it scales in runs of this length, so no claim is made.

# %%
by_size = {kind: np.array([[on_grid(points(kind, s, n=n), MIDDLE)[0] for n in cfg.sizes] for s in range(1)]) for kind in COMPARED}
shown = {NAMES[kind]: values for kind, values in by_size.items()}
page.save_figure(plots.against_latents(cfg.sizes, shown, MIDDLE[0]), "Fig2b_against_latents", {"n": cfg.sizes, "L0": MIDDLE[0]} | shown)

# %% [markdown]
# ## 3. Shrinkage, and how much of it can be taken back
# A penalty on activations makes them too small: a little less costs the error little and saves the penalty at once. So the code's *support*
# is kept, and the best non-negative amounts on it are solved for with the decoder fixed (section 5.1),
#
# $$ \min_{z \ge 0,\; z_i = 0 \text{ off the support}} \; \lVert x - b_{pre} - W_{dec} z \rVert^2, $$
#
# one token at a time, by an active-set method. At the optimum no amount can move without loss, and no token is worse than before:


# %%
REFINED = cfg.refined


def refinement(config):
    """Errors with the encoder's amounts and with the best ones, and ln(best / encoder's) of latents that both have."""
    sae, x = dictionaries.dictionary(config), dictionaries.heldout(config).x.flatten(0, 1)
    part = x[:: max(1, len(x) // REFINED)]
    code, best = sae.encode(part), refine.refine(sae, part)
    for token in range(min(8, len(part))):
        on = code.values[token] > 0
        rows, amounts = sae.W_dec[code.indices[token, on]], best.values[token, on]
        slope = rows @ (amounts @ rows + sae.b_pre - part[token])  # half the derivative of the error
        assert (slope[amounts > 0].abs() < 1e-3).all()
        assert (slope[amounts == 0] > -1e-3).all()
    x_hats = sae.decode(code), sae.decode(best)
    errors = [(x_hat - part).square().sum(1) for x_hat in x_hats]
    assert (errors[1] <= 1.0001 * errors[0] + 1e-4).all(), "the encoder's amounts are among those minimised over"
    both = (code.values > 0) & (best.values > 0)
    before, after = (reconstruction.normalised_mse(part, x_hat) for x_hat in x_hats)
    return {"before": before, "after": after, "logs": (best.values / code.values)[both].log().double()}


@functools.cache
def refined(kind, seed, level=1):
    return memo.memo(refinement, run_of(kind, level, seed))


def at_equal_l0(seed, what):
    """TopK's error at the L0 of ReLU's middle penalty, read off between its k, which lie close to it."""
    curve = [(l0, refined("topk", seed, level)[what]) for level, (l0, _) in enumerate(mse["topk"][seed])]
    return on_grid(curve, [mse["relu_norm"][seed][1][0]])[0]


# %% [markdown]
# Left: where activations move, one seed. Right: what it is worth, at the $L_0$ of ReLU's middle penalty for both.

# %%
shrunk = {kind: [refined(kind, seed)["logs"].numpy() for seed in SEEDS] for kind in COMPARED}
errors = {
    "topk": [[at_equal_l0(seed, what) for seed in SEEDS] for what in ("before", "after")],
    "relu_norm": [[refined("relu_norm", seed)[what] for seed in SEEDS] for what in ("before", "after")],
}
means = {kind: np.array([ratios.mean() for ratios in shrunk[kind]]) for kind in COMPARED}
page.save_figure(
    plots.refinement({NAMES[kind]: shrunk[kind][0] for kind in COMPARED}, {NAMES[kind]: errors[kind] for kind in COMPARED}),
    "refinement",
    {"errors": errors, "mean log ratio": means},
)

# %% [markdown]
# Three sentences: ReLU's activations go up; TopK's hardly move; and refinement closes only part of the gap between the two. Controls of the
# first two are the other kind and the other ReLU recipe. The control of the third is a gap between two kinds in which nothing has shrunk: TopK
# with half as many latents, and TopK.


# %%
def closed(worse, better):
    """Share of the gap between two kinds, each (before, after), that refinement of both closes."""
    (w0, w1), (b0, b1) = worse, better
    return 1 - np.subtract(w1, b1) / np.subtract(w0, b0)


few, more = ([[refined("topk", seed, level)[what] for seed in SEEDS] for what in ("before", "after")] for level in (0, 1))
page.check("act.relu-shrinks", means["relu_norm"], control={"TopK, which has no penalty": means["topk"]})
page.check(
    "act.topk-shrinks-less",
    np.abs(means["topk"] / means["relu_norm"]),
    control={"the other ReLU recipe": np.abs(refined("relu", 0)["logs"].mean().item() / means["relu_norm"])},
)
page.check(
    "act.gap-partly-closed",
    closed(errors["relu_norm"], errors["topk"]),
    control={"between TopK with half as many latents and TopK": closed(few, more)},
)

# %% [markdown]
# ### Where the true amounts are known
# On planted data, sparse amounts $f$ of unit directions $W$, the truth has a scale: $x = \sum_i (f_i / s)\, W_i$, with $s$ the standard
# deviation that `normalise` divides by. Directions are planted with mean zero, so that centring leaves them alone. Vectors are drawn as they
# are needed; coefficients and rates are those that found most directions on a pilot seed.


# %%
FOUND = 0.9


def find(search: Planted) -> dict:
    """Train on planted data; the directions are those of the training's seed."""
    W, streams = search.directions(), [run.generator(search.seed, name, device=run.device()) for name in ("training", "sample", "start")]
    sample = planted.draw(W, search.density, search.samples, streams[1]).acts
    return train.fit(planted.batches(W, search.density, search.train.batch, streams[0]), search.train, sample, streams[2]).sae.tensors()


def found_by(kind, seed):
    config = recipe_of(kind, cfg.planted.train, *cfg.planted_own[kind])
    tensors = memo.memo(find, replace(cfg.planted, train=config, seed=seed))
    return recipe.model_class(kind).from_tensors(tensors, config.k).to(run.device()).requires_grad_(False)


@functools.cache
def known(seed):
    """True directions; true amounts and activations for the measurements, none of which was trained on."""
    W = replace(cfg.planted, seed=seed).directions()
    return W, *planted.draw(W, cfg.planted.density, cfg.planted.samples, run.generator(seed, "amounts", device=run.device()))


# %% [markdown]
# Every kind is trained on it. First the scale: there are more latents than features, and some features have two. So
# the amounts of all latents with cosine above 0.9 to a feature are added up, and divided by the true amount; the median over tokens counts.


# %%
def scale(sae, seed, change=refine.refine):
    W, amounts, acts = known(seed)
    tokens = 2 * cfg.refined
    sample = normalise(acts[:tokens])
    code = change(sae, sample.x)
    z = code.values.new_zeros(len(sample.x), sae.n).scatter_add(1, code.indices, code.values) * sae.W_dec.norm(dim=1)
    aligned = torch.nn.functional.normalize(W, dim=1) @ torch.nn.functional.normalize(sae.W_dec, dim=1).T > FOUND
    truth, ours = amounts[:tokens] / sample.std, z @ aligned.float().T
    return (ours / truth)[(ours > 0) & (truth > 0)].median().item()


def exact(seed):
    """The true directions as a dictionary, with a bias that keeps most others out."""
    W = known(seed)[0]
    return dense.ReLU(W, W, W.new_full((len(W),), -1.5), W.new_zeros(W.shape[1])).requires_grad_(False)


learned = [found_by("relu_norm", seed) for seed in SEEDS]
page.check(
    "act.true-scale",
    [scale(sae, seed) for seed, sae in enumerate(learned)],
    control={"the encoder's amounts": [scale(sae, seed, lambda sae, x: sae.encode(x)) for seed, sae in enumerate(learned)]},
    witness=[scale(exact(seed), seed) for seed in SEEDS],
)

# %% [markdown]
# ## 4. Another size of code than the one trained for (section 5.3)
# A code is progressive if keeping more of it never hurts. At test time the $k'$ largest latents are kept instead of $k$, with the same
# weights. The paper finds that TopK is fitted to its own $k$: best slightly above, then clearly worse; that Multi-TopK is safe up to $4k$; and
# that ReLU may be cut anywhere.

# %%
K = cfg.kept[1]
SIZES = sorted({max(1, round(K * factor)) for factor in (0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 6, 8)})


def positive(sae):
    """Positive pre-activations on `some`, as lengths of what they add, and the directions they add it in."""
    lengths = sae.W_dec.norm(dim=1)
    seen = some - sae.b_pre if sae.centred else some
    return torch.relu(seen @ sae.W_enc.T + sae.b_enc) * lengths, sae.W_dec / lengths[:, None]


def with_k(sae):
    """Error with each of `SIZES` latents, the largest."""
    p, rows = positive(sae)
    top = p.topk(min(max(SIZES), sae.n), dim=1)
    codes = (torch.zeros_like(p).scatter(1, top.indices[:, :size], top.values[:, :size]) for size in SIZES)
    return [reconstruction.normalised_mse(some, z @ rows + sae.b_pre) for z in codes]


def with_threshold(sae, size):
    """The one threshold that leaves `size` latents per token in the mean."""
    p, rows = positive(sae)
    z = p * (p >= p.flatten().topk(min(size * len(p), p.numel())).values[-1])
    return (z > 0).sum(1).double().mean().item(), reconstruction.normalised_mse(some, z @ rows + sae.b_pre)


# %% [markdown]
# ReLU here is the model of the middle penalty of section 2. The dotted line cuts TopK by one fixed threshold for all tokens instead of a
# number for each. TopK and Multi-TopK are trained at their best rate and at half of it: at the lower one fewer latents die, and more of the
# pre-activations beyond the $k$ largest are positive. The figure shows the best rate.


# %%
def models(kind, factor=1.0):
    return [dictionaries.dictionary(run_of(kind, 1, seed, rate=factor * rate_of(kind))) for seed in SEEDS]


FACTORS = (1.0, 0.5)
saes = {(kind, factor): models(kind, factor) for kind in ("topk", "multi_topk") for factor in FACTORS} | {("relu_norm", 1.0): models("relu_norm")}
cut = {key: np.array([with_k(sae) for sae in group]) for key, group in saes.items()}
sizes = {NAMES[kind]: values for (kind, factor), values in cut.items() if factor == 1}
threshold = {"TopK": np.array([with_threshold(saes["topk", 1.0][0], size) for size in SIZES]).T}
page.save_figure(
    plots.other_sizes(SIZES, sizes, threshold, K),
    "progressive",
    {"sizes": SIZES, "k": K, "threshold": threshold, "half the rate": {kind: cut[kind, 0.5] for kind in ("topk", "multi_topk")}} | sizes,
)

# %% [markdown]
# First TopK at both rates, with ReLU as its control:


# %%
def over_rates(kind, measure):
    return np.concatenate([measure(cut[kind, factor]) for factor in FACTORS if (kind, factor) in cut])


at = {factor: SIZES.index(round(factor * K)) for factor in (1, 4, 8)}
best_size = lambda errors: np.array(SIZES)[errors.argmin(1)] / K  # noqa: E731
far = lambda errors: errors[:, at[8]] / errors.min(1)  # noqa: E731
page.check("act.best-near-k", over_rates("topk", best_size), control={"the ReLU model, by the same cut": over_rates("relu_norm", best_size)})
page.check("act.overfits-k", over_rates("topk", far), control={"the ReLU model, by the same cut": over_rates("relu_norm", far)})

# %% [markdown]
# And Multi-TopK, with TopK as its control; whether it is progressive is asked at the lower rate, at which TopK is not:

# %%
rising = lambda errors: (errors[:, 1 : at[4] + 1] / errors[:, : at[4]]).max(1)  # noqa: E731
ratio = over_rates("multi_topk", np.asarray) / over_rates("topk", np.asarray)
page.check("act.multi-progressive", rising(cut["multi_topk", 0.5]), control={"TopK": rising(cut["topk", 0.5])})
page.check("act.multi-price", ratio[:, at[1]], control={"the same ratio at 4k, where it should win": ratio[:, at[4]]}, witness=ratio[:, 1])

# %% [markdown]
# ## 5. Which of them find what is there?
# Back to the planted directions: each true feature is matched to one decoder row, one to one, so that the sum of cosines is largest. Controls
# are a random dictionary of the same size, and the principal directions of the data with both signs.


# %%
def controls(seed):
    W, _, acts = known(seed)
    centred = normalise(acts).x
    axes = torch.linalg.svd(centred - centred.mean(0), full_matrices=False).Vh
    random = torch.randn(cfg.planted.train.n, cfg.planted.width, generator=run.generator(seed, "random rows")).to(W)
    rows = {"random": random, "PCA": torch.cat([axes, -axes])}
    return {name: reconstruction.recovery(r, W) for name, r in rows.items()}


cosines = {NAMES[kind]: [] for kind in NAMES} | {"random": [], "PCA": []}
for seed in SEEDS:
    for kind in NAMES:
        cosines[NAMES[kind]].append(reconstruction.recovery(found_by(kind, seed).W_dec, known(seed)[0]))
    for name, values in controls(seed).items():
        cosines[name].append(values)
mean_cosine = {name: np.array([values.mean() for values in seeds]) for name, seeds in cosines.items()}
share_found = {name: np.array([(values > FOUND).mean() for values in seeds]) for name, seeds in cosines.items()}
page.save_figure(
    plots.recovery_by_kind(mean_cosine, share_found, FOUND), "recovery_by_kind", {"threshold": FOUND, "cosine": mean_cosine, "found": share_found}
)

# %% [markdown]
# A mean cosine flatters, as the random dictionary shows; the share found does not.

# %%
page.check(
    "act.all-recover",
    np.min([share_found[name] for name in NAMES.values()], axis=0),
    control={"the better of a random dictionary and PCA": np.max([share_found["random"], share_found["PCA"]], axis=0)},
    witness=share_found["TopK"],
)

# %% [markdown]
# ## What this page does not show
# - Convergence. All kinds saw the same tokens, few of them; a kind that learns slowly is judged early, and so is a larger dictionary.
# - Which of the kinds that are drawn with one seed is the best. Only TopK, ReLU by the April recipe and Multi-TopK have five.
# - Whether the latents of one kind mean more than those of another. A lower error is no evidence of that, and no page here asks it.
# - ProLU, and the paper's sizes: the `paper` row asks for the latter.
#
# ## Claims

# %%
page.close()
