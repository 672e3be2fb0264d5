# %% [markdown]
# # 2. Superposition as a phase change
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/02_phase_change.ipynb)
#
# **Pages** [← 1b. Many features](01b_many_features.ipynb) · [Start here](00_start_here.ipynb) · [3. Features in superposition form polytopes →](03_superposition_geometry.ipynb)
#
# Give a network one feature more than it has dimensions. It can ignore the feature, give it a dimension at the cost of another one, or store both
# in superposition. On this page you compute which of the three is best, for every importance and every sparsity, and then look closely at the
# borders: at some of them the best network jumps from one solution to another, and at others, which the paper does not show, it changes
# gradually.
#
# **You will** build the exact loss of a small network from one feature upwards · draw the map of the three outcomes in three ways: from closed
# forms, from the exact loss, from training · measure at each border whether the weights jump · find a third phase · see what a missing bias does.
#
# **Needs** [page 1](01_demonstrating_superposition.ipynb), and integrals of polynomials. **Takes** three minutes at `laptop` on two cores,
# seconds at `quick` (how to choose: [start here](00_start_here.ipynb#profiles)). Memory below 1 GB.
#
# **Paper** Elhage et al. 2022, *Toy Models of Superposition*: ["Superposition as a Phase
# Change"](https://transformer-circuits.pub/2022/toy_model/index.html#phase-change), and the comment by Tom McGrath on the loss surface.
#
# **On this page** [1 The question](#question) · [2 The exact loss](#exact-loss) · [3 The map](#map) · [4 A jump, or a gradual change?](#border) · [5 A third phase](#third) · [6 Three features in two dimensions](#three) · [7 How often a single run finds it](#starts) · [8 A confused feature, and what the bias does to it](#confused) · [9 Your turn](#your-turn) · [10 Limits](#limits) · [11 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import itertools
import math
from dataclasses import dataclass

import torch

from companion import claims, memo, run
from companion.plots import concepts, lines, toy, widgets
from companion.plots import heatmaps as plots
from companion.toy import data, exact, geometry, model, theory, train

claims.opening("02_phase_change")


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    cells: int  # per side of a diagram
    random: int  # starts of each cell besides the candidates of the theory
    steps: int
    rate: float
    coarse: int  # cells per side where random starts are counted
    runs: int  # random starts per coarse cell
    surface: int  # points per side of the loss surfaces


cfg = run.choose(
    quick=Config(13, 2, steps=120, rate=0.02, coarse=5, runs=6, surface=61),
    laptop=Config(50, 3, steps=120, rate=0.02, coarse=16, runs=10, surface=121),
    paper=Config(100, 6, steps=300, rate=0.02, coarse=32, runs=30, surface=241),
)
page = claims.Page("02_phase_change", cfg)
F64 = torch.float64
cfg

# %% [markdown]
# <a id="question"></a>
# ## 1 The question
#
# There are $n = m + 1$ features for $m$ dimensions. All but one have importance 1; the *extra* one has importance $r$. Every feature is active
# with density $p = 1 - S$ and then uniform between 0 and 1. Model and loss are those of [page 1](01_demonstrating_superposition.ipynb#model):
#
# $$x' = \mathrm{relu}(W W^\top x + b), \qquad L = \mathbb{E} \sum_i I_i (x_i - x'_i)^2 .$$
#
# The opening picture is the answer, a map over $r$ (to the right) and $p$ (upwards, so sparser is lower): where the extra feature is not learned
# (white), superposed (red), or has a dimension of its own (blue). It shows the map as three methods give it, which section 3 compares. These are
# the three outcomes:

# %%
caption = (
    "What can become of one feature too many (purple), here with two other features (grey) in a plane: "
    "ignored, given a dimension at the cost of feature 2, or opposite to feature 2. After the paper's "
    "diagram."
)
page.save_figure(concepts.fates(), "C4_fates", {}, caption)

# %% [markdown]
# Take one dimension for two features. Which outcome is best depends on three losses, and each needs one line:
# - Leave the extra feature out (*not learned*; `ignored` in the code). Its output is its mean, and the loss is its variance times its importance:
#   $r V$ with $V = p/3 - p^2/4$ ([page 1](01_demonstrating_superposition.ipynb#data)).
# - Leave the first one out instead, so that the extra one has the dimension (*dedicated*): $V$.
# - Keep both, on opposite sides (*superposed*). Something is lost only when both are active: then the error of each is $\min(x_1, x_2)$, whose
#   mean square is $1/6$. Both are active with probability $p^2$, so the loss is $(1 + r)\, p^2 / 6$.
#
# Do samples agree? Here are the three solutions as weights, at $p = 0.3$ and $r = 0.6$.


# %%
def candidates(p, r):
    return torch.stack([r * data.variance(p), (1 + r) * p**2 / 6, data.variance(p)])


p, r = torch.tensor(0.3, dtype=F64), torch.tensor(0.6, dtype=F64)
ignored, superposed, dedicated = torch.tensor([[[1.0], [0]], [[1], [-1]], [[0], [1]]], dtype=F64)
x = data.plain(data.draw(2, 400_000, run.generator(0, "candidates")), p[None])[0].double()  # (samples, 2)
sampled = []
for W in (ignored, superposed, dedicated):
    b = p / 2 * (W[:, 0] == 0)  # the mean, for the feature that is left out
    out = torch.relu(x @ W @ W.T + b)
    sampled.append(((x - out).square() * torch.stack([torch.ones_like(r), r])).sum(1).mean())
assert torch.allclose(torch.stack(sampled), candidates(p, r), rtol=0.02)
dict(zip(("ignored", "superposed", "dedicated"), torch.stack(sampled).tolist(), strict=True))

# %% [markdown]
# Setting the losses equal in pairs gives the borders of the map: ignored against superposed at $p = 4r/(2+5r)$, superposed against dedicated at
# $p = 4/(5+2r)$, ignored against dedicated at $r = 1$. They meet at $r = 1$, $p = 4/7$, the *triple point*.
#
# But the three candidates are only three points in the space of weights. To find the *best* weights we need the loss of any weights, and samples
# are too noisy for that: near a border two outcomes differ by less than the noise. So we compute the expectation without samples.
#
# <a id="exact-loss"></a>
# ## 2 The exact loss
#
# ### One feature
#
# Begin with $n = 1$. The output is $y = \mathrm{relu}(a x + c)$ with $a = W^2$ and bias $c$. The squared error has three parts, $\mathbb{E} x^2 -
# 2\, \mathbb{E}\, x y + \mathbb{E} y^2$. While the feature is active, the first is $1/3$. The other two are integrals of a polynomial from where
# the relu opens:
#
# $$\int_0^1 (a x + c)_+^2 \, dx = \frac{(a + c)_+^3 - (c)_+^3}{3a}, \qquad \int_0^1 x\,(a x + c)_+ \, dx = \frac{(a + c)_+^2 - \int (a x +
# c)_+^2}{2a},$$
#
# where $(\cdot)_+$ is the relu; the second follows from the first by parts. While the feature is absent, the error is $(c)_+^2$. Numerical
# integration should agree with the sum.
#
# **The variance $V(p)$.** Let $a$ go to zero: the feature is not stored, and the output is a constant $c$. The loss is then $p\,(\tfrac13 - c +
# c^2) + (1-p)\,c^2 = \tfrac p3 - p c + c^2$. It is least at the mean, $c = p/2$, and there it is $V(p) = p/3 - p^2/4$. A scan over $c$ should find
# the same (with $a$ a thousandth, since the formula divides by $a$).


