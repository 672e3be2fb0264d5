# %% [markdown]
# # 1b. Many features
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/01b_many_features.ipynb)
#
# **Pages** [← 1. Demonstrating superposition](01_demonstrating_superposition.ipynb) · [Start here](00_start_here.ipynb) · [2. Superposition as a phase change →](02_phase_change.ipynb)
#
# [Page 1](01_demonstrating_superposition.ipynb) stored five features in two dimensions. Here are twenty features in five dimensions and eighty in
# twenty. With so many, you can watch superposition spread: it begins among the features that matter least, and as features get rarer it reaches
# all of them.
#
# **You will** compare a linear model with relu models at seven sparsities · count which features have a dimension to themselves and which share
# one · find out how a wrong start makes the same training fail.
#
# **Needs** the model and the training of [page 1](01_demonstrating_superposition.ipynb#training). **Takes** two minutes at `laptop` on two cores,
# seconds at `quick` (how to choose: [start here](00_start_here.ipynb#profiles)). Memory below 1 GB.
#
# **Paper** Elhage et al. 2022, *Toy Models of Superposition*: ["Demonstrating
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#demonstrating).
#
# **On this page** [1 Data and models](#models) · [2 The linear model](#linear) · [3 Relu models, from dense to sparse](#relu) · [4 How many are stored](#counts) · [5 Eighty features](#larger) · [6 A start that fails](#start) · [7 Your turn](#your-turn) · [8 Limits](#limits) · [9 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from dataclasses import dataclass

import torch

from companion import claims, memo, run
from companion.plots import heatmaps, toy
from companion.toy import data, geometry, model, theory, train

claims.opening("01b_many_features")


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    seeds: int
    larger: tuple[int, int]  # n and m of the larger models
    steps: int
    batch: int
    rate: float


cfg = run.choose(
    quick=Config(seeds=2, larger=(40, 10), steps=700, batch=64, rate=0.01),
    laptop=Config(seeds=5, larger=(80, 20), steps=3000, batch=256, rate=0.01),
    paper=Config(seeds=10, larger=(80, 20), steps=30_000, batch=1024, rate=0.005),
)
page = claims.Page("01b_many_features", cfg)
F64 = torch.float64
cfg

# %% [markdown]
# <a id="models"></a>
# ## 1 Data and models
#
# The picture above is where this page leads: as features get rarer (to the right), more of the twenty features are stored (blue), and fewer of them
# have a dimension to themselves (orange). Section 4 explains it.
#
# Data, model, loss and training loop are those of [page 1](01_demonstrating_superposition.ipynb#data), with $n = 20$ features, $m = 5$ dimensions
# and importances $0.7^i$. `data.plain(data.draw(...))` draws what `sample` drew there. Two quantities come back below, the loss and the
# *interference*, and here they are computed for weights that can be checked by hand: five features with a dimension each and fifteen left out. The
# interference of feature $i$ is $\sum_{j \ne i} (\hat W_i \cdot W_j)^2$, where $\hat W_i$ is $W_i$ divided by its length: what the other features
# put on its direction. It is zero for a feature with a dimension of its own.

# %%
densities = torch.tensor([1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001], dtype=F64)
weights20 = 0.7 ** torch.arange(20, dtype=F64)  # the importances
weights80 = 0.9 ** torch.arange(cfg.larger[0], dtype=F64)

W = torch.eye(20, 5)  # row i is the direction of feature i: five have one, fifteen have none
b = torch.where(torch.arange(20) < 5, 0.0, 0.05)  # the mean p/2 of a feature at p = 0.1
x = data.plain(data.draw(20, 100_000, run.generator(0, "by hand")), torch.tensor([0.1]))[0]
error = (weights20 * (x - torch.relu(x @ W @ W.T + b)).square()).sum(1)
lost = (data.variance(torch.tensor(0.1)) * weights20[5:].sum()).item()
assert abs(error.mean().item() / lost - 1) < 0.03
assert geometry.interference(W).max() == 0
{"loss of the samples": error.mean().item(), "V times the importances left out": lost}

# %% [markdown]
# So leaving features out costs $V$ each, weighted by importance. Can training do better? Twenty features have too many active sets for the exact
# loss of page 1, so models are trained on samples with `train.fit`, for several random seeds: relu models at seven densities, and as the baseline
# linear models at $p = 0.1$, with the same importances and with equal ones. The losses of the relu models are measured on fresh samples. The larger
# models of section 5 are trained here too.


