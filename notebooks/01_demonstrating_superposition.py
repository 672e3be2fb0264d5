# %% [markdown]
# # 1. Demonstrating superposition
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/01_demonstrating_superposition.ipynb)
#
# **Claim.** A model with fewer dimensions than features does not have to choose between them. When features are sparse it stores more of them than it
# has dimensions, at the price of interference, which a relu filters; a linear model never does.
#
# Paper: Elhage et al., *Toy Models of Superposition* (2022), introduction and sections ["Definitions and
# Motivation"](https://transformer-circuits.pub/2022/toy_model/index.html#motivation) and ["Demonstrating
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#demonstrating).
#
# **Difference to the paper.**
# - Under every small model the exact optimum is drawn (dashed), so that each picture says how far from it the run ended.
# - Sixty random starts per sparsity show how often training finds that optimum; the paper shows one model each.
# - The equation for the split of the loss by the number of active features gets the figure that the paper leaves to the reader.
# - Training draws only samples in which something is active, and each model's loss is divided by $V(p) = p/3 - p^2/4$, the variance of a feature
#   of density $p$, so that sparse models train as fast as dense ones.
#
# **Time.** `quick` seconds, `laptop` about a minute and a half on two cores, `paper` a GPU and some minutes. Memory below 1 GB.

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import math
from dataclasses import dataclass

import torch

from companion import claims, memo, run
from companion.plots import concepts, heatmaps, neurons, toy, widgets
from companion.plots import vectors as plots
from companion.toy import data, exact, geometry, model, playground, theory, train


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    restarts: int  # sampled runs of the five features per seed, of which the best is kept
    starts: int  # random starts whose fate is counted
    descent: int  # steps of descent on the exact loss
    seeds: int
    larger: tuple[int, int]  # n and m of the largest sweep
    steps: int
    batch: int
    rate: float


cfg = run.choose(
    quick=Config(4, 12, 100, seeds=2, larger=(40, 10), steps=700, batch=64, rate=0.01),
    laptop=Config(8, 60, 400, seeds=5, larger=(80, 20), steps=3000, batch=256, rate=0.01),
    paper=Config(16, 1000, 1000, seeds=10, larger=(80, 20), steps=30_000, batch=1024, rate=0.005),
)
page = claims.Page("01_demonstrating_superposition", cfg)
F64 = torch.float64
cfg

# %% [markdown]
# ## The idea
#
# A *feature* is a property of the input that a network represents as a direction. If there are no more features than neurons, each can have a neuron,
# and there is a reason to: an elementwise non-linearity makes the neurons' directions special. In a layer without one no direction is special.

# %%
page.save_figure(concepts.privileged_basis(), "C1_privileged_basis", {})

# %% [markdown]
# The *superposition hypothesis* says that networks represent more features than they have neurons, along directions that are almost orthogonal. One
# active feature then looks slightly like others; several at once can become ambiguous; and the small network behaves like a larger, sparser one.

# %%
page.save_figure(concepts.superposition_hypothesis(), "C2_superposition_hypothesis", {})

# %% [markdown]
# This is the smallest experiment that could show superposition. Sparse features $x$ are pressed into fewer dimensions $h$ and read out again with
# the same weights:
#
# $$h = W^\top x, \qquad x' = \mathrm{relu}(W h + b), \qquad L = \mathbb{E} \sum_i I_i (x_i - x'_i)^2 .$$
#
# $x$ has $n$ features, each active with density $p = 1 - S$ and then uniform on $[0, 1]$; $h$ has $m$ dimensions; $I_i$ is a feature's importance.
# Row $W_i$ is the direction of feature $i$ (the paper's $W$ is transposed).

# %%
page.save_figure(concepts.experiment(), "C3_experiment", {})

# %% [markdown]
# ## Five features in two dimensions
#
# The paper's first picture. The importances are $0.9^i$; from left to right the features get sparser. Each sparsity is trained several times and
# the run of lowest loss is kept; all of that is repeated for five seeds, of which the first is shown. The loss of so small a model can be computed
# without samples, and so can its optimum: the best of many descents on the exact loss. It is drawn dashed.


# %%
def forward(W, b, x):  # the model, in the paper's letters
    h = x @ W  # (B, m)
    return torch.relu(h @ W.T + b)  # (B, n)


