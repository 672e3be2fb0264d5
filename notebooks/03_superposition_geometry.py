# %% [markdown]
# # 3. Features in superposition form polytopes
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/03_superposition_geometry.ipynb)
#
# **Pages** [← 2. Superposition as a phase change](02_phase_change.ipynb) · [Start here](00_start_here.ipynb) · [3b. Features that differ, and features that occur together →](03b_correlated_features.ipynb)
#
# A small network that stores more features than it has dimensions puts them on the corners of small regular shapes: opposite pairs, triangles,
# pentagons. On this page you train such networks at many sparsities, measure how much of a dimension each feature gets, and see that this share stays
# at one half over a wide range, because features pair up. You then see where the regular shapes end.
#
# **You will** measure a feature's share of a dimension · build polytopes and turn them · predict, without training, which polytope is best at each
# sparsity · compare the prediction with trained networks · draw which features overlap.
#
# **Needs** a little PyTorch, and the toy model of [page 1](01_demonstrating_superposition.ipynb), which is built again here in ten lines.
#
# **Takes** about four minutes (the `laptop` profile on two cores; how to choose another: [start here](00_start_here.ipynb#profiles)).
#
# **Paper** Elhage et al. 2022, *Toy Models of Superposition*, ["The Geometry of
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#geometry), its part on features that are all alike. Features that differ
# or occur together are on the [next page](03b_correlated_features.ipynb).
#
# **On this page** [1 Data and model](#data) · [2 Training](#training) · [3 A feature's share of a dimension](#dimensionality) · [4 Polytopes, and how they add up](#polytopes) · [5 What theory expects](#theory) · [6 Dimensions per feature](#plateau) · [7 Where polytopes win, and where they stop](#gain) · [8 The dimensionality of each feature](#lines) · [9 Which features share dimensions](#graphs) · [10 More features, cleaner lines?](#more-features) · [11 Two sentences that do not hold as written](#two-sentences) · [12 Your turn](#your-turn) · [13 Limits](#limits) · [14 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from companion import claims, memo, run
from companion.plots import polytopes, vectors, widgets
from companion.plots import toy as plots
from companion.toy import data, exact, geometry, model, theory, train

claims.opening("03_superposition_geometry")


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    features: int  # n
    hidden: int  # m
    levels: tuple[float, ...]  # 1/(1-S) of each model of the sweep, from dense to sparse
    graphs: tuple[float, ...]  # levels whose feature graph is drawn
    fewer: tuple[int, ...]  # smaller numbers of features in the same m dimensions
    pressed: tuple[float, ...]  # levels at which they are compared
    seeds: int  # sweeps, each with its own initial weights and samples
    steps: int
    batch: int
    rate: float
    curve: int  # densities at which the exact curves are evaluated


fine = (1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 6, 10)
shown = dict(graphs=(1.75, 2, 3, 4, 4.5, 10), fewer=(100, 200), pressed=(1.5, 2, 3, 4, 6), curve=60)
few = dict(graphs=(2, 3), fewer=(20,), pressed=(2, 3), curve=12)
cfg = run.choose(
    quick=Config(60, 6, (1, 2, 2.5, 2.75, 3, 10), **few, seeds=3, steps=700, batch=64, rate=0.01),
    laptop=Config(400, 30, fine, **shown, seeds=5, steps=2500, batch=128, rate=0.005),
    paper=Config(400, 30, fine, **shown, seeds=5, steps=20_000, batch=512, rate=0.003),
)
page = claims.Page("03_superposition_geometry", cfg)
inverse = torch.tensor(cfg.levels, dtype=torch.float64)
cfg

# %% [markdown]
# <a id="data"></a>
# ## 1 Data and model
#
# The data are the paper's: feature $i$ is absent ($x_i = 0$) with probability $S$, the *sparsity*, and otherwise uniform between 0 and 1. With
# $p = 1 - S$, the *density*, its variance is $V(p) = p/3 - p^2/4$, which is also what leaving the feature out adds to the loss. The model presses $n$
# features into $m$ numbers $h = W^\top x$ and reads them out again with the same matrix, $x' = \mathrm{relu}(W h + b)$. Row $W_i$ is the direction
# that stands for feature $i$ (the paper's $W$ is the transpose of ours). On this page all features are equally important, so the loss is the plain
# squared error
#
# $$L = \mathbb{E} \sum_i (x_i - x'_i)^2 .$$


# %%
def sample(batch, n, S, generator):
    present = torch.rand(batch, n, generator=generator) >= S
    return present * torch.rand(batch, n, generator=generator)  # (batch, n)


def reconstruct(x, W, b, output=torch.relu):
    h = x @ W  # (batch, m)
    return output(h @ W.T + b)  # (batch, n)


sample(3, 6, S=0.7, generator=run.generator(0, "look"))

# %% [markdown]
# ### Move the sparsity
#
# What does the best such model look like? For five features in two dimensions the expected loss can be computed without samples, and its optimum can
# be searched for ([page 2](02_phase_change.ipynb) shows how), so no training is in the way. The cell below finds the optimum at 21 sparsities; the
# slider shows the nearest one. Its scale is the paper's, $1/(1-S)$: 1 is dense, 10 means that a feature is present once in ten samples.
#
# Run the cell and move the slider from left to right. The number of stored features goes from three to four to five, in two jumps; between the jumps
# hardly anything changes. (At the very left, without sparsity, many arrangements are nearly as good as the best.) The colour of an arrow is the
# feature's share of a dimension, $D_i$, which [section 3](#dimensionality) explains.