# %%
def sweeps(cfg):
    """n = 20, m = 5, each seed: relu models at all densities, linear ones at p = .1. Larger models once."""
    streams = [run.generator(seed, "sweep", device=run.device()) for seed in range(cfg.seeds)]
    schedule, p = train.Schedule(cfg.steps, cfg.batch, cfg.rate), densities.float()
    found = {"relu": train.fit(model.Config(20, 5), p, streams, schedule, weights20.float())}
    test = run.generator(0, "test", device=run.device())
    tested = train.sampled_loss(
        *found["relu"][:2],
        p.repeat(cfg.seeds),
        test,
        100_000,
        weights20.float().to(run.device()),
    )
    streams = [run.generator(seed, "linear", device=run.device()) for seed in range(cfg.seeds)]
    kind = model.Config(20, 5, relu=False)
    found["linear"] = train.fit(kind, p[2:3], streams, schedule, weights20.float())
    found["equal"] = train.fit(kind, p[2:3], streams, schedule)
    streams = [run.generator(seed, "larger", device=run.device()) for seed in range(cfg.seeds)]
    found["larger"] = train.fit(model.Config(*cfg.larger), p, streams[:1], schedule, weights80.float())
    found["larger at .1"] = train.fit(
        model.Config(*cfg.larger),
        p[2:3],
        streams[1:],
        schedule,
        weights80.float(),
    )
    return {"loss": tested} | {
        f"{name} {part}": getattr(fit, part)  # W and b of every sweep
        for name, fit in found.items()
        for part in ("W", "b")
    }


swept = memo.memo(sweeps, cfg)
W20, b20 = (swept[f"relu {part}"].double().unflatten(0, (cfg.seeds, 7)) for part in "Wb")
loss20 = swept["loss"].double().unflatten(0, (cfg.seeds, 7))
linear_W, linear_b = (swept[f"linear {part}"].double() for part in "Wb")
equal_W, equal_b = (swept[f"equal {part}"].double() for part in "Wb")

# %% [markdown]
# <a id="linear"></a>
# ## 2 The linear model
#
# First the baseline. A linear model is principal component analysis with importances: it should store the five most important features perfectly
# and answer the mean $p/2$ for the others. So we expect an identity block in $W W^\top$, a bias that begins after it, and five norms of one. With
# all importances equal there is nothing to choose by, and the five dimensions should be spread over all features.

# %%
two_W, two_b = torch.stack([linear_W[0], equal_W[0]]), torch.stack([linear_b[0], equal_b[0]])
figure = heatmaps.weights_in_three(
    *([t.numpy() for t in group] for group in (two_W @ two_W.mT, two_b, geometry.interference(two_W))),
    ["importances 0.7^i", "equal importances"],
)
caption = (
    f"Two linear models, n = 20, m = 5, S = 0.9, {cfg.steps} steps of batch {cfg.batch}: overlaps W "
    "W^T, bias b, and the norm of each feature, coloured by interference. Above, look at the identity "
    "block and at the bias that begins where it ends, as in the paper's figure. Below, the same with "
    "equal importances, which the paper does not show."
)
page.save_figure(figure, "F2_linear_model", {"W": two_W, "b": two_b}, caption)

# %% [markdown]
# The colour of the bars is the interference: features with a dark blue bar have a dimension to themselves, those with a bright one share. Now the
# claim in numbers: how far is the trained model from an identity block and the bias $p/2$ after it? The same distance is measured on two
# *controls*, models for which the claim must fail.

# %%
kept = (torch.arange(20) < 5).double()


def from_linear(W, b, p):  # largest deviation of W W^T and b from those of the best linear model
    by_W = (W @ W.mT - kept.diag()).abs().amax((-1, -2))
    return torch.maximum(by_W, (b - p / 2 * (1 - kept)).abs().amax(-1))


unlike = {
    "linear models of equal importances": from_linear(equal_W, equal_b, 0.1),
    "relu models of the same sparsity": from_linear(W20[:, 2], b20[:, 2], 0.1),
}
page.check("F2.identity", from_linear(linear_W, linear_b, 0.1), control=unlike)

# %% [markdown]
# The loss of this solution is $V \sum_{i \ge m} I_i$, and by the theorem of Eckart and Young no linear model has a lower one. In units of $V$ it
# does not depend on the sparsity: sparsity does not help a linear model.
#
# <a id="relu"></a>
# ## 3 Relu models, from dense to sparse
#
# Now the relu models. Without sparsity they should be the linear model again. With a little of it, we expect that superposition begins with the
# least important features that are represented, and with a lot of it, that no feature keeps a dimension to itself.


# %%
def draw(W, b, titles):
    arrays = ([t.numpy() for t in group] for group in (W @ W.mT, b, geometry.interference(W)))
    return heatmaps.overlaps(*arrays, titles)