# %%
def one_feature(a, c, p):
    square = ((a + c).relu() ** 3 - c.relu() ** 3) / (3 * a)
    cross = ((a + c).relu() ** 2 - square) / (2 * a)
    return p * (1 / 3 - 2 * cross + square) + (1 - p) * c.relu() ** 2


a, c = torch.tensor(0.8, dtype=F64), torch.tensor(-0.1, dtype=F64)
grid = torch.linspace(0, 1, 10_001, dtype=F64)
by_quadrature = p * torch.trapezoid((grid - (a * grid + c).relu()) ** 2, grid) + (1 - p) * c.relu() ** 2
assert abs(one_feature(a, c, p) - by_quadrature) < 1e-7

constants = torch.linspace(0, 1, 1001, dtype=F64)
without = one_feature(torch.tensor(1e-3, dtype=F64), constants, p)
assert abs(without.min() - data.variance(p)) < 1e-3
{"one feature": by_quadrature.item(), "a constant": without.min().item(), "V": data.variance(p).item()}

# %% [markdown]
# ### Two features, and more
#
# With two active features the output is $y = \mathrm{relu}(a_1 x_1 + a_2 x_2 + c)$, and the integral runs over a square. Integrate over $x_1$:
# the result is a difference of two values, one at each end, with the power one higher. Integrate over $x_2$: a difference of differences, so four
# values, one at each *corner* $v$ of the square, with signs. For $k$ active features there are $2^k$ corners:
#
# $$J(a, c) = \int_{[0,1]^k} (a \cdot x + c)_+^2 \, dx = \frac{2}{(k+2)!\, a_1 \cdots a_k} \sum_{v \in \{0,1\}^k} (-1)^{k - |v|} \, (a \cdot
# v + c)_+^{k+2} .$$
#
# Here $|v|$ is the number of ones in $v$. For $k = 1$ this is the formula above. The cross term needs no new integral: $\int x_i\,(a \cdot x + c)_+ =
# \big[J(a_{-i}, c + a_i) - J(a, c)\big] / 2 a_i$, where $a_{-i}$ is $a$ without its entry $i$. A fine grid over the square should agree.


# %%
def J(a, c):  # the integral of relu(a.x + c)^2 over the unit cube; a has k entries
    k = len(a)
    v = torch.tensor(list(itertools.product((0.0, 1.0), repeat=k)), dtype=F64)  # (2^k, k)
    terms = (-1) ** (k - v.sum(1)) * (v @ a + c).relu() ** (k + 2)
    return 2 * terms.sum() / (math.factorial(k + 2) * a.prod())


def cross(a, i, c):  # the integral of x_i relu(a.x + c)
    return (J(torch.cat([a[:i], a[i + 1 :]]), c + a[i]) - J(a, c)) / (2 * a[i])


two, c = torch.tensor([0.9, -0.7], dtype=F64), torch.tensor(0.1, dtype=F64)
x = (torch.arange(1000, dtype=F64) + 0.5) / 1000
y = (two[0] * x[:, None] + two[1] * x + c).relu()  # (1000, 1000)
assert abs(J(two, c) - y.square().mean()) < 1e-5
assert abs(cross(two, 0, c) - (x[:, None] * y).mean()) < 1e-5

# %% [markdown]
# ### All active sets
#
# Which features are active is random. A set $A$ of them is active, and nothing else, with probability $p^{|A|} (1-p)^{n-|A|}$. Given $A$, output
# $i$ sees the overlaps $W_i \cdot W_j$ with the members $j$ of $A$, and its own target is $x_i$ if $i$ is in $A$ and 0 otherwise. So the exact loss
# is a sum over all $2^n$ sets, with $2^{|A|}$ corners each: $3^n$ terms. For random weights of three features the mean over samples should agree,
# up to its standard error.


# %%
def expected_loss(W, b, p, importance):
    total, overlaps = 0.0, W @ W.T
    for active in itertools.product((False, True), repeat=len(W)):
        A = torch.tensor(active)
        chance = p ** A.sum() * (1 - p) ** (~A).sum()
        for i in range(len(W)):
            a = overlaps[i, A]
            error = J(a, b[i])
            if active[i]:
                error = error + 1 / 3 - 2 * cross(a, sum(active[:i]), b[i])  # i is entry sum(active[:i]) of a
            total = total + chance * importance[i] * error
    return total


generator = run.generator(0, "three features")
W, b = torch.randn(3, 2, generator=generator, dtype=F64), torch.tensor([-0.2, 0.0, 0.1], dtype=F64)
weights = torch.tensor([1.0, 0.8, 0.6], dtype=F64)
x = data.plain(data.draw(3, 400_000, generator), p[None])[0].double()
errors = ((x - torch.relu(x @ W @ W.T + b)).square() * weights).sum(1)
noise = errors.std() / len(x) ** 0.5
assert abs(errors.mean() - expected_loss(W, b, p, weights)) < 4 * noise
{
    "sampled": errors.mean().item(),
    "its standard error": noise.item(),
    "exact": expected_loss(W, b, p, weights).item(),
}

# %% [markdown]
# `companion.toy.exact.loss` is the same sum for many models at once; it also takes care of overlaps near zero, by which the formula divides. It
# must give the same number, and for the three candidates of section 1 it must give their closed forms.


# %%
def exact_loss(W, b, p, importance=None):
    return exact.loss(W, b, data.Independent().law(p, W.shape[1]), importance)


assert abs(exact_loss(W[None], b[None], p[None], weights) - expected_loss(W, b, p, weights)) < 1e-6

models = torch.stack([ignored, superposed, dedicated])
dropped = p / 2 * (models[..., 0] == 0)
losses = exact_loss(models, dropped, p.expand(3), torch.stack([torch.ones_like(r), r]))
assert torch.allclose(losses, candidates(p, r), atol=1e-6)
{"exact loss of the three candidates": losses.tolist(), "closed forms": candidates(p, r).tolist()}