# %%
stops = torch.logspace(0, 1.5, 21, dtype=torch.float64)  # 1/(1-S)


def optima_in_the_plane(steps):
    starts = 0.6 * torch.randn(8, 5, 2, generator=run.generator(0, "plane"), dtype=torch.float64)
    return {"W": exact.optimum(starts, data.Independent().law(1 / stops, 5), steps=steps).W}


in_plane = memo.memo(optima_in_the_plane, 120)["W"]  # (21, 5, 2)


def five_features(sparsity):
    at = int((stops - sparsity).abs().argmin())
    W = in_plane[at][in_plane[at].norm(dim=-1).argsort(descending=True)]
    W, D = geometry.upright(W, W[0], W[0].flip(0) * torch.tensor([1, -1])), geometry.dimensionality(W)
    counted = Counter(f"{share:.2f}" for share in D.sort().values.flip(0).tolist())
    values = ", ".join(f"{count} × {share}" for share, count in counted.items())
    title = f"1/(1-S) = {stops[at]:.2f}\nD: {values}"
    return vectors.feature_vectors([W.numpy()], [title], D.numpy(), "share of a dimension D")


widgets.live(five_features, sparsity=widgets.Slider(1.0, 30.0, 3.0, log=True))

# %% [markdown]
# The rest of the page asks whether large models, trained on samples, do the same.
#
# **What differs from the paper.** The paper shows one model per sparsity and states no number of steps, batch size or learning rate; here there are
# five seeds, with the settings in the cell of parameters. The exact loss of every polytope is computed, so a prediction stands beside each measured
# curve. Two sentences of the section are tested against exact losses and do not hold as written ([section 11](#two-sentences)).
#
# <a id="training"></a>
# ## 2 Training
#
# First in the open: sixty features, six dimensions, each feature present in a third of the samples. Weights start with variance $2/(n+m)$, biases at
# zero, and Adam does the rest. If features pair up, twelve of them are stored, two per dimension, and $m / \lVert W \rVert_F^2$, the number of
# dimensions per stored feature, is one half.


# %%
def train_plainly(S, n=60, m=6, steps=1500, output=torch.relu, seed=0):
    generator = run.generator(seed, "plain loop")
    W = ((2 / (n + m)) ** 0.5 * torch.randn(n, m, generator=generator)).requires_grad_()
    b = torch.zeros(n, requires_grad=True)
    adam = torch.optim.Adam([W, b], lr=0.01)
    for _ in range(steps):
        x = sample(256, n, S, generator)  # (256, n)
        loss = (x - reconstruct(x, W, b, output)).square().sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return W.detach(), b.detach()


plain_W, plain_b = train_plainly(S=2 / 3)
{"stored features": int((plain_W.norm(dim=1) > 0.5).sum()), "m / |W|^2": (6 / plain_W.square().sum()).item()}

# %% [markdown]
# ### The same, faster
#
# `companion.toy.train.fit` trains many such models side by side. Four things make it faster, and none of them moves a minimum of the loss: it draws
# no samples of zeros, whose loss is known; it divides each model's loss by $V(p)$, so that sparse models learn as fast as dense ones; the bias is
# trained around the mean input, and the part of the gradient that is linear is taken in expectation, which makes dense models converge; and the
# gradient is written by hand. Models do not share a gradient. Measured on the same fresh samples, its model must be at least as good as that of the
# plain loop.

# %%
third = torch.tensor([1 / 3])
fast = train.fit(model.Config(60, 6), third, [run.generator(0, "fast")], train.Schedule(1500, 256, 0.01))


def measured_loss(W, b):
    return train.sampled_loss(W, b, third, run.generator(0, "compare"), 8192).item()


losses = {"plain loop": measured_loss(plain_W[None], plain_b[None]), "fit": measured_loss(fast.W, fast.b)}
assert 0.95 < losses["fit"] / losses["plain loop"] < 1.01
losses

# %% [markdown]
# <a id="dimensionality"></a>
# ## 3 A feature's share of a dimension
#
# Put two features in one dimension, in opposite directions: each has half of it. Put three features in a plane, 120 degrees apart: three share two
# dimensions, so each has two thirds. We want a number that gives these answers for any $W$ without being told the arrangement.
#
# Take a feature's direction, the unit vector $\hat W_i$, and add up the squares of what all features have along it. The feature's own square,
# $\lVert W_i \rVert^2$, is one of the terms; the others are what it shares the direction with. In the pair both terms are one: one out of two is a
# half. In the triangle the other two features each have $\cos 120^\circ = -1/2$ along it, so the sum is $1 + 1/4 + 1/4$ and the share is $2/3$. The
# paper calls this share the *dimensionality* of the feature:
#
# $$D_i = \frac{\lVert W_i \rVert^2}{\sum_j (\hat W_i \cdot W_j)^2} .$$


# %%
def dimensionality(W):  # (F, H)
    length = W.norm(dim=1)  # (F,)
    overlaps = (W / length[:, None]) @ W.T  # (F, F): unit row i with every row j
    return length**2 / (overlaps**2).sum(1)


pair, triangle = geometry.polytope("digon"), geometry.polytope("triangle")
octahedron = geometry.tegum("digon", "digon", "digon")  # three pairs, one along each axis
assert torch.allclose(dimensionality(pair), torch.full((2,), 1 / 2, dtype=torch.float64), atol=1e-12)
assert torch.allclose(dimensionality(triangle), torch.full((3,), 2 / 3, dtype=torch.float64), atol=1e-12)
assert torch.allclose(dimensionality(octahedron), geometry.dimensionality(octahedron), atol=1e-12)
{"pair": dimensionality(pair), "triangle": dimensionality(triangle), "octahedron": dimensionality(octahedron)}

