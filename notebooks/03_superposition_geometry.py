# %% [markdown]
# # 3. Features in superposition form polytopes
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/03_superposition_geometry.ipynb)
#
# **Claim.** When many equally important features share few dimensions, the number of dimensions per feature does not fall smoothly with sparsity:
# it rests at one half, because features pair up, and each feature's share of a dimension is close to that of a corner of a small polytope.
#
# Paper: Elhage et al., *Toy Models of Superposition* (2022), [section "The Geometry of
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#geometry).
#
# **Difference to the paper.**
# - The exact loss of every polytope is computed, so the curve the paper measures gets a theory drawn over it, with the densities at which the
#   winner must change.
# - Three seeds, where the paper shows one model per sparsity; the paper states no steps, batch or rate, ours are in the parameters.
# - The bias is trained around the mean input, and the part of the gradient that is linear is taken in expectation. Neither moves an optimum; both
#   make dense models converge.
# - Two sentences of the section are tested against exact losses and do not hold as written.
#
# **Time.** `quick` seconds, `laptop` about two minutes on two cores, `paper` a GPU and some ten minutes. Memory below 1 GB.

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

import numpy as np
import torch

from companion import ledger, run
from companion.plots import toy as plots
from companion.toy import data, geometry, model, theory, train


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    features: int  # n
    hidden: int  # m
    levels: tuple[float, ...]  # 1/(1-S) of each model of the sweep, from dense to sparse
    graphs: tuple[float, ...]  # levels whose feature graph is drawn
    seeds: int  # sweeps, each with its own initial weights and samples
    steps: int
    batch: int
    rate: float
    curve: int  # densities at which the exact envelope is evaluated


fine = (1, 1.2, 1.4, 1.5, 1.6, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 4.75, 5, 6, 7, 8.5, 10)
cfg = run.choose(
    quick=Config(60, 6, (1, 2, 2.5, 2.75, 3, 10), (2, 3), seeds=3, steps=700, batch=64, rate=0.01, curve=12),
    laptop=Config(400, 30, fine, (1.75, 2, 3, 4, 4.5, 10), seeds=3, steps=2500, batch=128, rate=0.005, curve=60),
    paper=Config(400, 30, fine, (1.75, 2, 3, 4, 4.5, 10), seeds=5, steps=20_000, batch=512, rate=0.003, curve=60),
)
page = ledger.Page("03_superposition_geometry", paper="Toy Models of Superposition")
inverse = torch.tensor(cfg.levels, dtype=torch.float64)
cfg

# %% [markdown]
# ## The question
#
# A model with $m$ hidden dimensions sees $n \gg m$ features, all of the same importance, each active with probability $p = 1 - S$ and then uniform
# on $[0, 1]$:
#
# $$x' = \mathrm{relu}(W W^\top x + b), \qquad L = \mathbb{E} \sum_i (x_i - x'_i)^2 .$$
#
# Row $W_i$ is the direction of feature $i$ (`I` instance, `F` feature, `H` hidden dimension; the paper's $W$ is transposed). The paper counts
# hidden dimensions per represented feature with $D^* = m / \lVert W \rVert_F^2$: one for features that have a dimension each, one half for features
# that share one in antipodal pairs.
#
# Which fraction of a dimension belongs to one feature is its *dimensionality*, with $\hat W_i$ the unit vector:
#
# $$D_i = \frac{\lVert W_i \rVert^2}{\sum_j (\hat W_i \cdot W_j)^2} .$$


# %%
def dimensionality(W):  # (F, H)
    length = W.norm(dim=1)  # (F,)
    overlaps = (W / length[:, None]) @ W.T  # (F, F): unit row i with every row j
    return length**2 / (overlaps**2).sum(1)


octahedron = geometry.tegum("digon", "digon", "digon")
assert torch.allclose(dimensionality(octahedron), torch.full((6,), 0.5, dtype=torch.float64), atol=1e-12)
assert torch.allclose(dimensionality(torch.eye(4)), torch.ones(4))

# %% [markdown]
# ### Polytopes add up
#
# Put one polytope in some of the dimensions and another in the rest, and neither notices the other. The paper calls such a figure a *tegum
# product*: the octahedron is three pairs, a triangular bipyramid a triangle and a pair. Its features do not share one dimensionality; the
# bipyramid's split into those of the triangle and those of the pair.
#
# A dimensionality does not name a shape. Any $k$ equal vectors that form a tight frame in $d$ dimensions have $D = d/k$, so the cube and the square
# antiprism are both at three eighths, and the square in a plane looks like two pairs because it is two pairs. Shapes are therefore named by their
# cosines.