# %% [markdown]
# ### Descending on it
#
# The exact loss is differentiable, so gradient descent on it is a training loop without samples, and without noise. Here is one in the open, from
# random weights, at $p = 0.3$ and $r = 0.6$. Of the three closed forms, that of the superposed pair is the least there. Descent may also change
# norms and biases, so it should end a little lower.


# %%
def descend(W, b, p, importance, steps=300):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    adam = torch.optim.Adam([W, b], lr=0.02)
    for _ in range(steps):
        adam.zero_grad()
        exact_loss(W, b, p, importance).sum().backward()
        adam.step()
    return W.detach(), b.detach()


weight = torch.stack([torch.ones_like(r), r])
W = 0.7 * torch.randn(6, 2, 1, generator=run.generator(0, "descend"), dtype=F64)  # six random starts
W, b = descend(W, torch.zeros(6, 2), p.expand(6), weight)
reached = exact_loss(W, b, p.expand(6), weight)
assert 0.85 < reached.min() / candidates(p, r).min() < 1
{
    "W": W[reached.argmin(), :, 0].tolist(),
    "loss": reached.min().item(),
    "closed form": candidates(p, r).min().item(),
}

# %% [markdown]
# From here on `exact.optimum` does this: the best of many descents, from a list of starts, for many densities and importances at once. The loss
# that it finds is an upper bound of the least possible loss.
#
# <a id="map"></a>
# ## 3 The map
#
# One cell per pair $(r, p)$. Its optimum is looked for from the three candidates, slightly disturbed, and from a few random starts, the same in
# every cell. (The candidates for $m = 2$ are for section 6.)

# %%
CANDIDATES = {
    1: [[1, 0], [0, 1], [1, -1]],
    2: [
        [[1, 0], [0, 1], [0, 0]],
        [[1, 0], [0, 1], [0, -1]],
        [[1, 0], [0, 0], [0, 1]],
        [[1, 0], [-1, 0], [0, 1]],
    ],
}


def starts(hidden, random):
    fixed = torch.tensor(CANDIDATES[hidden], dtype=F64).reshape(-1, hidden + 1, hidden)
    stream = run.generator(hidden, "starts")
    near = fixed + 0.05 * torch.randn(fixed.shape, generator=stream, dtype=F64)
    return torch.cat([near, 0.7 * torch.randn(random, hidden + 1, hidden, generator=stream, dtype=F64)])


def axes(cells):  # relative importance r, density p, and both for every cell
    r, p = torch.logspace(-1, 1, cells, dtype=F64), torch.logspace(-2, 0, cells, dtype=F64)
    return r, p, r.repeat(cells), p.repeat_interleave(cells)


def importances(r, hidden):
    return torch.cat([torch.ones(len(r), hidden, dtype=F64), r[:, None]], dim=1)


def optima(cfg):
    """The weights of the optimum of every cell, and the loss there, for m = 1 and m = 2."""
    _, _, r, p = axes(cfg.cells)
    found = {}
    for hidden in (1, 2):
        law = data.Independent().law(p, hidden + 1)
        best = exact.optimum(
            starts(hidden, cfg.random),
            law,
            importances(r, hidden),
            steps=cfg.steps,
            rate=cfg.rate,
        )
        found |= {f"W {hidden}": best.W, f"loss {hidden}": best.loss}
    return found


found = memo.memo(optima, cfg)
for hidden in (1, 2):
    found[f"norm {hidden}"] = geometry.norms(found[f"W {hidden}"])[:, -1]
    found[f"interference {hidden}"] = geometry.interference(found[f"W {hidden}"])[:, -1]

# %% [markdown]
# Of the extra feature the map shows what the paper's shows: its norm, and how much of its direction is used by others, the interference $\sum_{j
# \ne i} (\hat W_i \cdot W_j)^2$. White is not learned, blue a dimension of its own, red superposed. A pale colour is a short feature, and purple
# lies between red and blue.
#
# The paper's own procedure is training: ten models per cell on samples, the worst dropped, the others averaged. To see what it would show, we do
# that too, on a coarser grid, with the package's trainer.


# %%
def trained(cfg):
    """Norm and interference of the extra feature per coarse cell: mean over runs without the worst one."""
    r_axis, p_axis, _, _ = axes(cfg.coarse)
    schedule, norm, interference = train.Schedule(10 * cfg.steps, 128, 0.02), [], []
    for r in r_axis:
        weight = torch.stack([torch.ones_like(r), r])
        generators = [run.generator(seed, "trained") for seed in range(cfg.runs)]
        fit = train.fit(model.Config(2, 1), p_axis, generators, schedule, weight.float())
        loss = exact.loss(fit.W, fit.b, data.Independent().law(p_axis.repeat(cfg.runs), 2), weight)
        kept = loss.unflatten(0, (cfg.runs, cfg.coarse)).argsort(0)[:-1]  # (runs - 1, coarse)
        for values, measure in ((norm, geometry.norms), (interference, geometry.interference)):
            of_extra = measure(fit.W.double())[:, -1].unflatten(0, (cfg.runs, cfg.coarse))
            values.append(of_extra.gather(0, kept).mean(0))
    return {
        "norm": torch.stack(norm, 1),
        "interference": torch.stack(interference, 1),
    }  # (density, importance)


by_training = memo.memo(trained, cfg)

# %% [markdown]
# Three maps, then: from the closed forms, from the exact loss, and from training. If the closed forms say all there is to say, the three agree.

# %%
r_axis, p_axis, r_cell, p_cell = axes(cfg.cells)
square = (cfg.cells, cfg.cells)  # (density, importance)
theory_of = {hidden: theory.fates(p_cell, r_cell, hidden) for hidden in (1, 2)}
stacked = {hidden: torch.stack(list(losses.values())) for hidden, losses in theory_of.items()}
predicted = {hidden: losses.argmin(0).reshape(square) for hidden, losses in stacked.items()}
fine_r, fine_p, at_r, at_p = axes(300)


def closed_map(hidden):  # colours of the least closed form, on a grid so fine that borders are smooth
    least = torch.stack(list(theory.fates(at_p, at_r, hidden).values())).argmin(0).reshape(300, 300)
    return "least of the closed forms", fine_r.numpy(), fine_p.numpy(), plots.outcomes(least.numpy())


def exact_map(hidden, others=0.0):
    extra = (found[f"{name} {hidden}"].reshape(square).numpy() for name in ("norm", "interference"))
    colours = plots.fate_colour(*extra, others)
    return "optimum of the exact loss", r_axis.numpy(), p_axis.numpy(), colours