# %% [markdown]
# <a id="polytopes"></a>
# ## 4 Polytopes, and how they add up
#
# The paper and the code call an opposite pair a *digon*: it is the polygon with two corners. Shapes of more dimensions are built from such parts.
# Example: put a triangle into the first two of three dimensions and a pair into the third. No feature of the triangle has anything along the third
# axis, and the pair has nothing in the plane. So the sums above do not change: the three corners of the triangle keep $D = 2/3$, the two of the pair
# keep $D = 1/2$. The convex hull of the five is a triangular bipyramid.
#
# Polytopes put into orthogonal subspaces in this way form what the paper calls a *tegum product*. In terms of matrices: $W W^\top$ has one block for
# each part and zeros elsewhere. A bipyramid's features therefore do not share one dimensionality, and the octahedron is nothing but three pairs.

# %%
products = {
    "triangular bipyramid": geometry.tegum("triangle", "digon"),
    "pentagonal bipyramid": geometry.tegum("pentagon", "digon"),
    "octahedron": octahedron,
}
shares = {name: geometry.dimensionality(W) for name, W in products.items()}


def fractions(D):
    return Counter(str(Fraction(d).limit_denominator(20)) for d in D.tolist())


split = {name: fractions(D) for name, D in shares.items()}
assert split["triangular bipyramid"] == {"2/3": 3, "1/2": 2}
assert split["pentagonal bipyramid"] == {"2/5": 5, "1/2": 2}
assert split["octahedron"] == {"1/2": 6}
labelled = {name: D.numpy() for name, D in shares.items()}
drawing = polytopes.tegum_products({name: W.numpy() for name, W in products.items()}, labelled)
caption = (
    "Look at the labels: each corner keeps the dimensionality of the part it comes from (a colour for "
    "each value). Constructed unit vectors, m = 3, nothing is trained. The paper draws the same three "
    "products."
)
page.save_figure(drawing, "F10_tegum_products", {"D": labelled}, caption)

# %% [markdown]
# Different shapes can have the same dimensionality. Any $k$ equal vectors that fill $d$ dimensions evenly (a *tight frame*: as much of them along
# every direction) have $D = d/k$, so the cube and the square antiprism, eight corners in three dimensions, are both at $3/8$. Shapes are therefore
# named by their cosines, not by $D$.
#
# The matrix of cosines says all there is to say about a shape: a matrix of rank $m$ with ones on its diagonal and no negative eigenvalue *is* a set
# of unit vectors in $m$ dimensions. The next picture shows both views.

# %%
cube, antiprism = geometry.polytope("cube"), geometry.polytope("square antiprism")
assert torch.allclose(geometry.dimensionality(cube), geometry.dimensionality(antiprism), atol=1e-12)
assert (geometry.classify(cube), geometry.classify(antiprism)) == ("cube", "square antiprism")
drawn = ("digon", "triangle", "pentagon", "tetrahedron", "square antiprism")
flat_and_solid = {name: geometry.polytope(name).numpy() for name in drawn}
caption = (
    "Above: unit vectors on the corners of a polytope, numbered. Below: their cosines, with the same "
    "numbers; red is the same direction, blue opposite. Each matrix has the rank of the space its "
    "polytope lives in. Constructed, as in the paper's picture of polytopes and matrices."
)
figure = polytopes.polytope_and_matrix(flat_and_solid)
page.save_figure(figure, "F11_polytopes_and_matrices", {"W": flat_and_solid}, caption)

# %% [markdown]
# **To turn.** Drag a solid with the mouse (where a live figure is drawn; elsewhere you see the same view as a picture). Try to look at the square
# antiprism along its axis: the upper square is turned against the lower one by 45 degrees, which is what tells it from the cube.

# %%
solids = {name: geometry.polytope(name) for name in ("tetrahedron", "square antiprism", "cube")} | products
corners = {name: W.numpy() for name, W in solids.items()}
at_corners = {name: geometry.dimensionality(W).numpy() for name, W in solids.items()}
to_turn = widgets.solids(corners, polytopes.tegum_products(corners, at_corners))

# %% [markdown]
# <a id="theory"></a>
# ## 5 What theory expects
#
# Which polytope *should* a model use at a given sparsity? The expected loss of a small model can be computed exactly. Begin with one feature that is
# present and reconstructed as $\mathrm{relu}(a x + c)$: the integral of $(x - \mathrm{relu}(a x + c))^2$ over $0 \le x \le 1$ is elementary, because
# the relu is linear where it is not zero. With $k$ features present the relu cuts a cube of values by a plane, and the integral becomes a signed sum
# over the $2^k$ corners of the cube. Last, the sums for all sets of present features are added, each with its probability. That takes $3^n$ terms
# and no samples. It is code of the package; here it is compared with the mean over samples, from which it may differ by their noise only.

# %%
generator = run.generator(0, "check")
small_W = 0.6 * torch.randn(6, 3, generator=generator, dtype=torch.float64)
small_b = 0.2 * torch.randn(6, generator=generator, dtype=torch.float64)
x = sample(200_000, 6, 0.7, generator).double()
errors = (x - reconstruct(x, small_W, small_b)).square().sum(-1)  # (batch,)
p = torch.tensor([0.3], dtype=torch.float64)
law = data.Independent().law(p, 6)  # every set of present features, with its probability
closed = exact.loss(small_W[None], small_b[None], law).item()
noise = errors.std().item() / len(errors) ** 0.5
assert abs(closed - errors.mean().item()) < 4 * noise
{"exact": closed, "sampled": errors.mean().item(), "standard error": noise}

