# %% [markdown]
# # 3. Features in superposition form polytopes
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/03_superposition_geometry.ipynb)
#
# **Claim.** When many equally important features share few dimensions, the number of dimensions per feature does not fall smoothly with sparsity:
# it rests at one half, because features pair up, and each feature's share of a dimension rests at one half, because features pair up. Beyond the
# pairs the lines of other small polytopes show in some runs only.
#
# Paper: Elhage et al., *Toy Models of Superposition* (2022), [section "The Geometry of
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#geometry).
#
# **Difference to the paper.**
# - The exact loss of every polytope is computed, so the curve the paper measures gets a theory drawn over it, with the densities at which the
#   winner must change.
# - Five seeds, where the paper shows one model per sparsity; the paper states no steps, batch or rate, ours are in the parameters.
# - The bias is trained around the mean input, and the part of the gradient that is linear is taken in expectation. Neither moves an optimum; both
#   make dense models converge.
# - The small figures are descents on the exact expected loss, from many random starts, so their losses are exact and their frequencies are counted.
# - Several sentences of the section are tested against exact losses and do not hold as written.
#
# **Time.** `quick` seconds, `laptop` about four minutes on two cores, `paper` a GPU and some ten minutes. Memory below 1 GB.

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

from companion import claims, memo, run
from companion.plots import heatmaps, polytopes, vectors, widgets
from companion.plots import toy as plots
from companion.toy import data, exact, geometry, model, playground, theory, train


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
    curve: int  # densities at which the exact envelope is evaluated


@dataclass(frozen=True)
class Small:
    seeds: int
    starts: int  # random starts of each small model, for each seed
    steps: int  # of descent on the exact loss
    ratios: int  # density ratios of the varied feature
    local: tuple[int, int, int]  # n, m and steps of the two large correlated sets


fine = (1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 6, 10)
shown = dict(graphs=(1.75, 2, 3, 4, 4.5, 10), fewer=(100, 200), pressed=(1.5, 2, 3, 4, 6), curve=60)
few = dict(graphs=(2, 3), fewer=(20,), pressed=(2, 3), curve=12)
cfg = run.choose(
    quick=Config(60, 6, (1, 2, 2.5, 2.75, 3, 10), **few, seeds=3, steps=700, batch=64, rate=0.01),
    laptop=Config(400, 30, fine, **shown, seeds=5, steps=2500, batch=128, rate=0.005),
    paper=Config(400, 30, fine, **shown, seeds=5, steps=20_000, batch=512, rate=0.003),
)
small = run.choose(
    quick=Small(seeds=3, starts=6, steps=150, ratios=7, local=(12, 6, 400)),
    laptop=Small(seeds=5, starts=20, steps=300, ratios=19, local=(20, 10, 1500)),
    paper=Small(seeds=5, starts=200, steps=1000, ratios=41, local=(20, 10, 20_000)),
)
page = claims.Page("03_superposition_geometry", cfg)
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
# Drawn, with the dimensionality of each corner; below, polytopes beside the matrices $W W^\top$ they make. A low-rank matrix with ones on its
# diagonal *is* a set of unit vectors: two views of one thing.

# %%
products = {"triangular bipyramid": ("triangle", "digon"), "pentagonal bipyramid": ("pentagon", "digon"), "octahedron": ("digon",) * 3}
in_space = {name: geometry.tegum(*parts) for name, parts in products.items()}
labelled = {name: geometry.dimensionality(rows).numpy() for name, rows in in_space.items()}
drawing = polytopes.tegum_products({name: rows.numpy() for name, rows in in_space.items()}, labelled)
page.save_figure(drawing, "F10_tegum_products", {"D": labelled})

flat_and_solid = {name: geometry.polytope(name).numpy() for name in ("digon", "triangle", "pentagon", "tetrahedron", "square antiprism")}
page.save_figure(polytopes.polytope_and_matrix(flat_and_solid), "F11_polytopes_and_matrices", {"W": flat_and_solid})

# %% [markdown]
# To turn by hand, where plotly is drawn:

# %%
solids = {name: geometry.polytope(name).numpy() for name in ("tetrahedron", "square antiprism", "cube")}
turned_by_hand = widgets.feature_vectors_3d({name: rows.numpy() for name, rows in in_space.items()} | solids, drawing)

# %% [markdown]
# ## What theory expects
#
# The expected loss of a small model has a closed form. For every set of active features the integral of a squared relu over the cube of their
# values is a signed sum over the cube's corners, and the sets are summed with their probabilities. That takes $3^n$ terms and no samples. Slow and
# fast must agree:

# %%
stream = run.generator(0, "check")
small_W = 0.6 * torch.randn(1, 6, 3, generator=stream, dtype=torch.float64)
small_b = 0.2 * torch.randn(1, 6, generator=stream, dtype=torch.float64)
small_p = torch.tensor([0.3], dtype=torch.float64)
x = data.plain(data.draw(6, 200_000, stream), small_p)  # (1, B, F)
errors = (x - (x @ small_W @ small_W.mT + small_b).relu()).square().sum(-1)  # (1, B)
closed = exact.loss(small_W, small_b, data.Independent().law(small_p, 6)).item()
sampled, noise = errors.mean().item(), errors.std().item() / errors.shape[1] ** 0.5
assert abs(closed - sampled) < 4 * noise
{"exact": closed, "sampled": sampled, "standard error": noise}

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
batch = train.Batch(data.conditional(data.draw(6, 64, stream), small_p), small_p, torch.ones(6, dtype=torch.float64))
by_autograd = torch.autograd.grad(train.batch_loss(*weights, batch).sum(), weights)
by_hand = train.gradient(small_W, small_b, batch)
assert all(torch.allclose(ours, theirs, atol=1e-12) for ours, theirs in zip(by_hand, by_autograd, strict=True))

# %% [markdown]
# Models with fewer features in the same $m$ dimensions are trained in the same way, for a question further down.


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


def train_fewer(cfg):
    return {str(n): fit(n, cfg.pressed, cfg, f"{n} features").W for n in cfg.fewer}


sweep = memo.memo(train_sweep, cfg)
W = sweep["W"].double().unflatten(0, (cfg.seeds, len(cfg.levels)))  # (seeds, levels, F, H)

# %% [markdown]
# A control needs no training: random directions with the *trained norms*. It keeps how many features are represented, and by how much, and destroys
# only how they are arranged.


# %%
def scatter(W, *name):
    directions = torch.randn(W.shape, generator=run.generator(0, "control", *name), dtype=torch.float64)
    return directions / directions.norm(dim=-1, keepdim=True) * geometry.norms(W.double())[..., None]


scattered = scatter(W)

D_star, D = geometry.dimensions_per_feature(W), geometry.dimensionality(W)  # (seeds, levels), (seeds, levels, F)
V = data.variance(1 / inverse)
gain = (cfg.features - sweep["loss"].double().reshape(D_star.shape) / V) / cfg.hidden
envelope = theory.envelope(1 / inverse)
share_of_best = gain / envelope.gain.max(0).values

# %% [markdown]
# ## Dimensions per feature
#
# The paper's figure shows a plateau at one, a plateau at one half over a wide range, and a fall at the sparse end. Dashed: the exact $D^*$ of the
# best polytope. It has steps where the winner changes; the trained curve may round them, since near a step both solutions cost the same.

# %%
at, winners = [1 / change.density for change in changes], [changes[0].denser, *(change.sparser for change in changes)]
theirs = (1 / curve.density).numpy(), best_dimensions.numpy()
figure = plots.dimensions_per_feature(inverse.numpy(), D_star.numpy(), *theirs, at, winners)
page.save_figure(figure, "F8_dimensions_per_feature", {"1/(1-S)": inverse, "D*": D_star, "changes": changes})

# %% [markdown]
# Read it from the left. A dense model spends one dimension on each feature's worth of variance. From the predicted boundary of the pairs on,
# features come in antipodal pairs, and the curve rests: along the plateau more sparsity buys no more features. Training leaves the plateau a little
# before pentagons become the best polytope: near a crossing, mixtures and larger frames are as good.

# %%
on_plateau = (inverse >= 2) & (inverse <= 4)