low_r, high_r = fine_r[fine_r <= 1], fine_r[fine_r >= 1]
one = torch.ones(2)
curves = [
    (low_r, 4 * low_r / (2 + 5 * low_r)),
    (high_r, 4 / (5 + 2 * high_r)),
    (one, torch.tensor([4 / 7, 1.0])),
]
r_coarse, p_coarse, _, _ = axes(cfg.coarse)
averages = plots.fate_colour(by_training["norm"].numpy(), by_training["interference"].numpy())
maps = [closed_map(1), exact_map(1), ("trained on samples", r_coarse.numpy(), p_coarse.numpy(), averages)]
names = {"not learned": (0.25, 0.5), "superposed": (1, 0.06), "dedicated": (4, 0.6)}
caption = (
    "What becomes of the extra feature, n = 2, m = 1, over its importance r and the density p (sparser "
    f"downwards): least of three closed forms; exact optimum, {cfg.cells} x {cfg.cells} cells; mean of "
    f"{cfg.runs - 1} of {cfg.runs} models trained {10 * cfg.steps} steps, batch 128, the worst dropped "
    "as in the paper. Lines: the closed forms' borders. Pale and purple cells on the right average "
    "runs that ended differently. The paper shows the first and the last of these maps."
)
numbers = {
    "r": r_axis,
    "p": p_axis,
    "norm": found["norm 1"],
    "interference": found["interference 1"],
    "trained": by_training,
}
page.save_figure(plots.outcome_maps(maps, curves, names), "F6_two_features_one_dimension", numbers, caption)

# %% [markdown]
# Read a vertical line downwards, towards sparser features. A dense feature that matters less than the other one is not learned. Make both
# sparser, and at the border it appears, opposite to the other. Above $p = 4/7$ it is the more important of the two that gets the dimension.
#
# How well do the closed forms predict the exact optimum? Each cell's optimum is given the name of an outcome and compared with the least closed
# form. Cells that touch a predicted border are left out, since there two outcomes cost the same. The control is a theory without superposition,
# in which the more important feature gets the dimension.


# %%
def outcome_found(hidden):  # 0 not learned, 1 superposed, 2 dedicated
    norm, interference = (
        found[f"norm {hidden}"].reshape(square),
        found[f"interference {hidden}"].reshape(square),
    )
    return torch.where(norm < 0.5, 0, torch.where(interference > 0.25, 1, 2))


def off_border(labels):
    padded = torch.nn.functional.pad(labels[None, None].double(), (1, 1, 1, 1), mode="replicate")[0, 0]
    around = padded.unfold(0, 3, 1).unfold(1, 3, 1)  # (P, R, 3, 3)
    return (around == labels[..., None, None]).all(-1).all(-1)


def agreement(hidden, expected):
    """Share of the cells away from the borders where descent found the expected outcome."""
    expected = expected.clamp_max(2)  # m = 2 has two ways to be dedicated
    kept = off_border(expected) & (p_axis >= (0 if hidden == 1 else 0.05))[:, None]
    return (outcome_found(hidden) == expected)[kept].double().mean().item()


def least(hidden, *names):  # the outcome of least loss among the named ones
    numbers = torch.tensor([list(theory_of[hidden]).index(name) for name in names])
    return numbers[torch.stack([theory_of[hidden][name] for name in names]).argmin(0)].reshape(square)


alone = least(1, "not learned", "dedicated")
without = {"the theory without superposition": agreement(1, alone)}
page.check("F6.phases", agreement(1, predicted[1]), control=without)

# %% [markdown]
# Nearly every cell agrees. Training is another matter: near $r = 1$ part of the runs end in a worse outcome, and the average is a mixture
# (section 7 counts them). And look at the second map near the top of the red region: the colour fades there instead of ending at a line. The next
# two sections are about that.
#
# Before that, try points of your own. Move the two sliders: the cross moves over the map, and the bars show the loss of each outcome at that point.
# These are the closed forms. Which two outcomes tie at $r = 1$ and high density, and at which point do all three?


# %%
def at_a_point(r, p):
    r, p = torch.tensor([r], dtype=F64), torch.tensor([p], dtype=F64)
    losses = {name: (loss / data.variance(p)).item() for name, loss in theory.fates(p, r, 1).items()}
    place = r.item(), p.item()
    return plots.fates_at_a_point(r_axis.numpy(), p_axis.numpy(), predicted[1].numpy(), place, losses)


widgets.live(at_a_point, r=widgets.Slider(0.1, 10, 0.5, log=True), p=widgets.Slider(0.01, 1, 0.2, log=True))

# %% [markdown]
# <a id="border"></a>
# ## 4 A jump, or a gradual change?
#
# The paper compares the change at a border with a *first-order* phase transition, like the boiling of water: the loss is continuous and has a
# kink, and the weights jump, because the optimum moves from one valley of the loss to another. With the closed forms it cannot be otherwise,
# since the candidates are apart from each other. Here are their losses along a column of the map; the circles are exact optima, which may choose
# norm and bias.

# %%
column = int((r_axis - 0.5).abs().argmin())


def over_V(losses):  # of all cells, along the column, in units of V
    return (losses.reshape(square)[:, column] / data.variance(p_axis)).numpy()


cut, best_cut = {name: over_V(losses) for name, losses in theory_of[1].items()}, over_V(found["loss 1"])
figure = toy.fates(cut, best_cut, p_axis.numpy(), f"n = 2, m = 1, r = {r_axis[column]:.2g}")
caption = (
    "Loss in units of V against density, along one column of the map: the three closed forms and the "
    "exact optimum (circles). Where the red curve (superposed) crosses the grey one (not learned), the "
    "least of them has a kink. The circles leave the red curve a little before the crossing. The paper "
    "describes this crossing without a figure."
)
page.save_figure(figure, "F6_fates_along_a_column", {"p": p_axis, "optimum": best_cut} | cut, caption)

# %% [markdown]
# Where exactly is the border of the exact optimum, and how long is the extra feature's weight there? Below the border a superposed pair costs less
# than $rV$, which is exactly the loss of leaving the feature out. The largest such density is searched for between the closed form and half as much
# again, from two starts: on ten intervals, then on ten parts of the interval in which it lies, and once more.

# %%
importance = torch.tensor([0.002, 0.1, 0.2, 0.35, 0.5, 0.8, 0.9], dtype=F64)
closed = 4 * importance / (2 + 5 * importance)


def borders(steps):
    """Per importance: the largest density at which a pair beats leaving the feature out, and |W_2| there."""
    low, high = closed, (1.5 * closed).clamp_max(0.99)
    pairs = torch.tensor([[[1.0], [-0.9]], [[1.0], [-0.3]]], dtype=F64)
    for _ in range(3):
        p = low + (high - low) * torch.linspace(0, 1, 11, dtype=F64)[:, None]  # (11, R)
        flat, r = p.flatten(), importance.repeat(11)
        best = exact.optimum(
            pairs,
            data.Independent().law(flat, 2),
            importances(r, 1),
            steps=steps,
            rate=0.02,
        )
        length, gain = best.W[:, 1, 0].abs(), r * data.variance(flat) - best.loss
        pays = ((gain > 2e-6 * flat) & (length > 0.03)).reshape(p.shape)  # the exact loss is good to 1e-6 p
        last = torch.where(pays, torch.arange(11)[:, None], 0).amax(0, keepdim=True)
        low, high = p.gather(0, last)[0], p.gather(0, (last + 1).clamp_max(10))[0]
    return {"p": low, "length": length.reshape(p.shape).gather(0, last)[0]}