# %% [markdown]
# Now fill all $m$ dimensions with copies of one polytope of $k$ features in $d$ dimensions. Orthogonal parts do not interact, so the gains add up.
# A feature that is left out costs $V$; one that sits on a corner costs $\ell$, the least loss over its norm and bias. What $k$ corners save, per
# dimension, in units of one feature's variance, is the *gain*
#
# $$R = \frac{k\,(V - \ell)}{d\,V} .$$
#
# A feature with a dimension to itself has $\ell = 0$ and $R = 1$. The polytope with the largest $R$ is what a model should use, if polytopes are all
# there is. The cell computes $R$ for ten polytopes and prints the values of $1/(1-S)$ at which the winner changes; nothing is trained for it.

# %%
curve = theory.envelope(1 / torch.logspace(0, 2, cfg.curve, dtype=torch.float64))
changes = theory.transitions(curve)
best_dimensions = curve.dimensions.gather(0, curve.best[None])[0]  # D* of the best polytope
{f"{change.denser} to {change.sparser}": f"1/(1-S) = {1 / change.density:.2f}" for change in changes}

# %% [markdown]
# The order is the one the paper finds: first simplices (the 5-cell, the tetrahedron, the triangle), then pairs over a wide range, then pentagons and
# square antiprisms.
#
# <a id="plateau"></a>
# ## 6 Dimensions per feature
#
# Now the large models: one per sparsity and seed, with the numbers of the parameters cell. Models of one seed look at the same random numbers.
# Results are kept in the cache, so the cell is slow only once. The function `fit` is used again in section 10.


# %%
def fit(features, levels, cfg, name):
    """One model per seed and level."""
    streams = [run.generator(seed, name, device=run.device()) for seed in range(cfg.seeds)]
    schedule = train.Schedule(cfg.steps, cfg.batch, cfg.rate)
    return train.fit(model.Config(features, cfg.hidden), 1 / torch.tensor(levels), streams, schedule)


def train_sweep(cfg):
    """Weights and expected losses of every seed and level."""
    fitted = fit(cfg.features, cfg.levels, cfg, "sweep")
    density = (1 / torch.tensor(cfg.levels)).to(fitted.W).repeat(cfg.seeds)
    test = run.generator(0, "test", device=run.device())
    return {"W": fitted.W, "loss": train.sampled_loss(fitted.W, fitted.b, density, test, 8192)}


sweep = memo.memo(train_sweep, cfg)
W = sweep["W"].double().unflatten(0, (cfg.seeds, len(cfg.levels)))  # (seeds, levels, F, H)
loss = sweep["loss"].double().unflatten(0, (cfg.seeds, len(cfg.levels)))  # (seeds, levels)
schedule = f"{cfg.steps} steps of {cfg.batch} samples"
settings = f"n = {cfg.features}, m = {cfg.hidden}, {cfg.seeds} seeds, {schedule}"

# %% [markdown]
# A first summary of a model is $D^* = m / \lVert W \rVert_F^2$, the number of hidden dimensions per stored feature: the squared norm counts features,
# since a stored feature has length about one. The paper's figure of it has a plateau at one, a plateau at one half over a wide range of sparsities,
# and a fall at the sparse end. From the exact curves we expect the plateau at one half where the pairs win.

# %%
D_star = geometry.dimensions_per_feature(W)  # (seeds, levels)
at = [1 / change.density for change in changes]
winners = [changes[0].denser, *(change.sparser for change in changes)]
predicted = (1 / curve.density).numpy(), best_dimensions.numpy()
figure = plots.dimensions_per_feature(inverse.numpy(), D_star.numpy(), *predicted, at, winners)
caption = (
    "Look for the flat stretch at one half: there more sparsity buys no more features. Dashed: the best "
    "polytope, computed without training; its name stands above, dotted lines are where it changes. "
    f"{settings}. The paper's figure has the same two plateaus and no predicted curve. Ours bends round "
    "the predicted steps, since near a step two solutions cost nearly the same."
)
numbers = {"1/(1-S)": inverse, "D*": D_star, "changes": changes}
page.save_figure(figure, "F8_dimensions_per_feature", numbers, caption)

# %% [markdown]
# Read it from the left. Without sparsity the model stores exactly $m$ features' worth of variance, one per dimension. Then the number rises (the
# curve falls) until features come in pairs, and the curve rests. Training leaves the plateau a little before pentagons become the best polytope.
#
# Is it a plateau, or does a falling curve just pass one half? The claim counts the levels between 2 and 4 at which $D^*$ lies close to one half, and
# expects at least three in every seed. The comparison is a curve that falls without resting: the straight line in logarithms between the same ends.

# %%
on_plateau = (inverse >= 2) & (inverse <= 4)


def plateau_levels(values):
    return ((values[..., on_plateau] - 0.5).abs() <= 0.03).sum(-1).double()


def power_law(D_star):
    """The straight line in logarithms between both ends of each seed's curve."""
    exponent = (D_star[:, -1:] / D_star[:, :1]).log() / inverse[-1].log()
    return D_star[:, :1] * inverse**exponent


control = {"a power law between the same ends": plateau_levels(power_law(D_star))}
page.check("F8.plateau", plateau_levels(D_star), control=control)