levels = [f"relu, S = {1 - p:g}" for p in densities.tolist()]
lowest = loss20.argmin(0), torch.arange(7)
all_W, all_b = torch.cat([linear_W[:1], W20[lowest]]), torch.cat([linear_b[:1], b20[lowest]])
caption = (
    "A linear model and seven relu models from dense to sparse, n = 20, m = 5, importances 0.7^i: "
    "overlaps W W^T with the bias as a strip, and below each the norms, coloured by interference "
    f"(yellow: 1 and more). Lowest loss of {cfg.seeds} seeds, {cfg.steps} steps, batch {cfg.batch}. "
    "Watch the dark blue bars disappear, the least important first. As in the paper's figure."
)
figure = draw(all_W, all_b, ["linear, S = 0.9", *levels])
page.save_figure(figure, "F3_relu_models", {"p": densities, "W": all_W, "b": all_b}, caption)

# %% [markdown]
# The first relu model looks like the linear one. To test that, we measure its distance from the best linear model as before, with the relu models
# of $S = 0.7$ as the control.

# %%
dense_control = {"the relu models of S = .7": from_linear(W20[:, 1], b20[:, 1], 0.3)}
page.check("F3.dense", from_linear(W20[:, 0], b20[:, 0], 1.0), control=dense_control)

# %% [markdown]
# Without sparsity the relu changes nothing, as expected. With much sparsity the model should store more features than it has dimensions. That a few
# more norms than five exceed a limit does not show that, since a linear model can spread five dimensions over twenty features. But for the best
# linear model $W W^\top$ is a projection, and the diagonal of a projection, the squared norms $|W_i|^2$, adds up to its rank. So no linear model at
# its optimum can have ten features with $|W_i|^2 > \tfrac12$ in five dimensions. We ask for ten.


# %%
def strong(W):  # features with |W_i|^2 above 1/2
    return (W.square().sum(-1) > 0.5).sum(-1).double()


few = {
    "linear models of equal importances": strong(equal_W),
    "the relu models without sparsity": strong(W20[:, 0]),
}
page.check("F3.counts", strong(W20[:, -1]), control=few)

# %% [markdown]
# Every seed has more than ten here. With another set of random seeds the counts varied more, so that their median came too close to the end of the
# band; therefore the verdict is MIXED, and the card says so.
#
# *How* are they stored? At little sparsity we expect antipodal pairs and nothing else. For every feature that shares its dimension we look for a
# represented feature that points the opposite way.


# %%
def roles(W):  # masks: represented features, those with a dimension of their own, those that share
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
# All of them have one. At high sparsity we expect three differences: positive overlaps appear, the features that they disturb get negative biases
# that cut the disturbance off, and no feature keeps a dimension to itself.

# %%
seen, alone, _ = roles(W20)
count, alone = seen.sum(-1), alone.sum(-1)
off = (W20 @ W20.mT) * (1 - torch.eye(20, dtype=F64))


def with_bias(sign):  # correlation of bias and largest overlap of one sign, represented features, p = .003
    largest = (sign * off[:, 5]).amax(-1)
    models = zip(largest, b20[:, 5], seen[:, 5], strict=True)
    return [torch.corrcoef(torch.stack([o[s], b[s]]))[0, 1] for o, b, s in models]


page.check("F3.positive", off[:, 5].amax((1, 2)), control={"p = .3, pairs only": off[:, 1].amax((1, 2))})
page.check("F3.paid", with_bias(1), control={"the largest negative overlap": with_bias(-1)})
shared = (count - alone) / count.clamp_min(1)  # (seeds, levels); 0 where nothing is stored
page.check("F3.all", shared[:, 5], control={"the dense models": shared[:, 0], "p = .3": shared[:, 1]})

# %% [markdown]
# All values lie in their bands. Where the verdict is MIXED, the seeds differ so much that their median is too close to the end of the band.
#
# **A natural question: which bias is best in a linear model?** At its optimum $W W^\top$ is a projection $P$, and the bias makes the mean of the
# output equal to that of the input: $b = \tfrac p2 (1 - P \mathbf 1)$. That is zero for a feature with a dimension of its own, and the mean for one
# that is left out. The linear models above should have this bias. For three features in a triangle the rows of $W W^\top$ sum to zero, so the
# formula gives $b = \tfrac12$ at $p = 1$; the best triangle with a relu should have nearly that bias.

# %%
mean_kept = 0.05 * (1 - (linear_W @ linear_W.mT).sum(-1))
assert torch.allclose(linear_b, mean_kept, atol=1e-4)
assert abs(theory.polytope_optimum("triangle", torch.ones(1)).bias.item() - 0.5) < 0.02