def plateau_levels(values):
    return ((values[..., on_plateau] - 0.5).abs() <= 0.03).sum(-1).double()


def power_law(D_star):
    """A fall without a plateau: the straight line in logarithms between both ends of each seed's curve."""
    exponent = (D_star[:, -1:] / D_star[:, :1]).log() / inverse[-1].log()
    return D_star[:, :1] * inverse**exponent


page.check("F8.plateau", plateau_levels(D_star), control={"a power law between the same ends": plateau_levels(power_law(D_star))})

# %% [markdown]
# ## Where polytopes win, and where they stop
#
# $D^*$ says how much is packed, not how well. The gain says how well. On the plateau a trained model should reach the envelope, and cannot do much
# better if pairs are optimal. The envelope is a bound from below: it knows only the listed polytopes, and nothing forbids a better arrangement.

# %%
figure = plots.gain_per_dimension(inverse.numpy(), gain.numpy(), (1 / curve.density).numpy(), dict(zip(curve.names, curve.gain.numpy(), strict=True)))
page.save_figure(figure, "F8_gain_per_dimension", {"1/(1-S)": inverse, "gain": gain, "over the best polytope": share_of_best})


def sampled_share(name, p):
    """What the sampled loss says of a model built from copies of a polytope, in units of the exact envelope."""
    each, density = theory.polytope_optimum(name, p), p.float()
    corners = geometry.tegum(*[name] * (cfg.hidden // geometry.polytope(name).shape[1])) * each.square_norm.sqrt()
    W, b = torch.zeros(1, cfg.features, cfg.hidden), (p / 2).float().repeat(1, cfg.features)
    W[0, : len(corners)], b[0, : len(corners)] = corners.float(), each.bias.float()
    loss = train.sampled_loss(W, b, density, run.generator(0, "test"), 8192).double()
    return (cfg.features - loss / data.variance(p)) / cfg.hidden / theory.envelope(p).gain.max(0).values


built = sampled_share(envelope.names[envelope.best[-1]], 1 / inverse[-1:])
controls = {"the best polytope, built and measured in the same way": built}
controls["the trained models at 1/(1-S) = 3"] = share_of_best[:, cfg.levels.index(3)]
page.check("F8.beyond", share_of_best[:, -1], control=controls)

# %% [markdown]
# So the tidy story has an end. At the sparsest levels drawn, where the antiprism is the best of the list, the trained models leave every curve
# behind: they use frames of many features in many
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


ideal = torch.cat([geometry.dimensionality(geometry.tegum(*[name] * 5)) for name in plots.LINES]).expand(*D_star.shape, -1)
lines, control_lines, ideal_lines = (
    {name: strength(values, fraction) for name, fraction in plots.LINES.items()} for values in (D, geometry.dimensionality(scattered), ideal)
)
others = [name for name in lines if name != "digon"]
page.check("F9.pairs", lines["digon"], control={"random directions with the trained norms": control_lines["digon"]})
strongest, at_random, built = (np.max([each[name] for name in others], axis=0) for each in (lines, control_lines, ideal_lines))
page.check("F9.other_lines", strongest, control={"random directions with the trained norms": at_random}, witness=built)

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
    shapes = Counter(f"{len(p.nodes)} features in {p.rank}-D" if p.name == "other" else p.name for p in parts).most_common()
    rest = sum(count for _, count in shapes[2:])
    title = f"1/(1-S) = {level:g}\n" + ", ".join(f"{count} x {shape}" for shape, count in shapes[:2]) + (f", {rest} others" if rest else "")
    return title, (weights @ weights.T).numpy(), [part.nodes for part in parts]


figure = vectors.feature_graphs([graph_of(level) for level in cfg.graphs], columns=3)
page.save_figure(figure, "F9_feature_graphs", {"levels": cfg.graphs, "components": [[len(c) for c in graph_of(level)[2]] for level in cfg.graphs]})


def share_in_pairs(weights):
    """Features that sit in antipodal pairs, as a share of those represented."""
    parts = geometry.components(weights)
    return sum(len(part.nodes) for part in parts if part.name == "digon") / sum(len(part.nodes) for part in parts)


def paired_at(level, weights):
    return [share_in_pairs(each) for each in weights[:, cfg.levels.index(level)]]


controls = {"random directions with the trained norms": paired_at(3, scattered), "the trained models at 1/(1-S) = 10": paired_at(10, W)}
page.check("F9.graph", paired_at(3, W), control=controls)

# %% [markdown]
# ### More features, cleaner lines?
#
# A later comment to the paper expects cleaner polytopes under more pressure: more features compete for the same dimensions. The models with fewer
# features against those of the sweep, at the same levels and trained alike. Measured is the share of the represented features that lie on one of the
# lines above, less the share that lies beside it, by the windows of the count above: without that, random directions are the cleaner the more
# features there are. All seeds become cleaner, by very different amounts and one by less than the claim asks, by very different amounts.


# %%
def clean_share(weights):
    kept = geometry.dimensionality(weights)[geometry.norms(weights) > 0.5]
    tests = [geometry.line_test(kept, fraction) for fraction in plots.LINES.values()]
    return sum(test.on - test.beside for test in tests) / len(kept)


fewer = {int(n): weights.double().unflatten(0, (cfg.seeds, -1)) for n, weights in memo.memo(train_fewer, cfg).items()}
by_size = fewer | {cfg.features: W[:, [cfg.levels.index(level) for level in cfg.pressed]]}  # (seeds, pressed, n, H)
clean = {n: [clean_share(weights) for weights in each] for n, each in by_size.items()}
least, most = cfg.fewer[0], cfg.features
at_random = {n: np.array([clean_share(weights) for weights in scatter(by_size[n], n)]) for n in (least, most)}
of_one = {n: geometry.dimensionality(each[0])[geometry.norms(each[0]) > 0.5].numpy() for n, each in by_size.items()}
page.save_figure(plots.clean_shares(of_one, clean), "F32_cleaner_with_size", {"n": list(clean), "share on a line": clean, "D of seed 0": of_one})
control = {"random directions with the trained norms, mean of seeds": (at_random[most] - at_random[least]).mean()}
page.check("F32.cleaner", np.array(clean[most]) - clean[least], control=control, witness=np.array(clean[least]) - at_random[least])

# %% [markdown]
# ## One feature unlike the others
#
# Five features in two dimensions make a pentagon when sparse. Now the density of one of them is varied, from ten times sparser to ten times denser
# than the others, and the exact loss takes a density per feature. Denser, the varied feature (drawn upwards) pushes its neighbours away; sparser, it
# is squeezed, until the solution snaps to two digons with nothing left for it.

# %%
base = 0.05
rho = torch.logspace(-1, 1, small.ratios, dtype=torch.float64)


def densities(rho, base):
    return torch.cat([rho[:, None], torch.ones(len(rho), 4, dtype=torch.float64)], dim=1) * base


def vary_one(small):
    """Every run from random starts, at each density ratio."""
    starts = max(6, small.starts * small.seeds // 8)
    W = 0.6 * torch.randn(starts, 5, 2, generator=run.generator(0, "vary"), dtype=torch.float64).repeat(len(rho), 1, 1)
    law = data.independent_law(densities(rho, base).repeat_interleave(starts, dim=0))
    path = exact.descend(W, torch.zeros(W.shape[:2]), law, steps=small.steps, rate=0.03)
    return {"W": path.W.unflatten(0, (-1, starts)), "loss": path.loss.unflatten(0, (-1, starts))}


def branches(base, rho):
    """Pentagon and square at each ratio: descent from the uniform pentagon, and the closed form of two digons and a dropped feature."""
    corner = theory.polytope_optimum("pentagon", torch.tensor([base]))
    W = (geometry.polytope("pentagon") * corner.square_norm.sqrt()).expand(len(rho), -1, -1)
    path = exact.descend(W, corner.bias.expand(len(rho), 5), data.independent_law(densities(rho, base)), steps=150, rate=0.02)
    square = 4 * theory.polytope_optimum("digon", torch.tensor([base])).loss + data.variance(rho * base)
    return path.W, path.loss, square


varied = memo.memo(vary_one, small)
pentagon_W, pentagon_loss, square_loss = branches(base, rho)

# %% [markdown]
# To compare solutions each is turned until the varied feature points up. Triangles are the varied feature, dots the four others.


# %%
def first_up(W):
    """The plane turned so that the varied feature, or if it is dropped the second one, points up; the third lies on the right."""
    return geometry.upright(W, W[0] if W[0].norm() > 0.1 else W[1], W[2])


best_run = varied["loss"].argmin(1)
best_W = torch.stack([first_up(varied["W"][i, best]) for i, best in enumerate(best_run)])
is_pentagon = best_W[:, 0].norm(dim=-1) > 0.5
groups = [best_W[~is_pentagon].numpy(), best_W[is_pentagon].numpy()]
figure = vectors.moving_feature(groups, [rho[~is_pentagon].numpy(), rho[is_pentagon].numpy()], ["two digons, one dropped", "pentagon"])
page.save_figure(figure, "F12_one_density_varied", {"ratio": rho, "W": best_W})

count = (varied["W"].norm(dim=-1) > 0.5).sum(-1)
kinds = {"pentagon": count == 5, "square": count == 4, "triangle or fewer": count <= 3}
points = {name: [(rho[i].item(), varied["loss"][i, j].item()) for i, j in mask.nonzero().tolist()] for name, mask in kinds.items()}
there = torch.where(pentagon_W[:, 0].norm(dim=-1) > 0.5, pentagon_loss, float("nan"))  # below some ratio the pentagon is no minimum
figure = plots.two_branches(rho.numpy(), points, {"pentagon": there.numpy(), "square": square_loss.numpy()})
page.save_figure(figure, "F13_two_branches", {"ratio": rho, "pentagon": there, "square": square_loss, "runs": varied["loss"]})

# %% [markdown]
# Two curves that cross, and some runs stay on the worse one past the crossing: a first-order change. No run is better than the lower curve. The
# paper puts the snap at a feature about 2.5 times sparser than the others. The exact curves cross elsewhere at this density; where depends on how
# sparse the others are.


# %%
def crossing(base):
    fine = torch.linspace(0.05, 1, 39, dtype=torch.float64)
    W, pentagon, square = branches(base, fine)
    at = int((pentagon < square).nonzero()[0])
    ahead = square - pentagon
    part = ahead[at - 1] / (ahead[at - 1] - ahead[at])
    gone = fine[int((W[:, 0].norm(dim=-1) > 0.5).nonzero()[0])]
    return (fine[at - 1] + part * (fine[at] - fine[at - 1])).item(), gone.item()


snap, vanishes = crossing(base)
snap_denser, _ = crossing(0.09)
page.check("F12.switch", snap, control={"the ratio at which the pentagon stops being a local minimum": vanishes}, witness=snap_denser)
assert bool((varied["loss"].min(1).values / torch.minimum(pentagon_loss, square_loss) > 0.99).all())

# %% [markdown]
# ## Features that occur together
#
# So far features were independent. Let a *set* of features be active together, with values of their own: correlated. Or let at most one of a set be
# active: anticorrelated. The expected loss is exact here as well, since only the probabilities of the active sets change. Two pairs in two
# dimensions, the five best of many random starts each:

# %%
pairs = {"correlated": data.Correlated(2), "anticorrelated": data.Anticorrelated(2), "independent": data.Independent()}


def random_starts(small, *name, n):
    """Weights of every start, seed after seed."""
    streams = [run.generator(seed, *name, n) for seed in range(small.seeds)]
    return torch.cat([0.6 * torch.randn(small.starts, n, 2, generator=stream, dtype=torch.float64) for stream in streams])


def descend(W, kind, p, steps):
    """Weights and exact losses of every start, lowest first."""
    law = pairs[kind].law(torch.full((len(W),), p, dtype=torch.float64), W.shape[1])
    path = exact.descend(W, torch.zeros(W.shape[:2]), law, steps=steps, rate=0.03)
    order = path.loss.argsort()
    return path.W[order], path.loss[order]


def train_pairs(small):
    """n = 4 and n = 6 features in pairs, m = 2; six independent ones also at twice the density, from some of the starts."""
    result = {}
    for kind, n in [(kind, 4) for kind in pairs] + [("correlated", 6), ("independent", 6)]:
        result[f"{kind} {n} W"], result[f"{kind} {n} loss"] = descend(random_starts(small, kind, n=n), kind, base, small.steps)
    few = random_starts(small, "independent", n=6)[: small.starts]
    result["independent 6 denser"] = descend(few, "independent", 2 * base, small.steps)[0]
    return result


paired = memo.memo(train_pairs, small)


def angles_within(W):  # degrees between the two members of each pair
    unit = W / W.norm(dim=-1, keepdim=True)
    return torch.rad2deg((unit[..., 0::2, :] * unit[..., 1::2, :]).sum(-1).clamp(-1, 1).arccos())


def best_runs(name, n):
    """Weights of the runs within a thousandth of the lowest loss; where that is zero, of those below a millionth."""
    loss = paired[f"{name} {n} loss"]
    return paired[f"{name} {n} W"][loss <= 1.001 * loss[0] + 1e-6]


def draw_best(name, n, figure_name, how_many=5):
    W, loss = paired[f"{name} {n} W"][:how_many], paired[f"{name} {n} loss"][:how_many]
    titles = [f"p = {base}, loss {value:.4f}" for value in loss.tolist()]
    sets = torch.zeros(n) if name == "independent" else torch.arange(n) // 2
    page.save_figure(vectors.feature_vectors([first_up(w).numpy() for w in W], titles, sets.numpy(), "set"), figure_name, {"W": W, "loss": loss})


draw_best("correlated", 4, "F14_two_correlated_pairs")
draw_best("anticorrelated", 4, "F15_two_anticorrelated_pairs")

# %% [markdown]
# Correlated features avoid each other: they are often active at once, so they are put at right angles and the partner on the other side of the axis
# belongs to the other set. Anticorrelated ones are put on opposite sides, since that costs nothing at all.


# %%
def share_at(degrees, kind):
    """Share of the best runs in which the members of both pairs are `degrees` apart, within five."""
    return ((angles_within(best_runs(kind, 4)) - degrees).abs() <= 5).all(1).double().mean()


without_pairs = "independent features, paired by their number"
controls = {without_pairs: share_at(90, "independent"), "anticorrelated pairs": share_at(90, "anticorrelated")}
page.check("F14.orthogonal", share_at(90, "correlated"), control=controls)
controls = {without_pairs: share_at(180, "independent"), "correlated pairs": share_at(180, "correlated")}
page.check("F15.antipodal", share_at(180, "anticorrelated"), control=controls)

# %% [markdown]
# With a third correlated pair there is no room for right angles. The pairs lie side by side, on something like a hexagon. The paper adds that
# independent features would not make one. The exact optimum of six independent features at this density *is* a hexagon; few starts find it, but few
# find that of the correlated pairs either. At twice the density the sentence holds.

# %%
draw_best("correlated", 6, "F16_three_correlated_pairs")
draw_best("independent", 6, "F16_six_independent_features")


def from_65(name, n):
    return (angles_within(best_runs(name, n)) - 65).abs().max()


controls = {"two correlated pairs, which have room": from_65("correlated", 4), without_pairs: from_65("independent", 6)}
page.check("F16.side_by_side", from_65("correlated", 6), control=controls)


def shapes(W):
    return [geometry.classify(w[w.norm(dim=-1) > 0.5]) for w in W]


no_hexagon = {kind: float(shapes(W)[0] != "hexagon") for kind, W in paired.items() if " 6 " in kind and "loss" not in kind}
control = {"three correlated pairs": no_hexagon["correlated 6 W"]}
page.check("F16.independent", no_hexagon["independent 6 W"], control=control, witness=no_hexagon["independent 6 denser"])
{f"shapes of all starts, {name}": Counter(shapes(paired[f"{name} 6 W"])) for name in ("independent", "correlated")}

# %% [markdown]
# Of all starts, how many reach the optimum? Losses above the lowest, and for the anticorrelated pairs, whose optimum is zero, the share below a
# millionth.

# %%
kinds_of = {"two pairs": "correlated 4", "four independent": "independent 4", "three pairs": "correlated 6", "six independent": "independent 6"}
spread = {label: (paired[f"{key} loss"] / paired[f"{key} loss"][0] - 1).numpy() for label, key in kinds_of.items()}
page.save_figure(plots.runs_against_optimum(spread), "F14_to_F16_random_starts", {"loss / lowest - 1": spread})
{"anticorrelated pairs at zero loss": (paired["anticorrelated 4 loss"] < 1e-6).double().mean().item()}

# %% [markdown]
# ### Local almost-orthogonal bases
#
# Two sets of ten correlated features in ten dimensions: each set takes an orthogonal basis of its own, and the two bases lie across each other.


# %%
def train_local(small):
    """Two sets of n/2 features in m = n/2 dimensions, each set active together or every feature by itself."""
    n, m, steps = small.local
    schedule, density = train.Schedule(steps, 128, 0.01), torch.tensor([0.01])
    sources = {"correlated": data.Correlated(m), "independent": data.INDEPENDENT}
    streams = {kind: [run.generator(seed, "local") for seed in range(small.seeds)] for kind in sources}
    return {kind: train.fit(model.Config(n, m), density, streams[kind], schedule, source=source).W for kind, source in sources.items()}


local_W = {kind: weights.double() for kind, weights in memo.memo(train_local, small).items()}
half = small.local[1]
local_M = {kind: weights @ weights.mT for kind, weights in local_W.items()}
figure = heatmaps.matrices([local_M[kind][0].numpy() for kind in ("independent", "correlated")], ["independent features", "two correlated sets"])
page.save_figure(figure, "F17_local_bases", {kind: weights[0] for kind, weights in local_W.items()})


def deviation(M):  # of each set's own block from the identity
    blocks = torch.stack([M[:, :half, :half], M[:, half:, half:]])
    return (blocks - torch.eye(half)).abs().amax((0, 2, 3))


trained_alike = {"independent features, trained in the same way, median seed": deviation(local_M["independent"]).median()}
page.check("F17.bases", deviation(local_M["correlated"]), control=trained_alike)

# %% [markdown]
# ## Collapse: superposition or principal components
#
# Three correlated pairs again, from sparse to dense. A pair can *collapse*: both features on one direction, which stores their sum at the price
# $p/12$, four times less than leaving one of them out. Dense models do that to every pair, which is principal component analysis; sparse ones to
# none. In between the number of collapsed pairs counts how far a model is on the way. The two circles have radius 1 and $1/\sqrt 2$, the length of
# each half of a collapsed pair.

# %%
levels = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.9)


def train_collapse(small):
    """Three correlated pairs in two dimensions at each density, from half of the starts: weights and losses."""
    W = random_starts(small, "collapse", n=6)[::2]
    law = pairs["correlated"].law(torch.tensor(levels, dtype=torch.float64).repeat_interleave(len(W)), 6)
    W = W.repeat(len(levels), 1, 1)
    path = exact.descend(W, torch.zeros(W.shape[:2]), law, steps=small.steps, rate=0.03)
    return {"W": path.W.unflatten(0, (len(levels), -1)), "loss": path.loss.unflatten(0, (len(levels), -1))}


collapsed = memo.memo(train_collapse, small)
lowest = {p: W[loss.argmin()] for p, W, loss in zip(levels, collapsed["W"], collapsed["loss"], strict=True)}
how_many = {p: int((angles_within(W) < 15).sum()) for p, W in lowest.items()}
drawn = (0.9, 0.35, 0.15, 0.1, 0.05)
titles = [f"p = {p}: {how_many[p]} collapsed" for p in drawn]
arrows = [first_up(lowest[p]).numpy() for p in drawn]
figure = vectors.feature_vectors(arrows, titles, torch.arange(6).numpy() // 2, "set", circles=(1, 0.5**0.5))
page.save_figure(figure, "F18_collapse", {"collapsed pairs at the lowest loss": how_many, "W": list(lowest.values())})
how_many

# %% [markdown]
# The paper's table: none collapsed up to $p = .05$, one to $.15$, two to $.2$, all from $.25$ on. The exact optimum agrees at both ends; it has two
# collapsed pairs earlier, and keeps two for longer.

# %%
pca = 5 * 0.9 / 6 - 0.9**2 / 2  # loss of the best two directions, p = .9
assert abs(collapsed["loss"][-1].min() / pca - 1) < 0.015
page.check("F18.quarter", [how_many[0.25], how_many[0.35]], control={"p = .05": how_many[0.05]}, witness=how_many[0.5])

# %% [markdown]
# **The open question of the notes**, principal components or superposition, has this answer: collapse costs $p/12$ per pair and no interference;
# superposition costs a multiple of $p^2$. What decides is which of the two is smaller, and the crossover depends on who else needs room, which is why
# pairs collapse one by one.
#
# ### Try it
#
# Independent, correlated or anticorrelated pairs; density, features and dimensions. Left one run, then its overlaps and those of the best of six.


# %%
def small_model(features, density, decay, pairs_of, m):
    kind = pairs.get(pairs_of)
    played = playground.play(density, decay, features, m, run.generator(0, "live", features, m), kind)
    return vectors.small_model(*(array.numpy() for array in played[:3]), played.losses, played.importance.numpy())


controls = dict(density=(0.01, 1, 0.05, True), decay=(0.5, 1.0, 1.0), features=(2, 6, 6), m=(1, 4, 2))  # low, high, start, on a log scale
widgets.live(small_model, pairs_of=tuple(pairs), **{name: widgets.Slider(*limits) for name, limits in controls.items()})

# %% [markdown]
# ## Two sentences that do not hold as written
#
# The paper introduces the polytopes with the remark that three equal features in two dimensions are best placed on an equilateral triangle. The
# exact loss disagrees when features are sparse: an antipodal pair, and the third feature at a right angle to it, is cheaper. The triangle wins only
# above the density shown below, up to the dense end, where dropping the third feature costs as little.

# %%
density = torch.linspace(0.1, 0.9, 81, dtype=torch.float64)
triangle = 3 * theory.polytope_optimum("triangle", density).loss
pair = 2 * theory.polytope_optimum("digon", density).loss  # the third feature costs nothing
flat = data.variance(density)  # two features get a dimension each, the third is dropped
ratio, flat_ratio = triangle / torch.minimum(pair, flat), flat / torch.minimum(pair, triangle)
page.check("F10.triangle", ratio[::10], control={"two features alone and the third dropped": flat_ratio[::10]})
{"the triangle becomes best at p =": density[(ratio < 1).nonzero()[0]].item()}

# %% [markdown]
# The paper also relates norm and bias of a feature in superposition, $\lVert W_i \rVert = 1 / (1 - |b_i|)$: what the bias takes off a feature the
# norm puts back. A feature that is active alone comes out as $\lVert W_i \rVert^2 x_i - |b_i|$, which its square, not the norm, multiplies. The exact
# optima below follow neither formula: the square comes near $1/(1 - |b_i|)$ for the pentagon and falls far short of it for larger polygons.

# %%
sparse = torch.tensor([1e-3], dtype=torch.float64)
best = {name: theory.polytope_optimum(name, sparse) for name in ("digon", "pentagon", "hexagon", "heptagon", "square antiprism")}
left = {name: 1 - one.bias.abs().item() for name, one in best.items()}
returned = {name: one.square_norm.sqrt().item() * left[name] for name, one in best.items()}
witness = returned.pop("digon")
controls = {"unit vectors with the same bias": [left[name] for name in returned]}
page.check("F10.norm", list(returned.values()), control=controls, witness=witness)
{f"square of the norm times (1 - |b|), {name}": one.square_norm.item() * left[name] for name, one in best.items()}

# %% [markdown]
# ## Limits
#
# - The list of polytopes is the paper's; the envelope is the best of the list and no theorem about all arrangements.
# - Names are given by cosines within a tolerance; a component that is none of the list is called *other*.
# - Which of the finer lines is visible depends on the levels at which one looks: each polytope wins over a narrow range.
# - Features of unequal importance are the subject of the first two notebooks; here only densities and company differ.
# - The small figures descend on the exact loss. Samples would add noise, and leave a shallow valley a little more often.

# %%
page.close()