# %% [markdown]
# Every seed has the plateau, and the falling curve has not.
#
# <a id="gain"></a>
# ## 7 Where polytopes win, and where they stop
#
# $D^*$ says how many features are stored, not how well. The gain $R$ says how well. On the plateau a trained model should reach the best polytope's
# curve. Nothing forbids a model to be better: the curves know ten polytopes, and there may be better arrangements that are not on the list.

# %%
V = data.variance(1 / inverse)
gain = (cfg.features - loss / V) / cfg.hidden  # (seeds, levels)
envelope = theory.envelope(1 / inverse)
over_best = gain / envelope.gain.max(0).values
gains = dict(zip(curve.names, curve.gain.numpy(), strict=True))
figure = plots.gain_per_dimension(inverse.numpy(), gain.numpy(), (1 / curve.density).numpy(), gains)
caption = (
    "Follow the circles (trained models) along the dashed line (the best polytope): they lie on it as "
    f"far as pairs win, and above it at the right end, by {over_best[:, -1].median() - 1:.0%} at 1/(1-S) "
    f"= {cfg.levels[-1]}. {settings}. The paper has no such figure."
)
numbers = {"1/(1-S)": inverse, "gain": gain, "over the best polytope": over_best}
page.save_figure(figure, "F8_gain_per_dimension", numbers, caption)

# %% [markdown]
# Do the circles at the right really lie above every curve, or is the loss, which is measured on samples, just too low? Two comparisons must *not* be
# above: a model built by hand from copies of the best polytope and measured on the same samples, and the trained models on the plateau.


# %%
def measured_gain(name, p):
    """Gain of copies of a polytope, measured on samples, over the exact gain of the best polytope."""
    each, density = theory.polytope_optimum(name, p), p.float()
    copies = cfg.hidden // geometry.polytope(name).shape[1]
    corners = geometry.tegum(*[name] * copies) * each.square_norm.sqrt()
    W, b = torch.zeros(1, cfg.features, cfg.hidden), (p / 2).float().repeat(1, cfg.features)
    W[0, : len(corners)], b[0, : len(corners)] = corners.float(), each.bias.float()
    loss = train.sampled_loss(W, b, density, run.generator(0, "test"), 8192).double()
    return (cfg.features - loss / data.variance(p)) / cfg.hidden / theory.envelope(p).gain.max(0).values


built = measured_gain(envelope.names[envelope.best[-1]], 1 / inverse[-1:])
controls = {"the best polytope, built and measured in the same way": built}
controls["the trained models at 1/(1-S) = 3"] = over_best[:, cfg.levels.index(3)]
page.check("F8.beyond", over_best[:, -1], control=controls)

# %% [markdown]
# At the sparsest level the trained models are better than every polytope of the list. They store many features in all dimensions at once, with small
# overlaps everywhere, and no list of small shapes contains that. So in the next figure no lines should be expected there.
#
# <a id="lines"></a>
# ## 8 The dimensionality of each feature
#
# If features sit on the corners of small polytopes, their $D_i$ lie on a few horizontal lines. The paper draws them at $3/4$ (tetrahedron), $2/3$
# (triangle), $1/2$ (pair), $2/5$ (pentagon), $3/8$ (square antiprism) and $0$ (not stored). It draws none at one: a dense model may use any
# projection, and its features have no dimension to themselves.

# %%
D = geometry.dimensionality(W)  # (seeds, levels, F)
figure = plots.feature_dimensionality(inverse.numpy(), D[0].numpy(), D_star[0].numpy())
caption = (
    "Each dot is a feature of one of the models. Look at the line of the pairs, which all stored "
    "features of the plateau sit on, and at the clouds to the left and right of it. Right: the same dots "
    f"counted. Seed 0 of {settings}. The paper reads lines off its figure at all five fractions; in ours "
    "only that of the pairs is sharp."
)
numbers = {"1/(1-S)": inverse, "D of seed 0": D[0], "D*": D_star[0]}
page.save_figure(figure, "F9_feature_dimensionality", numbers, caption)

# %% [markdown]
# **Under the pointer.** The same features, now only those that are stored, coloured by the shape they belong to: a group of features that overlap
# with each other and with no others ([section 9](#graphs) draws these groups). *Dedicated* is a feature that overlaps with no other, *other* a group
# that is none of the listed polytopes. Put the pointer on a dot to see which features it shares its dimensions with.


# %%
def pieces(level, seed=0):
    return geometry.components(W[seed, cfg.levels.index(level)])


found = Counter(piece.name for level in cfg.levels for piece in pieces(level) for _ in piece.nodes)
names = [name for name, _ in found.most_common() if name != "other"] + ["other"]
places, texts = {name: [] for name in names}, {name: [] for name in names}
for level in cfg.levels:
    for piece in pieces(level):
        for at, i in enumerate(piece.nodes):
            beside = level * 1.05 ** (at / len(piece.nodes) - 0.5)  # a little to the side, to tell dots apart
            places[piece.name].append((beside, D[0, cfg.levels.index(level), i].item()))
            group = ", ".join(map(str, piece.nodes[:8])) + ("…" if len(piece.nodes) > 8 else "")
            texts[piece.name].append(f"feature {i} of {group} in {piece.rank}-D")
points = {name: tuple(np.array(place).T) for name, place in places.items() if place}
to_hover = widgets.hoverable_points(points, texts, plots.shapes_of_features(points, inverse.numpy()))