importance = 0.9 ** torch.arange(5, dtype=F64)
columns = 20.0 ** (-torch.arange(10, dtype=F64) / 9)  # the ten densities of the authors' notebook
three = torch.tensor([1.0, 0.2, 0.1], dtype=F64)  # the three of the paper: S = 0, .8, .9

stream = run.generator(0, "check")
W, b, p = torch.randn(5, 2, generator=stream, dtype=F64) * 0.7, torch.full((5,), -0.1, dtype=F64), torch.tensor([0.3], dtype=F64)
x = data.plain(data.draw(5, 200_000, stream), p)[0]
errors = ((x - forward(W, b, x)).square() * importance).sum(1)
expected = exact.loss(W[None], b[None], data.Independent().law(p, 5), importance).item()
assert abs(errors.mean().item() - expected) < 4 * errors.std().item() / len(x) ** 0.5


def five_features(cfg):
    """The best sampled runs per seed at three densities, the exact optimum at thirteen, the losses of random starts at the three."""
    all_p = torch.cat([three, columns])
    random = 0.6 * torch.randn(cfg.starts, 5, 2, generator=run.generator(1, "starts"), dtype=F64)
    best = exact.optimum(random[:16], data.Independent().law(all_p, 5), importance, steps=cfg.descent)
    streams = [run.generator(seed, "five", one) for seed in range(cfg.seeds) for one in range(cfg.restarts)]
    schedule = train.Schedule(cfg.steps // 2, cfg.batch, 0.02)
    runs = train.fit(model.Config(5, 2), three, streams, schedule, importance.float())
    law = data.Independent().law(three.repeat(cfg.seeds * cfg.restarts), 5)
    loss = exact.loss(runs.W, runs.b, law, importance).unflatten(0, (cfg.seeds, cfg.restarts, 3))
    lowest = loss.argmin(1, keepdim=True)  # (seeds, 1, 3)
    W = runs.W.double().unflatten(0, (cfg.seeds, cfg.restarts, 3))
    each = data.Independent().law(three.repeat_interleave(cfg.starts), 5)
    path = exact.descend(random.repeat(3, 1, 1), torch.zeros(3 * cfg.starts, 5), each, importance, steps=cfg.descent, rate=0.03)
    return {
        "best W": best.W,
        "best b": best.b,
        "best loss": best.loss,
        "W": W.take_along_dim(lowest[..., None, None], 1)[:, 0],  # (seeds, 3, 5, 2)
        "loss": loss.amin(1),  # (seeds, 3)
        "starts": path.loss.unflatten(0, (3, cfg.starts)),
    }


five = memo.memo(five_features, cfg)

# %% [markdown]
# The loss does not change when the hidden space is rotated or mirrored, so each optimum is turned onto the trained model before it is drawn.


# %%
def turned(W, onto):
    U, _, V = torch.linalg.svd(W.mT @ onto)
    return W @ (U @ V)


shown = five["W"][0]
under = [turned(five["best W"][level], shown[level]) for level in range(3)]
least = torch.minimum(five["best loss"][:3], five["starts"].amin(1))  # the trained models are not among them
excess = five["loss"] / least - 1  # (seeds, 3)
titles = [f"S = {1 - p:.1f}\nloss {round(e, 4) + 0:.2%} above the optimum" for p, e in zip(three.tolist(), excess[0].tolist(), strict=True)]
figure = plots.feature_vectors([W.numpy() for W in shown], titles, importance.numpy(), "importance", [W.numpy() for W in under])
page.save_figure(figure, "F1_five_features", {"p": three, "W": shown, "optimum": under, "loss": five["loss"], "least": least})

# %% [markdown]
# Dense: the two most important features get a dimension each and the rest is ignored, as in principal component analysis. In the middle: four
# features as two antipodal pairs. Sparse: all five, as a pentagon. The same for ten densities, optima only:

# %%
names = [f"p = {p:.3f}" for p in columns.tolist()]
figure = plots.feature_vectors([W.numpy() for W in five["best W"][3:]], names, importance.numpy(), "importance")
page.save_figure(figure, "F1_ten_densities", {"p": columns, "W": five["best W"][3:], "b": five["best b"][3:], "loss": five["best loss"][3:]})


# %% [markdown]
# Each of the three pictures is a claim: which features are there, and at which angles.


# %%
def gaps(W):  # angles between neighbouring features that are represented, in degrees
    angles = torch.atan2(W[:, 1], W[:, 0])[W.norm(dim=1) > 0.5].sort().values
    return torch.rad2deg(torch.cat([angles.diff(), angles[:1] + 2 * torch.pi - angles[-1:]]))


def worst_gap(W, degrees):
    return (gaps(W) - degrees).abs().max()


def misplaced(W):  # of the 15 features of three models: how many are there and should not be, or are missing
    expected = torch.arange(5) < torch.tensor([2, 4, 5])[:, None]
    return ((W.norm(dim=-1) > 0.5) != expected).sum((-1, -2)).double()


streams = [run.generator(seed, "five", 0) for seed in range(cfg.seeds)]
schedule = train.Schedule(300, 64, 0.02)
linear = train.fit(model.Config(5, 2, relu=False), three, streams, schedule, importance.float()).W.unflatten(0, (cfg.seeds, 3))
page.check("F1.counts", misplaced(five["W"]), control={"linear models at the same sparsities": misplaced(linear)})
# %% [markdown]
# With some sparsity the four that matter most sit on two crossed axes, and with more of it all five stand around the circle.

# %%
four, all_five = ([W[level] for W in five["W"]] for level in (1, 2))
square = {"four of the pentagon of S = .9": [worst_gap(W[:4], 90) for W in all_five]}
page.check("F1.square", [worst_gap(W[:4], 90) for W in four], control=square)
page.check(
    "F1.pentagon",
    [worst_gap(W, 72) for W in all_five],
    control={"the models of S = .8": [worst_gap(W, 72) for W in four]},
)

# %% [markdown]
# How lucky is a picture like this? Descent on the exact loss from random starts, nothing else changed. At $S = 0$ the landscape is flat and runs stop
# anywhere near its floor; the sparser models have steps instead, each a valley of its own: squares with another feature left out, pentagons with
# the features in another order, and above them the arrangements that are plainly worse.

# %%
spread = {f"S = {1 - p:.1f}": (row / low - 1).numpy() for p, row, low in zip(three.tolist(), five["starts"], least, strict=True)}
page.save_figure(toy.runs_against_optimum(spread), "F1_random_starts", {"loss": five["starts"], "least": least})
crossed = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 0]], dtype=F64)
left_out = torch.tensor([0, 0, 0, 0, 0.05], dtype=F64)  # the mean p/2 of the fifth feature
other = exact.loss(crossed[None], left_out[None], data.Independent().law(three[2:], 5), importance) / least[2] - 1
page.check("F1.optimum", excess.amax(1), control={"two crossed pairs at S = .9": other})