# %% [markdown]
# <a id="counts"></a>
# ## 4 How many are stored
#
# Here are all seeds at once: how many features are represented, and how many of these have a dimension to themselves, at each density.

# %%
ratio = loss20 / theory.linear_optimum(densities, weights20, 5)
named = {"represented, |W_i| > 1/2": count.numpy(), "of them alone": alone.numpy()}
figure = toy.counts(densities.tolist(), named, "features (of 20, in 5 dimensions)")
caption = (
    "Number of represented features and of those with a dimension to themselves, against density p = 1 "
    f"- S; one line for each of {cfg.seeds} seeds, n = 20, m = 5. The gap between blue and orange is "
    "superposition. The paper shows one model per sparsity and no such count."
)
numbers = {"p": densities, "represented": count, "alone": alone, "loss / linear optimum": ratio}
page.save_figure(figure, "F3_counts", numbers, caption)

# %% [markdown]
# <a id="larger"></a>
# ## 5 Eighty features
#
# Now more features, more dimensions, and importances $0.9^i$ that fall more slowly. We expect a rescaled version of the picture above.

# %%
large_W, large_b = swept["larger W"].double(), swept["larger b"].double()
caption = (
    f"The same for n = {cfg.larger[0]}, m = {cfg.larger[1]}, importances 0.9^i, one model per sparsity. "
    "At S = 0.9 look at the bars from the top: first dark ones, then bright ones. The paper calls its "
    "figure a rescaled version of the one before, and so is ours."
)
numbers = {"p": densities, "W": large_W, "b": large_b}
page.save_figure(draw(large_W, large_b, levels), "F4_larger_models", numbers, caption)

# %% [markdown]
# At $S = 0.9$ some features have a dimension of their own and others share one. If superposition begins with the least important, then nearly every
# feature of the first kind matters more than every feature of the second kind. We compare all pairs. In a random order, the control, about half of
# the pairs would pass.


# %%
def order(rank, alone, shared):  # share of the pairs (alone, shared) in which the first matters more
    return (rank[alone][:, None] < rank[shared]).double().mean().nan_to_num(0)


at_tenth = torch.cat([large_W[2:3], swept["larger at .1 W"].double()])
groups = [(alone, shared) for _, alone, shared in map(roles, at_tenth)]
generator = run.generator(0, "order")
shuffled = [order(torch.randperm(cfg.larger[0], generator=generator), *group) for group in groups]
values = [order(torch.arange(cfg.larger[0]), *group) for group in groups]
page.check("F4.top", values, control={"importances in a random order": shuffled})

# %% [markdown]
# <a id="start"></a>
# ## 6 A start that fails
#
# A reader's public notes on the paper report that $n = 100$, $m = 40$, $p = 0.01$ came to nothing. Their recipe starts from weights of unit
# variance: a feature then has a norm of about six where one is wanted, and the biases run far below zero before the norms have shrunk. If that is
# the reason, the same run from weights scaled by $1/\sqrt m$ should reach a lower loss than a simple solution, forty antipodal pairs (`digon` in
# the code) with twenty features left out; the run from the large weights should not. `train.gradient` is the gradient written by hand, as
# `train.fit` uses it; the rest is the plain loop of page 1, with both starts on the same samples.


# %%
def two_starts(cfg):
    """W and sampled loss, per seed, from weights of unit variance and of variance 1/m."""
    seeds, p, weight = range(cfg.seeds), torch.full((2 * cfg.seeds,), 0.01), torch.ones(100)
    normal = torch.stack([torch.randn(100, 40, generator=run.generator(seed, "notes")) for seed in seeds])
    W, b = torch.cat([normal, normal * 40**-0.5]), torch.zeros(2 * cfg.seeds, 100)
    W.grad, b.grad = torch.empty_like(W), torch.empty_like(b)
    optimiser, streams = (
        torch.optim.Adam([W, b], lr=3e-3),
        [run.generator(seed, "notes", "data") for seed in seeds],
    )
    for _ in range(cfg.steps):
        x = torch.cat([data.conditional(data.draw(100, 64, stream), p[:1]) for stream in streams])
        W.grad[:], b.grad[:] = train.gradient(W, b, train.Batch(x.repeat(2, 1, 1), p, weight))
        optimiser.step()
    return {
        "W": W,
        "loss": train.sampled_loss(
            W,
            b,
            p,
            run.generator(0, "notes", "test"),
            20_000,
        ).unflatten(0, (2, cfg.seeds)),
    }