# %% [markdown]
# An eye finds lines in any cloud, so they are counted: features within a narrow window around the fraction, against the mean of two windows of the
# same width beside it, all levels with superposition together. A cloud that drifts across a line as sparsity grows leaves as many features beside
# the line as on it. A line counts if it holds at least ten features and twice as many as its neighbours; the *strength* below is 1 at that limit.
#
# One comparison needs no training: *random directions with the trained norms*. It keeps how many features are stored, and how strongly, and destroys
# only how they are arranged. The other is a set of models built from copies of each polytope, on which all lines must be found.


# %%
def scatter(W, *name):
    directions = torch.randn(W.shape, generator=run.generator(0, "control", *name), dtype=torch.float64)
    return directions / directions.norm(dim=-1, keepdim=True) * geometry.norms(W.double())[..., None]


def strength(D, fraction):
    """Features on a line in units of what is needed (ten, or twice the windows beside it), for each seed."""
    tests = [geometry.line_test(D[seed][D_star[seed] < 0.95], fraction) for seed in range(len(D))]
    return [test.on / max(10, 2 * test.beside) for test in tests]


def strengths(D):
    return {name: strength(D, fraction) for name, fraction in plots.LINES.items()}


scattered = scatter(W)
five_copies = [geometry.dimensionality(geometry.tegum(*[name] * 5)) for name in plots.LINES]
ideal_lines = strengths(torch.cat(five_copies).expand(*D_star.shape, -1))
lines, random_lines = strengths(D), strengths(geometry.dimensionality(scattered))
{name: [round(value, 2) for value in each] for name, each in lines.items()}

# %% [markdown]
# The printed numbers are the strengths, one per seed. We expect the line of the pairs in every seed, and of the other four at least one.

# %%
control = {"random directions with the trained norms": random_lines["digon"]}
page.check("F9.pairs", lines["digon"], control=control)


def strongest_other(lines):
    return np.max([lines[name] for name in lines if name != "digon"], axis=0)


control = {"random directions with the trained norms": strongest_other(random_lines)}
page.check("F9.other_lines", strongest_other(lines), control=control, witness=strongest_other(ideal_lines))

# %% [markdown]
# The line of the pairs is there beyond doubt. One of the others is there in some seeds only: at each sparsity where theory puts a polytope, mixtures
# and larger arrangements gain almost as much, and the features drift through the lines instead of resting on them. How sharp these lines look depends
# on how long one trains and at which sparsities one looks, so they should not be read off a single picture.
#
# ### Dimensions are a budget
#
# In every example above the shares added up to the number of dimensions: $3 \cdot 2/3 = 2$ for the triangle, $6 \cdot 1/2 = 3$ for the octahedron.
# The sum can be smaller, when features crowd one direction and leave another empty, but never larger: each $D_i$ is at most the *leverage score* of
# row $i$ (its squared length after $W$ has been rescaled to fill all directions evenly), and the leverage scores add up to the rank of $W$:
#
# $$D_i \le W_i^\top \Big(\sum_j W_j W_j^\top\Big)^{+} W_i, \qquad \sum_i D_i \le m .$$
#
# Equality holds exactly if the features fall into orthogonal tight frames. The paper does not state this. It gives a test of "efficiently packed"
# without any picture: the $D_i$ must add up to $m$.

# %%
budget, gap = D.sum(-1) / cfg.hidden, (geometry.leverage(W) - D).amax(-1)  # (seeds, levels)
random_budget = geometry.dimensionality(scattered).sum(-1) / cfg.hidden
assert float((geometry.leverage(W) - D).min()) > -1e-9
assert float((geometry.leverage(W).sum(-1) - cfg.hidden).abs().max()) < 1e-6
figure = plots.dimension_budget(inverse.numpy(), budget.numpy(), random_budget.numpy(), gap.numpy())
caption = (
    "Left: the shares of all features add up to the number of dimensions at every sparsity (blue, on the "
    "dashed line); random directions of the same lengths waste some (grey). Right: how far a feature's "
    f"share lies below its bound, at most. {settings}. The paper has no such figure."
)
numbers = {"1/(1-S)": inverse, "sum D / m": budget, "scattered": random_budget, "largest gap": gap}
page.save_figure(figure, "F9_dimension_budget", numbers, caption)

# %% [markdown]
# <a id="graphs"></a>
# ## 9 Which features share dimensions
#
# Draw a dot for each stored feature and join two where their directions overlap. Features that share dimensions then hang together, and each
# connected piece is one polytope: a pair is two dots and a line, a triangle three of each. On the plateau we expect separate pairs. At the sparsest
# level everything should hang together, as the gain suggested; that graph is only counted here, since it shows nothing but a ball of lines.


# %%
def graph_of(level):
    named = [f"{len(p.nodes)} in {p.rank}-D" if p.name == "other" else p.name for p in pieces(level)]
    counted = [f"{count} × {name}" for name, count in Counter(named).most_common()]
    rows = [", ".join(counted[at : at + 3]) for at in range(0, len(counted), 3)]
    title, weights = "\n".join([f"1/(1-S) = {level:g}", *rows]), W[0, cfg.levels.index(level)]
    return title, (weights @ weights.T).numpy(), [piece.nodes for piece in pieces(level)]