# %% [markdown]
# **A natural question**: near-antipodal pairs come out perfect, near-orthogonal ones do not. Is that the optimum? No. Turn one pair of a square by
# an angle $\delta$ and the exact loss rises by about $\tfrac43 p\,\delta^2$, since positive overlaps appear. For a few degrees that is little
# beside $V$, as the numbers below say. The optimum is orthogonal; training is slow to see it.

# %%
delta = torch.deg2rad(torch.tensor([0.0, 5.0], dtype=F64))
square = crossed[:4].repeat(2, 1, 1)
turn = torch.stack([torch.stack([delta.cos(), delta.sin()], -1), torch.stack([-delta.sin(), delta.cos()], -1)], -2)
square[:, 2:] = square[:, 2:] @ turn
sparse = torch.full((2,), 0.01, dtype=F64)
rise = exact.loss(square, torch.zeros(2, 4), data.Independent().law(sparse, 4)).diff().item()
quadratic = 4 / 3 * 0.01 * delta[1].item() ** 2
assert abs(rise / quadratic - 1) < 0.02
{"5 degrees cost": rise, "4/3 p delta^2": quadratic, "in units of V": rise / data.variance(sparse[0]).item()}

# %% [markdown]
# **Another**: five equal features at $p = .9$ should be two directions, is the mess that training gives of lower loss? The exact optimum is a
# triangle, and it is better than two directions by less than a percent: the landscape is flat, so pictures differ and losses do not.

# %%
dense = torch.tensor([0.9, 1.0], dtype=F64)


def dense_optimum(cfg):
    """Least exact loss of five equal features in two dimensions at p = .9 and 1."""
    random = 0.6 * torch.randn(24, 5, 2, generator=run.generator(2, "dense"), dtype=F64)
    return {"loss": exact.optimum(random, data.Independent().law(dense, 5), steps=cfg.descent).loss}