# %%
bipyramids = {"octahedron": ("digon",) * 3, "triangular": ("triangle", "digon"), "pentagonal": ("pentagon", "digon")}
split = {name: Counter(round(d, 6) for d in geometry.dimensionality(geometry.tegum(*parts)).tolist()) for name, parts in bipyramids.items()}
assert split["octahedron"] == {1 / 2: 6}
assert split["triangular"] == {round(2 / 3, 6): 3, 1 / 2: 2}
assert split["pentagonal"] == {2 / 5: 5, 1 / 2: 2}

cube, antiprism = geometry.polytope("cube"), geometry.polytope("square antiprism")
assert torch.allclose(geometry.dimensionality(cube), geometry.dimensionality(antiprism), atol=1e-12)
assert (geometry.classify(cube), geometry.classify(antiprism)) == ("cube", "square antiprism")
split

# %% [markdown]
# ## What theory expects
#
# The expected loss of a small model has a closed form. For every set of active features the integral of a squared relu over the cube of their
# values is a signed sum over the cube's corners, and the sets are summed with their probabilities. That takes $3^n$ terms and no samples. Slow and
# fast must agree:

# %%
stream = run.stream(0, "check")
small_W = 0.6 * torch.randn(1, 6, 3, generator=stream, dtype=torch.float64)
small_b = 0.2 * torch.randn(1, 6, generator=stream, dtype=torch.float64)
small_p = torch.tensor([0.3], dtype=torch.float64)
x = data.plain(data.draw(6, 200_000, stream), small_p)  # (1, B, F)
errors = (x - (x @ small_W @ small_W.mT + small_b).relu()).square().sum(-1)  # (1, B)
exact, sampled, noise = theory.exact_loss(small_W, small_b, small_p).item(), errors.mean().item(), errors.std().item() / errors.shape[1] ** 0.5
assert abs(exact - sampled) < 4 * noise
{"exact": exact, "sampled": sampled, "standard error": noise}

# %% [markdown]
# Since orthogonal blocks do not interact, filling all dimensions with copies of one polytope of $k$ features in $d$ dimensions gains, per
# dimension,
#
# $$R = \frac{k\,(V - \ell)}{d\,V}, \qquad V = p/3 - p^2/4,$$
#
# where $\ell$ is the least loss of one of its features over norm and bias and $V$ the loss of a feature left out. The polytope with the largest
# gain is what a model *should* use at that density, if polytopes are all there is. Its $D^*$ and the densities at which the winner changes are
# predictions, made before anything is trained.

# %%
curve = theory.envelope(1 / torch.logspace(0, 2, cfg.curve, dtype=torch.float64))
changes = theory.transitions(curve)
best_dimensions = curve.dimensions.gather(0, curve.best[None])[0]
{f"{change.denser} to {change.sparser}": f"1/(1-S) = {1 / change.density:.2f}" for change in changes}

# %% [markdown]
# The order is the paper's: first simplices, then pairs over a wide range, then pentagons and antiprisms. The wide range of the pairs is the plateau
# at one half.
#
# ## Training
#
# One model per sparsity and seed, side by side; each has its own initial scale and its own loss scale, and none sees another's gradient. Models of
# one seed look at the same random draws. The gradient is written by hand; here it is against autograd, on a batch of its own:

# %%
weights = (small_W.clone().requires_grad_(), small_b.clone().requires_grad_())
batch = data.conditional(data.draw(6, 64, stream), small_p)
rest = (batch, small_p, torch.ones(6, dtype=torch.float64))
by_autograd = torch.autograd.grad(train.batch_loss(*weights, *rest, relu=True).sum(), weights)
by_hand = train.gradient(small_W, small_b, *rest, relu=True)
assert all(torch.allclose(ours, theirs, atol=1e-12) for ours, theirs in zip(by_hand, by_autograd, strict=True))

# %% [markdown]
# The control is the same model without its relu. It sees the same samples and must show no plateau: its best solution is a projection on any $m$
# directions, at every density.