*separate, last = cfg.graphs
figure = vectors.feature_graphs([graph_of(level) for level in separate], columns=3)
caption = (
    "A dot is a stored feature, a line an overlap (wider where it is larger): blue is negative, which a "
    "relu removes as long as one feature is active at a time, red positive, which it cannot remove. The "
    "titles count all pieces; '4 in 2-D' is a piece of four features that is none of the listed "
    f"polytopes. Seed 0 of {settings}. At 1/(1-S) = {last:g} the largest of {len(pieces(last))} pieces "
    f"holds {max(len(p.nodes) for p in pieces(last))} features (not drawn). The paper draws such graphs "
    "at several sparsities."
)
sizes = [[len(piece.nodes) for piece in pieces(level)] for level in cfg.graphs]
page.save_figure(figure, "F9_feature_graphs", {"levels": cfg.graphs, "components": sizes}, caption)

# %% [markdown]
# How complete is the pairing? The claim measures the share of the stored features that sit in pieces of exactly two opposite features, at
# $1/(1-S) = 3$, in every seed. At least four in five are expected. Two comparisons must fail: the same norms in random directions, and the trained
# models at the sparsest level.


# %%
def share_in_pairs(weights):
    parts = geometry.components(weights)
    in_pairs = [len(part.nodes) for part in parts if part.name == "digon"]
    return sum(in_pairs) / sum(len(part.nodes) for part in parts)


def paired_at(level, weights):
    return [share_in_pairs(each) for each in weights[:, cfg.levels.index(level)]]


controls = {"random directions with the trained norms": paired_at(3, scattered)}
controls["the trained models at 1/(1-S) = 10"] = paired_at(10, W)
page.check("F9.graph", paired_at(3, W), control=controls)

# %% [markdown]
# On the plateau all stored features come in separate pairs, in every seed.
#
# <a id="more-features"></a>
# ## 10 More features, cleaner lines?
#
# A later comment to the paper expects cleaner polytopes under more pressure, that is, when more features compete for the same dimensions. So models
# with fewer features are trained in the same way, at some of the levels. *Clean* is measured as the share of the stored features on one of the lines
# of section 8, less the share beside it, with the same windows. Without the second part random directions, too, would look cleaner with more
# features.


# %%
def train_fewer(cfg):
    return {str(n): fit(n, cfg.pressed, cfg, f"{n} features").W for n in cfg.fewer}


def clean_share(weights):
    kept = geometry.dimensionality(weights)[geometry.norms(weights) > 0.5]
    tests = [geometry.line_test(kept, fraction) for fraction in plots.LINES.values()]
    return sum(test.on - test.beside for test in tests) / len(kept)


fewer = memo.memo(train_fewer, cfg)
by_size = {n: fewer[str(n)].double().unflatten(0, (cfg.seeds, -1)) for n in cfg.fewer}
by_size[cfg.features] = W[:, [cfg.levels.index(level) for level in cfg.pressed]]
clean = {n: [clean_share(weights) for weights in each] for n, each in by_size.items()}
{n: [round(share, 2) for share in shares] for n, shares in clean.items()}

# %% [markdown]
# One list per number of features, one entry per seed. If the comment is right, the shares grow from the first list to the last, and the dots in the
# figure gather on the lines.


# %%
def represented(weights):  # dimensionality of each feature longer than one half
    return geometry.dimensionality(weights)[geometry.norms(weights) > 0.5].numpy()


of_one = {n: dict(zip(cfg.pressed, map(represented, each[0]), strict=True)) for n, each in by_size.items()}
caption = (
    "A panel for each number of features n in the same dimensions; dots are features, thin lines the "
    "polytopes. Look at whether dots lie on the lines or between them. Rightmost: the share on a line "
    f"less the share beside it, a dot for each seed. m = {cfg.hidden}, seed 0 in the other panels. The "
    "paper has no figure for its comment."
)
numbers = {"n": list(clean), "share on a line": clean, "D of seed 0": of_one}
page.save_figure(plots.clean_shares(of_one, clean), "F32_cleaner_with_size", numbers, caption)

# %% [markdown]
# The claim asks for a rise of at least two hundredths of the features from the smallest to the largest number, in every seed. Random directions must
# not rise. And to be sure that the measure can tell clean from unclean at all, the smallest models are compared with random directions.

# %%
fewest, most = np.array(clean[cfg.fewer[0]]), np.array(clean[cfg.features])


def clean_at_random(n):
    return np.array([clean_share(weights) for weights in scatter(by_size[n], n)])


rise = clean_at_random(cfg.features) - clean_at_random(cfg.fewer[0])
control = {"random directions with the trained norms, mean of seeds": rise.mean()}
witness = fewest - clean_at_random(cfg.fewer[0])
page.check("F32.cleaner", most - fewest, control=control, witness=witness)

# %% [markdown]
# All seeds become cleaner, by very different amounts, and one of them by less than the claim asks.
#
# <a id="two-sentences"></a>
# ## 11 Two sentences that do not hold as written
#
# **The triangle.** The paper introduces polytopes with the remark that three equal features in two dimensions are best placed on an equilateral
# triangle. The exact loss can say whether that is so. The rivals of the triangle are a pair with the third feature at a right angle to it, and two
# features with the third dropped. *Best* means that the triangle's loss over that of its best rival is at most 1, at every density.

# %%
density = torch.linspace(0.1, 0.9, 81, dtype=torch.float64)
triangle_loss = 3 * theory.polytope_optimum("triangle", density).loss
pair_and_one = 2 * theory.polytope_optimum("digon", density).loss  # the third feature costs nothing
two_and_none = data.variance(density)  # two features get a dimension each, the third is dropped
ratio = triangle_loss / torch.minimum(pair_and_one, two_and_none)
dropped_ratio = two_and_none / torch.minimum(pair_and_one, triangle_loss)
control = {"two features alone and the third dropped": dropped_ratio[::10]}
page.check("F10.triangle", ratio[::10], control=control)
{"the triangle becomes best at p =": density[(ratio < 1).nonzero()[0]].item()}