flat = memo.memo(dense_optimum, cfg)["loss"] / data.variance(dense)
{"best loss / V at p = .9 and 1 (two directions: 3)": flat.tolist()}

# %% [markdown]
# ## Many features, and the linear model
#
# Twenty features in five dimensions, importances $0.7^i$. One linear model, and seven with a relu from dense to sparse. Above, $W W^\top$ with the
# bias on its right; below, the norm of each feature, coloured by its interference $\sum_{j \ne i} (\hat W_i \cdot W_j)^2$: dark features have a
# dimension to themselves, bright ones share.

# %%
densities = torch.tensor([1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001], dtype=F64)
weights20 = 0.7 ** torch.arange(20, dtype=F64)
weights80 = 0.9 ** torch.arange(cfg.larger[0], dtype=F64)


def sweeps(cfg):
    """For n = 20, m = 5 and each seed: relu models at all densities, linear ones at p = .1. The larger model once, and at p = .1 per seed."""
    streams = [run.generator(seed, "sweep", device=run.device()) for seed in range(cfg.seeds)]
    schedule, p = train.Schedule(cfg.steps, cfg.batch, cfg.rate), densities.float()
    found = {"relu": train.fit(model.Config(20, 5), p, streams, schedule, weights20.float())}
    test = run.generator(0, "test", device=run.device())
    tested = train.sampled_loss(*found["relu"][:2], p.repeat(cfg.seeds), test, 100_000, weights20.float().to(run.device()))
    streams = [run.generator(seed, "linear", device=run.device()) for seed in range(cfg.seeds)]
    kind = model.Config(20, 5, relu=False)
    found["linear"] = train.fit(kind, p[2:3], streams, schedule, weights20.float())
    found["equal"] = train.fit(kind, p[2:3], streams, schedule)
    streams = [run.generator(seed, "larger", device=run.device()) for seed in range(cfg.seeds)]
    found["larger"] = train.fit(model.Config(*cfg.larger), p, streams[:1], schedule, weights80.float())
    found["larger at .1"] = train.fit(model.Config(*cfg.larger), p[2:3], streams[1:], schedule, weights80.float())
    return {"loss": tested} | {f"{name} {part}": getattr(fit, part) for name, fit in found.items() for part in ("W", "b")}


swept = memo.memo(sweeps, cfg)
W20, b20 = (swept[f"relu {part}"].double().unflatten(0, (cfg.seeds, 7)) for part in "Wb")
loss20 = swept["loss"].double().unflatten(0, (cfg.seeds, 7))

# %% [markdown]
# Interference is what a feature's own direction sees of the others. The linear model stands beside the seven others as their control. Of the seeds
# the model of lowest loss is drawn. The first picture has the linear model alone, and beside it one whose importances are all equal: five dimensions
# are then spread over all features.


# %%
def draw(W, b, titles):
    arrays = ([t.numpy() for t in group] for group in (W @ W.mT, b, geometry.interference(W)))
    return heatmaps.overlaps(*arrays, titles)


levels = [f"relu, S = {1 - p:g}" for p in densities.tolist()]
linear_W, linear_b, equal_W, equal_b = (swept[f"{name} {part}"].double() for name in ("linear", "equal") for part in "Wb")
lowest = loss20.argmin(0), torch.arange(7)
all_W, all_b = torch.cat([linear_W[:1], W20[lowest]]), torch.cat([linear_b[:1], b20[lowest]])
two_W, two_b = torch.stack([linear_W[0], equal_W[0]]), torch.stack([linear_b[0], equal_b[0]])
page.save_figure(draw(two_W, two_b, ["linear, S = 0.9", "equal importances"]), "F2_linear_model", {"W": two_W, "b": two_b})
page.save_figure(draw(all_W, all_b, ["linear, S = 0.9", *levels]), "F3_relu_models", {"p": densities, "W": all_W, "b": all_b})

# %% [markdown]
# The linear model is principal component analysis with importances: the best five features perfectly, the others replaced by their mean $p/2$. Its
# loss has a closed form, $V \sum_{i \ge m} I_i$, by Eckart and Young. At the first sparsity drawn the relu models have left it, and what comes first
# are antipodal pairs among the *least* important features that are represented.

# %%
kept = (torch.arange(20) < 5).double()