border = memo.memo(borders, 2 * cfg.steps)
rows = zip(importance.tolist(), border["p"].tolist(), closed.tolist(), border["length"].tolist(), strict=True)
{f"r = {r:g}": f"border at p = {p:.3f}, closed form {c:.3f}; length there {w:.2f}" for r, p, c, w in rows}

# %% [markdown]
# If the change is of first order, the weight is long just below the border and zero above. That is tested for $r$ up to one half; the controls are
# two importances near one, of which more below. The second claim is about the closed form of the border: it should be right within ten percent.

# %%
at = {round(r, 3): i for i, r in enumerate(importance.tolist())}
half = [at[r] for r in (0.1, 0.2, 0.35, 0.5)]
near = [at[r] for r in (0.8, 0.9)]
page.check("F6.first_order", border["length"][half], control={"r = .8 and .9": border["length"][near]})
page.check(
    "F6.border",
    (border["p"] / closed)[half],
    control={"a border at 4/7, whatever r": border["p"][half] / (4 / 7)},
)

# %% [markdown]
# The weight jumps, but not to one. With its norm free, a feature of little importance is kept short, because a short one disturbs the other less.
# That also moves the border upwards, for small importances by more than the ten percent that were allowed; so the second verdict is MIXED.
#
# Where $r$ and $p$ are small the shift has a closed form of its own. Let the weights be $1$ and $-g$. With one feature active, the extra one costs
# $\tfrac13 p r (1-g^2)^2$. With both active, the first one costs $p^2\, \mathbb{E} \min(x_1, g x_2)^2 = p^2 (g^2/3 - g^3/6)$. Every other term is
# smaller by a factor of $p$. The pair pays as long as this sum is less than $rV \approx rp/3$, that is, up to $p/r = (2 - g^2)/(1 - g/2)$. At $g =
# 1$ this is the $p = 2r$ of the closed form for small $r$. The border is at the length that pays longest: the maximum over $g$ lies at $g = 2 -
# \sqrt 2$, where $p = (8 - 4\sqrt 2)\, r$. For the smallest of the importances above the border should be there.

# %%
g = torch.linspace(0.01, 1, 1000, dtype=F64)
slope = (2 - g**2) / (1 - g / 2)
assert abs(slope.max() - (8 - 4 * 2**0.5)) < 1e-5
assert abs(g[slope.argmax()] - (2 - 2**0.5)) < 2e-3
in_limit = border["p"][at[0.002]] / (2 * 0.002)
fixed = closed[at[0.002]] / (2 * 0.002)
page.check("F6.free_border", in_limit, control={"unit norms, the closed form": fixed})

# %% [markdown]
# So much for small importance. **Near $r = 1$ the change is of another kind**: going down in density, the extra feature grows from length zero,
# without a jump. Then its border is where leaving it out stops being a minimum, and that has a closed form too. Start from the weights $1$ and $0$,
# make the second one $-e$ with a small $e$, and let the first weight and the first bias $\beta e$ adjust to it. To second order in $e$, the first
# output then costs $p\,(V + (\beta - p/2)^2/4) + (1-p)^2 \beta^2 + p(1-p)\beta^3/3$ times $e^2$, and the second gains $rV$ times $e^2$. So leaving
# the feature out is no minimum as soon as $rV$ exceeds the least such cost over $\beta$, which `unstable_from` computes.
#
# If the border found above agrees with this one, the change is continuous. If it lies at a higher density, the weight has jumped before.


# %%
def unstable_from(p):  # importance above which leaving the feature out is no minimum, n = 2, m = 1
    V, beta = data.variance(p), torch.linspace(0, 1, 1001, dtype=F64)[:, None]
    cost = p * (V + (beta - p / 2) ** 2 / 4) + (1 - p) ** 2 * beta**2 + p * (1 - p) * beta**3 / 3
    return cost.amin(0) / V


dense = torch.linspace(0.01, 0.99, 2000, dtype=F64)


def unstable_below(r):  # the density below which it is no minimum, for importances r
    return dense[(unstable_from(dense) < r[:, None]).sum(1) - 1]


ratio = border["p"] / unstable_below(importance)
jumps = {"r = .2, .35 and .5, where the norm jumps": ratio[[at[r] for r in (0.2, 0.35, 0.5)]]}
page.check("F6.continuous", ratio[near], control=jumps)

# %% [markdown]
# It agrees at $r = 0.8$ and $0.9$. This can be tested without any search. Just below the border the exact loss must fall in *some* direction away
# from the solution without the feature, and just above it must rise in *all*. Usually one computes the Hessian for that and looks at its smallest
# eigenvalue. Here the loss has no Hessian at this point: a bias of exactly zero is where a relu bends. But it has a curvature along every ray, so
# we try twenty thousand rays in the space of both weights and both biases.

# %%
near_one = torch.tensor([0.7, 0.8, 0.9], dtype=F64)
p_border = unstable_below(near_one)


def least_curvature(p, r, rays=20_000, length=0.05):
    """Least rise of loss / V over rays from the solution without the feature, over length squared."""
    ray = torch.randn(rays, 4, generator=run.generator(0, "rays"), dtype=F64)
    ray[:, 0], ray[:, 2:] = 0.3 * ray[:, 0], 0.3 * ray[:, 2:]  # most of it along the second weight
    ray = length * ray / ray.norm(dim=1, keepdim=True)
    W = torch.tensor([1.0, 0.0], dtype=F64) + ray[:, :2]
    b = torch.stack([torch.zeros_like(p), p / 2]) + ray[:, 2:]
    weight = torch.stack([torch.ones_like(r), r])
    least = exact_loss(W[..., None], b, p.expand(rays), weight).min()
    return (least / data.variance(p) - r) / length**2


below = torch.stack([least_curvature(0.95 * p, r) for p, r in zip(p_border, near_one, strict=True)])
beyond = torch.stack([least_curvature(1.05 * p, r) for p, r in zip(p_border, near_one, strict=True)])
assert (below < 0).all()
assert (beyond > 0).all()
{"border": p_border.tolist(), "least curvature below it": below.tolist(), "above it": beyond.tolist()}

# %% [markdown]
# <a id="third"></a>
# ## 5 A third phase
#
# Near $r = 1$, then, a short second weight appears at the border and grows as density falls. But the map says that far down the pair is nearly
# symmetric. How does a short weight become a long one? Let us follow the exact optimum through all densities, for several importances, and draw
# the shorter weight divided by the longer one. Four descents per point begin with a long second weight and with three short ones, so that both
# kinds of pairs are tried, and the best is kept.