# %% [markdown]
# For sparse features the pair and the single feature are cheaper; the triangle wins only above the density printed, up to the dense end, where
# dropping the third feature costs nearly as little. The paper states no density, so the sentence holds for some of the values tested.
#
# **Norm and bias.** The paper also relates the norm of a feature in superposition to its bias, $\lVert W_i \rVert = 1 / (1 - |b_i|)$: what the
# negative bias takes off a feature, the norm puts back. But a feature that is active alone comes out as $\lVert W_i \rVert^2 x_i - |b_i|$: the
# *square* of the norm multiplies it. The claim multiplies norm and $1 - |b|$ at the exact optimum of four polytopes, and expects 1. For an antipodal
# pair, whose bias vanishes, it must be 1.

# %%
sparse = torch.tensor([1e-3], dtype=torch.float64)
tested = ("digon", "pentagon", "hexagon", "heptagon", "square antiprism")
best = {name: theory.polytope_optimum(name, sparse) for name in tested}
left = {name: 1 - one.bias.abs().item() for name, one in best.items()}
returned = {name: one.square_norm.sqrt().item() * left[name] for name, one in best.items()}
of_pair = returned.pop("digon")
controls = {"unit vectors with the same bias": [left[name] for name in returned]}
page.check("F10.norm", list(returned.values()), control=controls, witness=of_pair)
with_the_square = {name: one.square_norm.item() * left[name] for name, one in best.items()}
{"square of the norm times (1 - |b|)": with_the_square}

# %% [markdown]
# Neither formula holds: with the square, as printed, the product comes near 1 for the pentagon and the antiprism, and far below it for larger
# polygons.
#
# <a id="your-turn"></a>
# ## 12 Your turn
#
# 1. *(5 minutes)* Put a hexagon and a pair into three dimensions. Predict the eight dimensionalities and their sum, then compute them.
#    <details><summary>Hint</summary>Each part keeps its own values; `geometry.tegum` takes the names of the parts.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    shares_of_eight = dimensionality(geometry.tegum("hexagon", "digon"))
#    print(shares_of_eight)
#    expected = torch.tensor([1 / 3] * 6 + [1 / 2] * 2, dtype=torch.float64)
#    assert torch.allclose(shares_of_eight, expected) and abs(shares_of_eight.sum() - 3) < 1e-9
#    ```
#
#    Six corners share a plane, two share an axis, and the budget of three dimensions is spent.
#    </details>
# 2. *(5 minutes)* Shorten one corner of a regular pentagon to half its length. Which features gain, which lose, and do the shares still add up to 2?
#    <details><summary>Hint</summary>Multiply one row of `geometry.polytope("pentagon")` by one half; the other rows stay as they are.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    dented = geometry.polytope("pentagon")
#    dented[0] *= 0.5
#    shares_of_five = dimensionality(dented)
#    print(shares_of_five, shares_of_five.sum())
#    assert shares_of_five[0] < 0.2 and bool((shares_of_five[1:] > 0.4).all()) and shares_of_five.sum() < 1.98
#    ```
#
#    The short feature loses more than the others gain: the five are no tight frame any more, and part of the budget is unused.
#    </details>
# 3. *(10 minutes)* A deliberately wrong step: train the plain loop without the relu, at the same sparsity. How many dimensions does a stored feature
#    take now?
#    <details><summary>Hint</summary>`train_plainly` takes the function applied to the output; a linear one is `lambda y: y`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    linear_W, _ = train_plainly(S=2 / 3, output=lambda y: y)
#    per_feature = 6 / linear_W.square().sum().item()
#    print(per_feature, dimensionality(linear_W).sum().item())
#    assert abs(per_feature - 1) < 0.05
#    ```
#
#    A linear model stores one feature's worth of variance per dimension at any sparsity: without the relu nothing removes the interference.
#    </details>
# 4. *(10 minutes)* Suppose only triangles and pairs existed. At which density does the better of the two change, and is that one of the changes
#    printed in section 5?
#    <details><summary>Hint</summary>`theory.envelope` takes the names of the polytopes as its second argument, `theory.transitions` finds the
#    change.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    two_shapes = theory.envelope(1 / torch.logspace(0, 1, 40, dtype=torch.float64), ("triangle", "digon"))
#    change, = theory.transitions(two_shapes)
#    print(change, 1 / change.density)
#    assert 0.63 < change.density < 0.66 and (change.denser, change.sparser) == ("triangle", "digon")
#    ```
#
#    It is: the plateau of pairs begins where pairs overtake triangles.
#    </details>
#
# <a id="limits"></a>
# ## 13 Limits
#
# - The list of ten polytopes is the paper's with a few more. The best of the list is a lower bound on what can be gained, and no theorem about all
#   arrangements.
# - Names are given by cosines within a tolerance. A piece that matches none of the list is counted by its number of features and its dimension.
# - Which of the finer lines can be seen depends on the levels at which one looks: each polytope wins over a narrow range.
# - All features are alike here. Features of unequal importance are on pages [1](01_demonstrating_superposition.ipynb) and
#   [2](02_phase_change.ipynb), features of unequal density or that occur together on [page 3b](03b_correlated_features.ipynb).
#
# <a id="checked"></a>
# ## 14 What was checked
#
# The table repeats each claim of this page: what the paper says, what was measured, the range that confirms it, and what was measured where the
# claim must fail.

# %%
page.close()