def from_linear(W, b, p):  # largest deviation of W W^T and b from those of the best linear model
    by_W = (W @ W.mT - kept.diag()).abs().amax((-1, -2))
    return torch.maximum(by_W, (b - p / 2 * (1 - kept)).abs().amax(-1))


page.check(
    "F2.identity",
    from_linear(linear_W, linear_b, 0.1),
    control={
        "linear models of equal importances": from_linear(equal_W, equal_b, 0.1),
        "relu models of the same sparsity": from_linear(W20[:, 2], b20[:, 2], 0.1),
    },
)
page.check(
    "F3.dense",
    from_linear(W20[:, 0], b20[:, 0], 1.0),
    control={"the relu models of S = .7": from_linear(W20[:, 1], b20[:, 1], 0.3)},
)

# %% [markdown]
# More features than dimensions: a norm alone does not show it, since a linear model of equal importances spreads five dimensions over twenty
# features. But the squared norms of a projection add up to its rank, so that no linear model at its optimum can have ten features with $|W_i|^2 >
# \tfrac12$ in
# five dimensions.


# %%
def strong(W):  # features with |W_i|^2 above 1/2
    return (W.square().sum(-1) > 0.5).sum(-1).double()


control = {"linear models of equal importances": strong(equal_W), "the relu models without sparsity": strong(W20[:, 0])}
page.check("F3.counts", strong(W20[:, -1]), control=control)


def roles(W):  # who is represented, who of them has a dimension of its own, and who shares one
    seen = W.norm(dim=-1) > 0.5
    alone = seen & (geometry.interference(W) < 0.1)
    return seen, alone, seen & ~alone


def with_antipode(W):  # share of the superposed features of which a represented one is the opposite
    seen, _, shared = roles(W)
    unit = torch.nn.functional.normalize(W, dim=-1)
    opposite = ((unit @ unit.mT < -0.9) & seen[..., None, :]).any(-1)
    return (shared & opposite).sum(-1) / shared.sum(-1).clamp_min(1)


page.check("F3.antipodal", with_antipode(W20[:, 1]), control={"p = .003": with_antipode(W20[:, 5])})

# %% [markdown]
# Far into sparsity both signs of overlap occur, the features that a positive overlap disturbs have negative biases, and no feature has a dimension
# to itself:

# %%
seen, alone, _ = roles(W20)
count, alone = seen.sum(-1), alone.sum(-1)
off = (W20 @ W20.mT) * (1 - torch.eye(20, dtype=F64))


def with_bias(sign):  # correlation of the bias and the largest overlap of one sign, over the represented features at p = .003
    largest = (sign * off[:, 5]).amax(-1)
    return [torch.corrcoef(torch.stack([o[s], b[s]]))[0, 1] for o, b, s in zip(largest, b20[:, 5], seen[:, 5], strict=True)]


page.check("F3.positive", off[:, 5].amax((1, 2)), control={"p = .3, pairs only": off[:, 1].amax((1, 2))})
page.check("F3.paid", with_bias(1), control={"the largest negative overlap": with_bias(-1)})
page.check("F3.all", alone[:, 5].double(), control={"the dense models": alone[:, 0].double(), "p = .3": alone[:, 1].double()})

# %% [markdown]
# **A question of the notes**: which bias is best without sparsity? The linear optimum is a projection $P$, and its bias makes the mean of the output
# that of the input: $b = \tfrac p2 (1 - P \mathbf 1)$, which is zero for features with a dimension of their own and the mean for those left out. Only
# where features sit on a simplex does the relu change that; the rows of its $W W^\top$ sum to zero, and $b = 1/2$ at $p = 1$ by symmetry.

# %%
mean_kept = 0.05 * (1 - (linear_W @ linear_W.mT).sum(-1))
assert torch.allclose(linear_b, mean_kept, atol=1e-4)
assert abs(theory.polytope_optimum("triangle", torch.ones(1)).bias.item() - 0.5) < 0.02

# %% [markdown]
# The number of features that are represented, and of those with a dimension to themselves, against density; and the loss, in units of the linear
# optimum. The gap between the two lines on the left is superposition.

# %%
ratio = loss20 / theory.linear_optimum(densities, weights20, 5)
figure = toy.counts(
    densities.tolist(), {"represented, |W_i| > 1/2": count.numpy(), "of them alone": alone.numpy()}, "features (of 20, in 5 dimensions)"
)
page.save_figure(figure, "F3_counts", {"p": densities, "represented": count, "alone": alone, "loss / linear optimum": ratio})