# %%
followed = torch.tensor([0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], dtype=F64)
pair_starts = torch.tensor([[[1.0], [-w]] for w in (0.95, 0.3, 0.2, 0.1)], dtype=F64)


def shorter_by_longer(task):
    """Shorter weight over longer one at the best end of four descents, per density and importance."""
    p, r, steps = task
    law, W = data.Independent().law(p.repeat_interleave(4), 2), pair_starts.repeat(len(p), 1, 1)
    extra = importances(r, 1).repeat_interleave(4, 0)
    path = exact.descend(W, torch.zeros(len(W), 2), law, extra, steps=steps, rate=0.02)
    best = path.loss.reshape(-1, 4).argmin(1)
    lengths = path.W.reshape(-1, 4, 2)[torch.arange(len(p)), best].abs()
    return {"ratio": lengths.amin(1) / lengths.amax(1)}


path_p = torch.linspace(0.2, 0.98, 40, dtype=F64)  # every 0.02
task = (path_p.repeat_interleave(len(followed)), followed.repeat(40), 16 * cfg.steps)
paths = memo.memo(shorter_by_longer, task)["ratio"].reshape(40, -1).T  # (importance, density)
ratios = {f"r = {r:g}": row.numpy() for r, row in zip(followed.tolist(), paths, strict=True)}
panel = lines.Panel(path_p.numpy(), ratios, "density p = 1 - S", "shorter weight / longer weight")
caption = (
    "The exact optimum of n = 2, m = 1: the shorter of the two weights divided by the longer, against "
    "density, for seven importances r. Follow a curve from the left: at small r one fall, to zero. At "
    "larger r it falls to a short weight first, which then shrinks gradually. Where it is short the loss "
    "is nearly flat, so small kinks mean little. The paper has no such figure."
)
figure = lines.lines(panel, size=(6.4, 3.8))
page.save_figure(figure, "F6_third_phase", {"p": path_p, "ratio": ratios}, caption)

# %% [markdown]
# So there is a third phase between the near-symmetric pair and the feature left out: an *unequal* pair. Is its lower border a jump? A grid cannot
# tell a jump from a steep slope. Zooming in can: divide the range into ten intervals, take the one of the steepest fall, and divide it again. If
# the fall remains while the interval shrinks to a thousandth of the range, we call it a jump. The control is the same zoom at the upper border of
# the phase, where the short weight vanishes.


# %%
def zoom(task):
    """Fall of the ratio across the steepest of ten intervals, and its middle; three times, ever finer."""
    r, low, high, steps = task
    falls, middles = [], []
    for _ in range(3):
        p = low + (high - low) * torch.linspace(0, 1, 11, dtype=F64)[:, None]  # (11, R)
        ratio = shorter_by_longer((p.flatten(), r.repeat(11), steps))["ratio"].reshape(p.shape)
        fall, first = (ratio[:-1] - ratio[1:]).max(0)
        low, high = p.gather(0, first[None])[0], p.gather(0, first[None] + 1)[0]
        falls.append(fall)
        middles.append((low + high) / 2)
    return {"falls": torch.stack(falls), "middles": torch.stack(middles)}  # (3, R)


unequal = torch.tensor([0.6, 0.7, 0.8, 0.9, 1.0], dtype=F64)
low = torch.cat([torch.full_like(unequal, 0.5), p_border - 0.05])
high = torch.cat([torch.full_like(unequal, 0.75), p_border + 0.05])
zoomed = memo.memo(zoom, (torch.cat([unequal, near_one]), low, high, 8 * cfg.steps))
jump, vanish = zoomed["falls"].split([len(unequal), len(near_one)], dim=1)
jump_p = zoomed["middles"][:, : len(unequal)]
page.check("F6.unequal", jump[-1], control={"where the short weight vanishes": vanish[-1]})
{"falls, ever finer, r = .6, .7, .8, .9, 1": jump.tolist(), "at p": jump_p[-1].tolist()}

# %% [markdown]
# The fall at the lower border remains at all three scales: a transition of first order, between two kinds of pairs, each in a valley of its own. At
# the upper border the fall shrinks with the interval: the transition into "not learned" is continuous there.
#
# Where does the third phase begin? At the border where leaving the feature out becomes unstable, ask whether a near-symmetric pair is already
# better. If it is, the jump comes first and there is no third phase.

# %%
scan_r = torch.linspace(0.5, 0.75, 51, dtype=F64)
scan_p = unstable_below(scan_r)


def near_symmetric_gain(task):
    """rV minus the loss of the best pair that began near-symmetric, in units of V."""
    p, r, steps = task
    law = data.Independent().law(p, 2)
    best = exact.optimum(pair_starts[:1], law, importances(r, 1), steps=steps, rate=0.02)
    return {"gain": r - best.loss / data.variance(p)}


gain = memo.memo(near_symmetric_gain, (scan_p, scan_r, 8 * cfg.steps))["gain"]
begins = int((gain > 1e-4).nonzero().max()) + 1
{"the third phase begins at r": scan_r[begins].item(), "and p": scan_p[begins].item()}

# %% [markdown]
# Together that makes a map of the exact optimum in place of the closed forms' one. By symmetry the part with $r > 1$ is its mirror image, with
# the two features exchanged.

# %%
fine = torch.linspace(0.1, 1, 200, dtype=F64)
first = (
    torch.cat([importance[half], scan_r[begins : begins + 1]]),
    torch.cat([border["p"][half], scan_p[begins : begins + 1]]),
)
lower = (
    torch.cat([scan_r[begins : begins + 1], unequal]),
    torch.cat([scan_p[begins : begins + 1], jump_p[-1]]),
)
upper = fine[fine >= scan_r[begins]], unstable_below(fine[fine >= scan_r[begins]])
borders_of = {
    "jump: superposed to not learned": [first],
    "jump: near-symmetric to unequal pair": [lower],
    "gradual: unequal pair to not learned": [upper],
    "the closed forms' border": [(fine, 4 * fine / (2 + 5 * fine))],
}
looks = dict(marker="o", ms=4), dict(marker="s", ms=4), dict(ls="--"), dict(ls=":")
panel = lines.Panel(None, borders_of, "relative importance r", "density p = 1 - S", looks)
caption = (
    "Borders of the exact optimum for r up to 1, n = 2, m = 1. Below the two solid lines the pair is "
    "near-symmetric. Between the solid line with squares and the dashed one lies the third phase, the "
    "unequal pair. Above, the extra feature is not learned. Dotted, the border of the paper's closed "
    "forms. The paper has no such figure."
)
numbers = {name: list(curve[0]) for name, curve in borders_of.items()}
page.save_figure(lines.lines(panel, size=(5.8, 4)), "F6_exact_borders", numbers, caption)