notes = memo.memo(two_starts, cfg)
V = data.variance(torch.tensor(0.01)).item()
pairs = 80 * theory.polytope_optimum("digon", torch.tensor([0.01])).loss.item() + 20 * V
large, small = notes["loss"].double() / pairs
page.check("notes.start", small, control={"weights of unit variance, same samples": large})
{"nothing learned, in the same units": 100 * V / pairs}

# %% [markdown]
# From the smaller weights the loss ends far below that of the pairs; from the large ones it ends above that of a model that has learned nothing.
#
# The notes also ask whether the cosines between the model's features are sparse, that is, mostly zero. Here are their quantiles. If the features
# formed separate polygons, as on [page 3](03_superposition_geometry.ipynb), most cosines would be zero. The sum of $D$, page 3's measure of the
# share of a dimension that a feature has, says how many of the forty dimensions are used.

# %%
good = notes["W"][cfg.seeds].double()
unit = good / good.norm(dim=1, keepdim=True)
cosines = (unit @ unit.T)[torch.ones(100, 100, dtype=torch.bool).triu(1)].abs()
quantiles = torch.quantile(cosines, torch.tensor([0.1, 0.5, 0.9, 0.99], dtype=F64)).tolist()
{"sum of D, of 40": geometry.dimensionality(good).sum().item(), "|cosine| at 10, 50, 90, 99 %": quantiles}

# %% [markdown]
# Nearly all dimensions are used. The cosines are sparse only in part: most are small but not zero, and a few are large. So each feature overlaps a
# little with many others, and there are no separate polygons.

# %% [markdown]
# <a id="your-turn"></a>
# ## 7 Your turn
#
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* In which order do features lose their dimension? For each of the seven densities, find the least important feature that still
#    has a dimension to itself, in the drawn relu models.
#    <details><summary>Hint</summary>`roles` returns three masks, and the second marks the features with a dimension of their own. `all_W[0]` is
#    the linear model; the relu models follow it.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    own = roles(all_W[1:])[1]
#    last = [int(mask.nonzero().max()) if mask.any() else -1 for mask in own]
#    assert last[0] == 4 and last[1] < 4 and last[5] == -1
#    ```
#
#    At $p = 1$ features 0 to 4 have a dimension each. With a little sparsity the less important of them share first; at high sparsity all share.
#    </details>
# 2. *(5 minutes)* Make all importances equal in the relu model at $p = 0.3$ ($n = 20$, $m = 5$). Which features are stored, and how?
#    <details><summary>Hint</summary>`train.fit` without importances treats all features alike. Look at the most negative overlap of each stored
#    feature.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    even = train.fit(model.Config(20, 5), torch.tensor([0.3]), [run.generator(0, "turn")], train.Schedule(1500, 128, 0.01)).W[0]
#    there = even.norm(dim=1) > 0.5
#    assert 8 <= there.sum() <= 12
#    assert ((even @ even.T).amin(1)[there] < -0.5).float().mean() > 0.7
#    ```
#
#    About ten, nearly all of them in antipodal pairs: two to a dimension. Which ten is left to chance, because no feature matters more than
#    another.
#    </details>
# 3. *(10 minutes)* The start that fails has weights of standard deviation 1, the other one of $1/\sqrt{40}$. What norm does a feature have at each
#    start, and what norm does it end with in the run that works? If you have more time: at which standard deviation does the run begin to fail?
#    <details><summary>Hint</summary>The norm of 40 independent numbers of standard deviation s is about s times the root of 40. `good` holds the
#    weights at the end of a run that works.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    norms = {s: (s * torch.randn(100, 40, generator=run.generator(1, "turn"))).norm(dim=1).mean().item() for s in (1, 40**-0.5)}
#    assert abs(norms[1] - 40**0.5) < 0.3 and abs(norms[40**-0.5] - 1) < 0.05
#    assert 0.8 < good.norm(dim=1).median() < 1.6
#    ```
#
#    About six and about one at the start; about one at the end. To look for the standard deviation at which the run begins to fail, copy
#    `two_starts`, put a factor s in place of `40**-0.5`, and train for several s.
#    </details>
#
# <a id="limits"></a>
# ## 8 Limits
#
# - How far these trained models are from their optimum is not known: with twenty features the exact loss would need $3^{20}$ terms.
# - The paper states neither steps nor batch size nor learning rate; ours are in the cell of parameters. Whether longer training
#   stores more features is not measured here.
# - Represented means a norm above one half, and a dimension to itself an interference below one tenth; both limits are ours.
# - The larger models are one seed per sparsity, except at $S = 0.9$.
#
# <a id="checked"></a>
# ## 9 What was checked
#
# Each claim of this page with its value, the band it had to lie in, and the controls that had to fail.

# %%
page.close()