# %% [markdown]
# ### Larger
#
# The same with more features, more dimensions and importances that fall more slowly: a rescaled version of the picture above. Superposition begins
# among the least important of the features that are represented. At $S = .9$ some have a dimension of their own and others share one, and nearly
# every feature of the first kind matters more than every one of the second.

# %%
large_W, large_b = swept["larger W"].double(), swept["larger b"].double()
page.save_figure(draw(large_W, large_b, levels), "F4_larger_models", {"p": densities, "W": large_W, "b": large_b})


def order(rank, alone, shared):  # share of the pairs (alone, shared) in which the first matters more; 0 if there are none
    return (rank[alone][:, None] < rank[shared]).double().mean().nan_to_num(0)


at_tenth = torch.cat([large_W[2:3], swept["larger at .1 W"].double()])
groups = [(alone, shared) for _, alone, shared in map(roles, at_tenth)]
stream = run.generator(0, "order")
shuffled = [order(torch.randperm(cfg.larger[0], generator=stream), *group) for group in groups]
values = [order(torch.arange(cfg.larger[0]), *group) for group in groups]
page.check("F4.top", values, control={"importances in a random order": shuffled})

# %% [markdown]
# ### A reader's model that did not work
#
# The notes report that $n = 100$, $m = 40$, $p = .01$ comes to nothing. The recipe starts from weights of unit variance: a feature then has a
# norm of about six where one is wanted, and the biases run far below zero before the norms have shrunk. The same run from weights scaled by
# $1/\sqrt m$
# is fine. The losses to compare with: nothing learned, forty pairs with twenty features dropped, and this run from both starts.


# %%
def two_starts(cfg):
    """W and sampled loss of n = 100, m = 40, p = .01 from weights of unit variance and of variance 1/m, per seed; plain Adam."""
    seeds, p, weight = range(cfg.seeds), torch.full((2 * cfg.seeds,), 0.01), torch.ones(100)
    normal = torch.stack([torch.randn(100, 40, generator=run.generator(seed, "notes")) for seed in seeds])
    W, b = torch.cat([normal, normal * 40**-0.5]), torch.zeros(2 * cfg.seeds, 100)
    W.grad, b.grad = torch.empty_like(W), torch.empty_like(b)
    optimiser, streams = torch.optim.Adam([W, b], lr=3e-3), [run.generator(seed, "notes", "data") for seed in seeds]
    for _ in range(cfg.steps):
        x = torch.cat([data.conditional(data.draw(100, 64, stream), p[:1]) for stream in streams])
        W.grad[:], b.grad[:] = train.gradient(W, b, train.Batch(x.repeat(2, 1, 1), p, weight))
        optimiser.step()
    return {"W": W, "loss": train.sampled_loss(W, b, p, run.generator(0, "notes", "test"), 20_000).unflatten(0, (2, cfg.seeds))}


notes = memo.memo(two_starts, cfg)
V = data.variance(torch.tensor(0.01)).item()
pairs = 80 * theory.polytope_optimum("digon", torch.tensor([0.01])).loss.item() + 20 * V
large, small = notes["loss"].double() / pairs
page.check("notes.start", small, control={"weights of unit variance, same samples": large})
good = notes["W"][cfg.seeds].double()
unit = good / good.norm(dim=1, keepdim=True)
cosines = (unit @ unit.T)[torch.ones(100, 100, dtype=torch.bool).triu(1)].abs()
{
    "nothing learned, in units of forty pairs": 100 * V / pairs,
    "the two starts, likewise": (large.tolist(), small.tolist()),
    "sum of D, of 40": geometry.dimensionality(good).sum().item(),
    "|cosine| quantiles .1 .5 .9 .99": torch.quantile(cosines, torch.tensor([0.1, 0.5, 0.9, 0.99], dtype=F64)).tolist(),
}

# %% [markdown]
# Are its cosines sparse, as the notes ask? Partly: most are small and a few are large. Overlaps are spread thinly over many pairs instead of
# concentrated in a few; all dimensions are used, and there are no separate polygons. Those need more density, as notebook 3 shows.
#
# ### Three ways to look at weights
#
# A matrix, a stack of bars per dimension, and a graph: the same weights of the pentagon.