# %% [markdown]
# What does this do to the paper's phase change? At small $r$ it stands: one jump. From the point where the lines meet, the extra feature is lost in
# two steps, a jump and a gradual fade, and only at $r = 1$ does the second step last to $p = 1$. The losses differ so little there, by a percent of
# $V$ and less (exercise 4), that we do not expect to see it in models trained on samples.
#
# <a id="three"></a>
# ## 6 Three features in two dimensions
#
# With one more dimension there is a fourth candidate: the *other two* share a dimension, and the extra feature has one to itself. That costs
# $p^2/3$ whatever $r$ is. So below the triple point the border between red and blue should be a vertical line at $r = 1$: the less important ones
# share. In the maps, dark blue is a dimension at the cost of another feature, pale blue one that the other two made free by sharing. Cells with $p$
# below 0.05 are not counted, because the two ways to share a dimension differ very little in loss there.

# %%
shared = geometry.interference(found["W 2"])[:, 0].reshape(square).numpy()  # of one of the other two
maps = [closed_map(2), exact_map(2, shared)]
curves = [
    (low_r, 4 * low_r / (2 + 5 * low_r)),
    (one, torch.tensor([0.01, 1.0])),
    (high_r, torch.full_like(high_r, 4 / 7)),
]
names = {
    "not learned": (0.25, 0.5),
    "superposed": (0.3, 0.06),
    "others superposed": (3, 0.06),
    "dedicated": (3, 0.75),
}
caption = (
    "What becomes of the extra feature, n = 3, m = 2: least of four closed forms, and exact optimum, "
    f"{cfg.cells} x {cfg.cells} cells. Look at the vertical border. The two blues are two outcomes, "
    "which the paper's figure draws in one colour."
)
numbers = {
    "r": r_axis,
    "p": p_axis,
    "norm": found["norm 2"],
    "interference": found["interference 2"],
    "of another": shared,
}
figure = plots.outcome_maps(maps, curves, names)
page.save_figure(figure, "F7_three_features_two_dimensions", numbers, caption)
three = least(2, "not learned", "superposed", "dedicated")
page.check(
    "F7.phases",
    agreement(2, predicted[2]),
    control={"the theory without the fourth candidate": agreement(2, three)},
)

# %% [markdown]
# Now the vertical border, measured: the importance at which the extra feature changes from sharing to a dimension of its own, at five densities
# below the triple point. With one dimension the same border depends on the density, which makes it the control.


# %%
def turns_blue(hidden, densities):
    rows = [int((p_axis - p).abs().argmin()) for p in densities]
    first = [int((outcome_found(hidden)[row] == 2).nonzero()[0]) for row in rows]
    return [(r_axis[i] * r_axis[max(i - 1, 0)]).sqrt().item() for i in first]


slanted = {"n = 2, m = 1, p = .2, .3, .4": turns_blue(1, (0.2, 0.3, 0.4))}
page.check("F7.vertical", turns_blue(2, (0.1, 0.2, 0.3, 0.4, 0.5)), control=slanted)

# %% [markdown]
# <a id="starts"></a>
# ## 7 How often a single run finds it
#
# Descent ends in a valley near its start, which need not be the lowest. Here every cell of a coarser grid gets random starts only, and we count
# those that come within a hundredth of $V$ of the best loss of the cell. Where they are few, one model per cell would not be enough; the paper
# trains ten.


# %%
def random_starts(cfg):
    """Per coarse cell: share of random starts whose loss comes within V(p)/100 of the lowest found there."""
    _, _, r, p = axes(cfg.coarse)
    shares = {}
    for hidden in (1, 2):
        shape, generator = (len(r), cfg.runs, hidden + 1, hidden), run.generator(9, hidden)
        free = 0.7 * torch.randn(shape, generator=generator, dtype=F64)
        law, extra = data.Independent().law(p, hidden + 1), importances(r, hidden)
        best = exact.optimum(starts(hidden, cfg.random), law, extra, steps=2 * cfg.steps, rate=cfg.rate)
        each = data.Law(law.sets, law.chance.repeat_interleave(cfg.runs, dim=0))
        weight = extra.repeat_interleave(cfg.runs, dim=0)
        b = torch.zeros(len(weight), hidden + 1)
        path = exact.descend(free.flatten(0, 1), b, each, weight, steps=2 * cfg.steps, rate=0.05)
        near = path.loss.reshape(len(r), cfg.runs) <= (best.loss + 0.01 * data.variance(p))[:, None]
        shares[f"share {hidden}"] = near.double().mean(1)
    return shares


shares = memo.memo(random_starts, cfg)
grids = [shares[f"share {hidden}"].reshape(cfg.coarse, cfg.coarse).numpy() for hidden in (1, 2)]
figure = plots.share_of_starts(r_coarse.numpy(), p_coarse.numpy(), grids, ["n = 2, m = 1", "n = 3, m = 2"])
caption = (
    f"Share of {cfg.runs} random starts per cell that end within V/100 of the best loss. Look at "
    "importances near 1 (left) and above 1 (right): where several outcomes are nearly as good, runs "
    f"get stuck. Mean over the map: {grids[0].mean():.0%} (left), {grids[1].mean():.0%} (right). The "
    "paper has no such figure."
)
page.save_figure(figure, "F6_random_starts", {"r": r_coarse, "p": p_coarse, "shares": grids}, caption)

# %% [markdown]
# <a id="confused"></a>
# ## 8 A confused feature, and what the bias does to it
#
# A comment to the paper, by Tom McGrath, draws the loss over both weights of the smallest model, without a bias. With dense features the best
# solution is then neither feature but a mixture, both weights equal to $1/\sqrt 2$: the *confused feature*. As sparsity grows, two minima with
# opposite signs, the antipodal pair and its mirror image, deepen and take over. With the exact loss this is one call per surface.

# %%
grid = torch.linspace(-1.5, 1.5, cfg.surface, dtype=F64)
pairs = torch.cartesian_prod(grid, grid)[..., None]  # (G * G, 2, 1)


def surface(p):
    at_p = torch.full((len(pairs),), p, dtype=F64)
    return exact_loss(pairs, torch.zeros(len(pairs), 2), at_p).reshape(cfg.surface, cfg.surface)


def minima(values):  # grid points lower than all others nearby; of equal neighbours the first
    around = torch.nn.functional.max_pool2d(-values[None, None], 11, stride=1, padding=5)[0, 0]
    points = grid[(-values >= around).nonzero()]
    apart = (points[:, None] - points).norm(dim=-1) > 0.4
    return points[[i for i in range(len(points)) if apart[i, :i].all()]]