# %%
def train_sweep(cfg):
    """Weights and expected losses of the sweep, and of the linear model on the same samples."""
    density, device = 1 / torch.tensor(cfg.levels), run.device()
    schedule = train.Schedule(cfg.steps, cfg.batch, cfg.rate)
    short = train.Schedule(cfg.steps // 5, cfg.batch, cfg.rate)
    streams = [run.stream(seed, "sweep", device=device) for seed in range(cfg.seeds)]
    ours = train.fit(model.Config(cfg.features, cfg.hidden), density, streams, schedule)
    linear = train.fit(model.Config(cfg.features, cfg.hidden, relu=False), density, [run.stream(0, "sweep", device=device)], short)
    p, test = density.to(ours.W), run.stream(0, "test", device=device)
    loss = train.sampled_loss(ours.W, ours.b, p.repeat(cfg.seeds), test, 8192)
    linear_loss = train.sampled_loss(linear.W, linear.b, p, test, 8192, relu=False)
    return {"W": ours.W, "b": ours.b, "loss": loss, "linear_W": linear.W, "linear_loss": linear_loss, "curve": ours.loss}


sweep = run.memo(train_sweep, cfg)
W = sweep["W"].double().unflatten(0, (cfg.seeds, len(cfg.levels)))  # (seeds, levels, F, H)

# %% [markdown]
# Two more controls need no training: the same models before their first step, and random directions with the *trained norms*. The second keeps how
# many features are represented, and by how much, and destroys only how they are arranged.

# %%
start, _ = model.initial(model.Config(cfg.features, cfg.hidden), [run.stream(seed, "sweep") for seed in range(cfg.seeds)])
untrained = start.double()[:, None].expand_as(W)
directions = torch.randn(W.shape, generator=run.stream(0, "control"), dtype=torch.float64)
scattered = directions / directions.norm(dim=-1, keepdim=True) * geometry.norms(W)[..., None]

D_star, D = geometry.dimensions_per_feature(W), geometry.dimensionality(W)  # (seeds, levels), (seeds, levels, F)
linear_D_star = geometry.dimensions_per_feature(sweep["linear_W"].double())
V = theory.variance(1 / inverse)
gain = (cfg.features - sweep["loss"].double().reshape(D_star.shape) / V) / cfg.hidden
linear_gain = (cfg.features - sweep["linear_loss"].double() / V) / cfg.hidden
envelope = theory.envelope(1 / inverse)
share_of_best = gain / envelope.gain.max(0).values

# %% [markdown]
# ## Dimensions per feature
#
# The paper's figure shows a plateau at one, a plateau at one half over a wide range, and a fall at the sparse end. Dashed: the exact $D^*$ of the
# best polytope. It has steps where the winner changes; the trained curve may round them, since near a step both solutions cost the same.

# %%
figure = plots.dimensions_per_feature(
    inverse.numpy(),
    D_star.numpy(),
    (1 / curve.density).numpy(),
    best_dimensions.numpy(),
    [1 / change.density for change in changes],
    [changes[0].denser, *(change.sparser for change in changes)],
)
page.save_figure(figure, "F8_dimensions_per_feature", {"1/(1-S)": inverse, "D*": D_star, "linear D*": linear_D_star, "changes": changes})

# %% [markdown]
# Read it from the left. A dense model spends one dimension on each feature's worth of variance. From the predicted boundary of the pairs on,
# features come in antipodal pairs, and the curve rests: along the plateau more sparsity buys no more features. Training leaves the plateau a little
# before pentagons become the best polytope: near a crossing, mixtures and larger frames are as good.

# %%
on_plateau = (inverse >= 2) & (inverse <= 4)


def plateau_levels(values):
    return ((values[..., on_plateau] - 0.5).abs() <= 0.03).sum(-1).double()


page.claim(
    "F8.dense",
    says="Without sparsity there is one dimension per feature: D* = 1",
    section="The Geometry of Superposition",
    value=D_star[:, 0],
    band=(0.98, 1.02),
    why="exact optimum 1, up to the gain of the relu on simplices",
    control=geometry.dimensions_per_feature(untrained)[:, 0],
    control_is="the same models, untrained",
)
page.claim(
    "F8.plateau",
    says="D* rests at 1/2 over a wide range: levels with 1/(1-S) in [2, 4] and D* within .03 of 1/2",
    section="The Geometry of Superposition",
    value=plateau_levels(D_star),
    band=(3, float("inf")),
    why="exact D* of antipodal pairs lies within .03 of 1/2 from 1/(1-S) = 2 on",
    control=plateau_levels(linear_D_star),
    control_is="linear model, same samples",
)

# %% [markdown]
# Along the whole range $D^*$ must not rise with sparsity, and the sparse end has fallen well below the plateau.

# %%
shuffled = D_star[:, torch.randperm(len(inverse), generator=run.stream(0, "shuffle"))]
page.claim(
    "F8.monotone",
    says="D* falls with sparsity: largest rise between neighbouring levels",
    section="The Geometry of Superposition",
    value=D_star.diff(dim=1).max(1).values,
    band=(-1, 0.02),
    why="slack for the noise of training",
    control=shuffled.diff(dim=1).max(1).values,
    control_is="the same values, levels shuffled",
)
page.claim(
    "F8.sparse",
    says="Beyond the plateau ever more features share a dimension: D* at 1/(1-S) = 10",
    section="The Geometry of Superposition",
    value=D_star[:, -1],
    band=(0.2, 0.26),
    why="calibrated over three seeds at n = 400: .23; at other sizes .20 to .24",
    control=linear_D_star[-1],
    control_is="linear model, same samples",
    needs="laptop",
)

# %% [markdown]
# ## Where polytopes win, and where they stop
#
# $D^*$ says how much is packed, not how well. The gain says how well. On the plateau a trained model should reach the envelope, and cannot do much
# better if pairs are optimal. The envelope is a bound from below: it knows only the listed polytopes, and nothing forbids a better arrangement.

# %%
figure = plots.gain_per_dimension(inverse.numpy(), gain.numpy(), (1 / curve.density).numpy(), dict(zip(curve.names, curve.gain.numpy(), strict=True)))
page.save_figure(
    figure, "F8_gain_per_dimension", {"1/(1-S)": inverse, "gain": gain, "best polytope": envelope.gain.max(0).values, "linear": linear_gain}
)
page.claim(
    "F8.envelope",
    says="On the plateau training gains what the best polytope gains: worst ratio over 1/(1-S) in [2.5, 4]",
    section="this project: exact envelope",
    value=share_of_best[:, (inverse >= 2.5) & on_plateau].min(1).values,
    band=(0.95, 1.03),
    why="sampling noise of the gain, and a training shortfall of a few per cent",
    control=(linear_gain / envelope.gain.max(0).values)[(inverse >= 2.5) & on_plateau].min(),
    control_is="linear model, same samples",
)
page.claim(
    "F8.beyond",
    says="At 1/(1-S) = 10 training gains more than any listed polytope",
    section="this project: exact envelope",
    value=share_of_best[:, -1],
    band=(1.02, 1.4),
    why="calibrated over six seeds at n = 400: 1.04 to 1.07; noise of the gain below .01",
    control=share_of_best[:, cfg.levels.index(3)],
    control_is="the same ratio at 1/(1-S) = 3, where pairs are best",
    needs="laptop",
)

# %% [markdown]
# So the tidy story has an end. Beyond the antiprisms the trained models leave every curve behind: they use frames of many features in many
# dimensions, with overlaps small everywhere, which no short list of low-dimensional polytopes contains. Lines in the next figure should not be
# expected there.
#
# ## The dimensionality of each feature
#
# If features sit on the corners of small polytopes, then their $D_i$ lie on a few horizontal lines. The paper draws them at three quarters
# (tetrahedron), two thirds (triangle), one half (pair), two fifths (pentagon), three eighths (square antiprism) and zero (not learned). There is no
# line at one: a dense model may use any projection, and its features have no dimension to themselves.

# %%
figure = plots.feature_dimensionality(inverse.numpy(), D[0].numpy(), D_star[0].numpy())
page.save_figure(figure, "F9_feature_dimensionality", {"1/(1-S)": inverse, "D of seed 0": D[0], "D*": D_star[0]})

# %% [markdown]
# An eye finds lines in any cloud, so they are counted: features within a narrow window around the fraction, against the mean of two windows of the
# same width beside it, pooled over the levels in superposition. Pooling matters: a cloud that drifts across a line as sparsity grows leaves as much
# beside the line as on it. A line counts if it holds at least ten features and twice its neighbours.


# %%
def strength(D, fraction):
    """Features on a line in units of what is needed (ten, or twice the neighbouring windows), for each seed."""
    tests = [geometry.line_test(values[star < 0.95], fraction) for values, star in zip(D, D_star, strict=True)]
    return [test.on / max(10, 2 * test.beside) for test in tests]


lines = {name: strength(D, fraction) for name, fraction in plots.LINES.items()}
control_lines = {name: strength(geometry.dimensionality(scattered), fraction) for name, fraction in plots.LINES.items()}
ideal = torch.cat([geometry.dimensionality(geometry.tegum(*[name] * 5)) for name in plots.LINES]).expand(*D_star.shape, -1)
others = [name for name in lines if name != "digon"]
page.claim(
    "F9.pairs",
    says="Dimensionalities cluster on the line of antipodal pairs, 1/2",
    section="The Geometry of Superposition",
    value=lines["digon"],
    band=(1, float("inf")),
    why="a count, in units of ten features or twice the windows beside the line",
    control=control_lines["digon"],
    control_is="random directions with the trained norms",
)
page.claim(
    "F9.other_lines",
    says="They cluster on at least one of the lines 3/4, 2/3, 2/5, 3/8 as well",
    section="The Geometry of Superposition",
    value=np.max([lines[name] for name in others], axis=0),
    band=(1, float("inf")),
    why="the same count",
    control=np.max([control_lines[name] for name in others], axis=0),
    control_is="random directions with the trained norms",
    open_because="away from the pairs several polytopes, mixtures and larger frames gain almost the same",
    witness=np.max([strength(ideal, plots.LINES[name]) for name in others], axis=0),
    witness_is="constructed models: five copies of each polytope",
    needs="laptop",
)

# %% [markdown]
# The line of the pairs is there beyond doubt. The others are where theory puts them, but the trained features drift through them rather than rest
# on them: beside its exact optimum each of these polytopes competes with mixtures and larger frames that gain almost as much. How sharp the finer
# lines look depends on how long one trains and at which levels one looks, so they are not to be read off a single picture.
#
# ## Dimensions are a budget
#
# Behind the lines stands a small theorem, which the paper does not state. $D_i$ is never larger than the *leverage score* of row $i$, and the
# leverage scores of all rows sum to the rank of $W$:
#
# $$D_i \le W_i^\top \Big(\sum_j W_j W_j^\top\Big)^{+} W_i, \qquad \sum_i D_i \le m ,$$
#
# with equality exactly if the features fall into orthogonal tight frames. So "efficiently packed" has a test without any picture: the $D_i$ must
# sum to $m$.

# %%
budget, gap = D.sum(-1) / cfg.hidden, (geometry.leverage(W) - D).amax(-1)
scattered_budget = geometry.dimensionality(scattered).sum(-1) / cfg.hidden
assert float((geometry.leverage(W) - D).min()) > -1e-9
assert torch.allclose(geometry.leverage(W).sum(-1), torch.full(budget.shape, float(cfg.hidden), dtype=torch.float64))
figure = plots.dimension_budget(inverse.numpy(), budget.numpy(), scattered_budget.numpy(), gap.numpy())
page.save_figure(figure, "F9_dimension_budget", {"1/(1-S)": inverse, "sum D / m": budget, "scattered": scattered_budget, "largest gap": gap})
page.claim(
    "F9.budget",
    says="Every dimension is used: sum of D over features / m, at the worst level",
    section="The Geometry of Superposition",
    value=budget.min(1).values,
    band=(0.97, 1 + 1e-9),
    why="theorem: at most 1, and 1 for orthogonal tight frames",
    control=scattered_budget.min(1).values,
    control_is="random directions with the trained norms",
)

# %% [markdown]
# ## The feature graphs
#
# Join two represented features where their directions overlap, and the polytopes come apart as components. Blue edges are negative overlaps, which
# a relu forgives as long as one feature is active at a time; red ones are positive. Components are drawn from the largest to the smallest.
#
# On the plateau the graph is a set of separate pairs: the figure the paper calls a tegum product of lines. Beyond it, the components grow until one
# of them holds most features, which is the picture of what the gain showed.


# %%
def graph_of(level):
    weights = W[0, cfg.levels.index(level)]
    parts = geometry.components(weights)
    shapes = Counter(f"{len(p.nodes)} features in {p.rank}-D" if p.name == "other" else p.name for p in parts).most_common(2)
    title = f"1/(1-S) = {level:g}\n" + ", ".join(f"{count} x {shape}" for shape, count in shapes)
    return title, (weights @ weights.T).numpy(), [part.nodes for part in parts]


figure = plots.feature_graphs([graph_of(level) for level in cfg.graphs], columns=3)
page.save_figure(figure, "F9_feature_graphs", {"levels": cfg.graphs, "components": [[len(c) for c in graph_of(level)[2]] for level in cfg.graphs]})


def share_in_pairs(weights):
    """Features that sit in antipodal pairs, as a share of those represented."""
    parts = geometry.components(weights)
    return sum(len(part.nodes) for part in parts if part.name == "digon") / sum(len(part.nodes) for part in parts)


page.claim(
    "F9.graph",
    says="On the plateau the feature graph falls into antipodal pairs: share of represented features at 1/(1-S) = 3",
    section="The Geometry of Superposition",
    value=[share_in_pairs(weights) for weights in W[:, cfg.levels.index(3)]],
    band=(0.8, 1),
    why="pairs are the exact optimum there; one in five may be left over by training",
    control=[share_in_pairs(weights) for weights in scattered[:, cfg.levels.index(3)]],
    control_is="random directions with the trained norms",
)

# %% [markdown]
# ## Two sentences that do not hold as written
#
# The paper introduces the polytopes with the remark that three equal features in two dimensions are best placed on an equilateral triangle. The
# exact loss disagrees when features are sparse: an antipodal pair, and the third feature at a right angle to it, is cheaper. The triangle wins only
# above the density shown below.

# %%
density = torch.linspace(0.05, 0.95, 91, dtype=torch.float64)
triangle = 3 * theory.polytope_optimum("triangle", density).loss
pair = 2 * theory.polytope_optimum("digon", density).loss  # the third feature costs nothing
flat = theory.variance(density)  # two features get a dimension each, the third is dropped
ratio, flat_ratio = triangle / pair, flat / pair
turn = {"the triangle becomes best at p =": density[(ratio < 1).nonzero()[0]].item()}
page.claim(
    "F10.triangle",
    says="Three equal features in two dimensions are best on a triangle: its exact loss over that of a pair and a single feature, p = .1",
    section="The Geometry of Superposition",
    value=ratio[5],
    band=(0, 1),
    why="best means at most 1",
    control=flat_ratio[5],
    control_is="two features alone and the third dropped",
    open_because="leading costs for sparse features are 3/8 and 1/3 of p squared",
    witness=ratio[75],
    witness_is="the same ratio at p = .8",
)
turn

# %% [markdown]
# The paper also relates norm and bias of a feature in superposition, $\lVert W_i \rVert = 1 / (1 - |b_i|)$: what the bias takes off a feature the
# norm puts back. A feature that is active alone comes out as $\lVert W_i \rVert^2 x_i - |b_i|$, so it is the square of the norm that matters, and
# the optimum of the pentagon shows it.

# %%
sparse = torch.tensor([1e-3], dtype=torch.float64)
best = {name: theory.polytope_optimum(name, sparse) for name in ("digon", "pentagon")}
returned = {name: (one.square_norm.sqrt() * (1 - one.bias.abs())).item() for name, one in best.items()}
page.claim(
    "F10.norm",
    says="The norm of a feature is 1 / (1 - |b|): norm times (1 - |b|) at the exact optimum of the pentagon, p = .001",
    section="The Geometry of Superposition",
    value=returned["pentagon"],
    band=(0.98, 1.02),
    why="the formula says 1",
    control=1 - best["pentagon"].bias.abs().item(),
    control_is="a pentagon of unit vectors with the same bias",
    open_because="the square of the norm, not the norm, multiplies a feature",
    witness=returned["digon"],
    witness_is="antipodal pair, whose bias vanishes",
)

# %% [markdown]
# ## Limits
#
# - The list of polytopes is the paper's; the envelope is the best of the list and no theorem about all arrangements.
# - Names are given by cosines within a tolerance; a component that is none of the list is called *other*.
# - Which of the finer lines is visible depends on the levels at which one looks: each polytope wins over a narrow range.
# - Whether all features must be equally important is not asked here; unequal ones are the subject of the first two notebooks.

# %%
page.close()