# %%
page.save_figure(neurons.explainer(shown[2].numpy(), "hidden dimension"), "C7_views_of_weights", {"W": shown[2]})

# %% [markdown]
# ## Why the relu matters
#
# The paper splits the expected loss by the number $k$ of active features,
#
# $$L = \sum_k \binom{n}{k} p^k (1-p)^{n-k} L_k .$$
#
# $L_0$ is the loss of an input of zeros, $\sum_i \mathrm{relu}(b_i)^2$. $L_1$ is where the relu earns its keep: with one active feature, negative
# overlaps are cut off for free. Unit vectors whose overlaps are all zero or negative have $L_1 = 0$ exactly, and there are up to $2m$ of them; a
# linear model pays for every overlap.


# %%
def loss_by_active(W, b):  # L_k, k = 0..n, for one model
    n = len(W)
    sets = data.Independent().law(torch.ones(1), n).sets
    of_size = torch.nn.functional.one_hot(sets.sum(1).long(), n + 1).double().T
    law = data.Law(sets, of_size / of_size.sum(1, keepdim=True))  # each set of k features alike
    return exact.loss(W.expand(n + 1, -1, -1), b.expand(n + 1, -1), law)


triangle_and_pair = geometry.tegum("triangle", "digon")
assert loss_by_active(triangle_and_pair, torch.zeros(5))[1].abs() < 1e-12
assert loss_by_active(-triangle_and_pair.abs(), torch.zeros(5))[1] > 0.1

sizes = torch.arange(6, dtype=F64)
choose = torch.tensor([1, 5, 10, 10, 5, 1], dtype=F64)
grid = torch.logspace(-3, 0, 25, dtype=F64)
best = theory.polytope_optimum("pentagon", grid)
corners = geometry.polytope("pentagon")
each = torch.stack([loss_by_active(corners * w2.sqrt(), c.expand(5)) for w2, c in zip(best.square_norm, best.bias, strict=True)])
chance = choose * grid[:, None] ** sizes * (1 - grid[:, None]) ** (5 - sizes)
share = chance * each / (chance * each).sum(1, keepdim=True)
assert torch.allclose((chance * each).sum(1), 5 * best.loss, atol=1e-9)
page.save_figure(toy.loss_by_active(grid.numpy(), share.T.numpy(), chance.T.numpy()), "F5_loss_by_active_features", {"p": grid, "L_k": each})

# %% [markdown]
# For the pentagon, whose neighbours overlap positively, the loss of single active features takes over as sparsity grows, as the paper says. That is
# no consequence of such samples being frequent: two crossed pairs have no loss on them at any density.

# %%
at_most_one = share[:, :2].sum(1)
pair_losses = loss_by_active(crossed[:4], torch.zeros(4))
pair_chance = torch.tensor([math.comb(4, k) * 0.001**k * 0.999 ** (4 - k) for k in range(5)], dtype=F64)
pair_share = (pair_chance * pair_losses)[:2].sum() / (pair_chance * pair_losses).sum()
assert abs(pair_share) < 1e-9  # two crossed pairs lose nothing on such samples
page.check("F5.dominate", at_most_one[0], control={"p = .3": at_most_one[int((grid - 0.3).abs().argmin())]})

# %% [markdown]
# ## Try it
#
# Density, decay of the importance, features and dimensions: every move trains a small model on the exact loss from one random start, and looks for
# the optimum from six. Left the features, then the overlaps of this run and of the best of the six, and the losses beside that of the linear model.


# %%
def small_model(density, decay, n, m):
    played = playground.play(density, decay, n, m, run.generator(0, "live", n, m))
    return plots.small_model(*(array.numpy() for array in played[:3]), played.losses, played.importance.numpy())


sliders = {"density": (0.01, 1, 0.1, True), "decay": (0.5, 1.0, 0.9), "n": (2, 6, 5), "m": (1, 4, 2)}
widgets.live(small_model, **{name: widgets.Slider(*ends) for name, ends in sliders.items()})

# %% [markdown]
# ## Limits
#
# - The optimum is the best of a list of starts; it is an upper bound, and no better one was met in any run of this page.
# - Represented means a norm above one half; a feature at .49 is not counted.
# - The paper states neither steps nor batches; ours are in the parameters, and the sweeps are not the exact optimum: at $n = 20$ the exact engine
#   does not reach.

# %%
page.close()