densities = (1.0, 0.6, 0.1)
surfaces = [surface(p) for p in densities]
titles = [f"density p = {p:g}" for p in densities]
lowest_points = [minima(s).numpy() for s in surfaces]
figure = plots.loss_surfaces(grid.numpy(), [s.numpy() for s in surfaces], titles, lowest_points)
caption = (
    "Exact loss of n = 2, m = 1 without a bias over its two weights, equal importances, from dense "
    "(left) to sparse; dots are local minima. Watch which diagonal is darkest: equal weights at p = 1, "
    "opposite ones at p = 0.1. As in the comment's figure."
)
numbers = {"weights": grid, "densities": densities, "minima": lowest_points}
page.save_figure(figure, "F30_loss_surfaces", numbers, caption)

# %% [markdown]
# Where is the lowest point of each surface? In the dense case it should be at equal weights, whose product is $1/2$.
#
# Does the confused feature depend on the missing bias? Without a bias only the weights can produce anything like the mean of a feature that is left
# out. With the bias free that reason is gone, so we expect the antipodal pair instead, and test it at three densities below 1.
# $2 w_1 w_2 / (w_1^2 + w_2^2)$ is 1 for the confused feature, 0 for one feature alone and -1 for the antipodal pair.

# %%
lowest = {p: pairs[surface(p).argmin(), :, 0] for p in (1.0, 0.7, 0.8, 0.9, 0.1)}
antipodal = {"p = .1, where the features are antipodal": lowest[0.1].prod()}
page.check("F30.confused", lowest[1.0].prod(), control=antipodal)
law = data.Independent().law(torch.tensor([0.7, 0.8, 0.9], dtype=F64), 2)
nine = torch.linspace(-1.5, 1.5, 9, dtype=F64)
everywhere = torch.cartesian_prod(nine, nine)[..., None]  # many starts: the valley at p = .9 is narrow
free = exact.optimum(everywhere, law, steps=400, rate=0.03).W[..., 0]


def alignment(w):
    return 2 * w.prod(-1) / w.square().sum(-1)


without = torch.stack([lowest[p] for p in (0.7, 0.8, 0.9)])
confused = {"the lowest points without a bias, same densities": alignment(without)}
page.check("F30.bias", alignment(free), control=confused)

# %% [markdown]
# With a bias the features are antipodal at all three densities, so the confused feature is a result of leaving the bias out. At $p = 0.8$ and
# $0.9$ the pair is the unequal one of section 5.
#
# <a id="your-turn"></a>
# ## 9 Your turn
#
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* Derive the border $p = 4r/(2+5r)$ of section 1, and check it with `candidates` at an importance of your choice. What holds at
#    $r = 1$?
#    <details><summary>Hint</summary>On the border r V = (1 + r) p^2 / 6, with V = p/3 - p^2/4. Divide by p.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    chosen = torch.tensor(0.3)
#    ignored_loss, pair_loss, dedicated_loss = candidates(4 * chosen / (2 + 5 * chosen), chosen)
#    assert torch.isclose(ignored_loss, pair_loss) and pair_loss < dedicated_loss
#    triple = candidates(torch.tensor(4 / 7), torch.tensor(1.0))
#    assert torch.allclose(triple, triple[0])
#    ```
#
#    $r(1/3 - p/4) = (1 + r)\,p/6$ gives $p = 4r/(2+5r)$. At $r = 1$ that is $4/7$, and all three losses agree. Above it superposition does not
#    pay for equal features, below it does.
#    </details>
# 2. *(10 minutes)* Make the corner formula fail. Give `expected_loss` two orthogonal features. Why does it break, and what could one do?
#    <details><summary>Hint</summary>Which number does `J` divide by?</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    orthogonal = torch.eye(2, dtype=F64)
#    broken = expected_loss(orthogonal, torch.zeros(2, dtype=F64), p, torch.ones(2))
#    nudged = expected_loss(orthogonal + 0.01, torch.zeros(2, dtype=F64), p, torch.ones(2))
#    package = exact_loss(orthogonal[None], torch.zeros(1, 2), p[None])
#    assert broken.isnan() and nudged < 1e-3 and package.abs() < 1e-6
#    ```
#
#    An overlap of zero makes it 0/0, although the integral itself is harmless. The package integrates overlaps below a thousandth by their mean.
#    </details>
# 3. *(10 minutes)* What does a *pair* look like at $r = 0.1$ and $p = 0.1$? Predict the length of the second weight from the formula for small
#    $r$ and $p$, then descend on the exact loss.
#    <details><summary>Hint</summary>Minimise p r (1-g^2)^2 / 3 + p^2 (g^2/3 - g^3/6) over g. This p is not at the border.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    tenth = torch.tensor([0.1], dtype=F64)
#    guess = g[(0.1 * 0.1 * (1 - g**2) ** 2 / 3 + 0.1**2 * (g**2 / 3 - g**3 / 6)).argmin()]
#    W_pair, _ = descend(torch.tensor([[[1.0], [-0.8]]], dtype=F64), torch.zeros(1, 2), tenth, torch.tensor([[1.0, 0.1]], dtype=F64))
#    assert abs(W_pair[0, 1, 0].abs() - guess) < 0.08
#    ```
#
#    About 0.9: well below the border the weight is nearly as long as the other one.
#    </details>
# 4. *(5 minutes)* Which is the better solution at $r = 1$, $p = 0.9$: leaving one feature out, or the unequal pair of section 5? By how much?
#    <details><summary>Hint</summary>Descend from weights (0.9, -0.4) and divide by V.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    nine = torch.tensor([0.9], dtype=F64)
#    W_pair, b_pair = descend(torch.tensor([[[0.9], [-0.4]]], dtype=F64), torch.zeros(1, 2), nine, torch.ones(2), steps=1000)
#    in_V = exact_loss(W_pair, b_pair, nine) / data.variance(nine)
#    assert 0.99 < in_V < 1 - 1e-3
#    ```
#
#    The pair, by less than one percent of $V$. Training on samples cannot see so small a difference; the exact loss can.
#    </details>
#
# <a id="limits"></a>
# ## 10 Limits
#
# - The optimum of a cell is the best of a list of descents, and its loss an upper bound. There may be a better one that no start of the list
#   leads to.
# - Near the continuous border descents are slow, because the loss is nearly flat; lengths below a twentieth are not to be trusted there. Its
#   position comes from the closed form and was checked along rays.
# - Whether three features in two dimensions have a third phase too was not tested.
# - The closed forms have unit norms and fixed biases. The card of `F6.border` says how far that moves the borders.
# - For three features the paper leaves out a candidate, the triangle. [Page 3](03_superposition_geometry.ipynb) shows where it wins.
#
# <a id="checked"></a>
# ## 11 What was checked
#
# Each claim of this page with its value, the band it had to lie in, and the controls that had to fail.

# %%
page.close()
