# %% [markdown]
# # 6. Models can compute in superposition
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/06_computation_in_superposition.ipynb)
#
# **Claim.** With a relu on the hidden layer the neurons mean something. A sparse model does not only store more features than it has neurons, it
# computes with them: the absolute value of more features than its neurons could serve one by one.
#
# Paper: Elhage et al., *Toy Models of Superposition* (2022), sections ["Superposition in a Privileged
# Basis"](https://transformer-circuits.pub/2022/toy_model/index.html#privileged-basis) and ["Computation in
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#computation), and the appendix on nonlinear compression.
#
# **Difference to the paper.**
# - Above every model of the large figure stands its loss, in units of an explicit model that uses no superposition. Where that is more than one,
#   training has not found the best model. Replications of this figure are in that state at the sparse densities, and here is why.
# - Everything said about trained models is measured on five seeds with random starts. Models trained from the explicit one stand beside them as a
#   reference, and are called so.
# - Samples are weighted, so that rare features are seen, and an output that has died is revived. Neither changes what an optimum is.
# - The asymmetric motif is found by a detector, with its hit rate over five times a hundred models, where the paper shows one.
#
# **Time.** `quick` seconds, `laptop` about two minutes on one core, `paper` a GPU and some ten minutes. Memory below 1 GB.

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from dataclasses import dataclass

import numpy as np
import torch

from companion import claims, memo, run
from companion.plots import neurons as plots
from companion.plots import toy
from companion.toy import computing, data, geometry, model, train
from companion.toy.computing import Weights


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    seeds: int  # of everything that is trained
    restarts: int  # models of each density and seed of the tied figure
    tied_steps: int
    features: int  # n of the large model of the absolute value
    hidden: int  # m
    densities: tuple[float, ...]
    shown: float  # density whose neurons are drawn large
    steps: int  # of each of the two rounds of training
    plain_steps: int  # of the control that trains as replications do
    models: int  # small models per seed in which the motif is searched
    small_steps: int
    samples: int  # fresh ones, for every loss that is compared


levels = (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
cfg = run.choose(
    quick=Config(2, 6, 200, 30, 12, (1, 0.03, 0.003), 0.03, 250, 60, models=20, small_steps=600, samples=2048),
    laptop=Config(5, 48, 2000, 100, 40, levels, 0.03, 1500, 800, models=100, small_steps=2000, samples=40_960),
    paper=Config(5, 1000, 10_000, 100, 40, levels, 0.03, 20_000, 4000, models=1000, small_steps=10_000, samples=400_000),
)
page = claims.Page("06_computation_in_superposition", cfg)
tied_densities = (1, 0.35, 0.15, 0.12, 0.06, 0.03)
cfg

# %% [markdown]
# ## Two models
#
# The first stores, with one matrix for both layers; the second computes the absolute value of features that may be negative:
#
# $$x' = \mathrm{relu}(W\,\mathrm{relu}(W^\top x) + b), \qquad y' = \mathrm{relu}(W_2\,\mathrm{relu}(W_1^\top x) + b), \quad \text{target } |x| .$$
#
# Row $i$ of $W_1$ is what feature $i$ gives to the neurons, row $i$ of $W_2$ what the neurons give to output $i$. Without biases in the hidden
# layer a neuron can be scaled, $\mathrm{relu}(cz) = c\,\mathrm{relu}(z)$, so pictures show neurons whose largest incoming weight is one.


# %%
def by_the_formula(W1, W2, b, x):  # one model (F, H), (F, H), (F,), one sample (F,)
    neurons = torch.stack([torch.relu(sum(W1[i, a] * x[i] for i in range(len(x)))) for a in range(W1.shape[1])])
    return torch.stack([torch.relu(sum(W2[i, a] * neurons[a] for a in range(len(neurons))) + b[i]) for i in range(len(x))])


stream = run.generator(0, "check")
small = computing.Config(5, 4)
weights = Weights(*(torch.randn(shape, generator=stream, dtype=torch.float64) for shape in ((1, 5, 4), (1, 5, 4), (1, 5))))
x = torch.rand(1, 1, 5, generator=stream, dtype=torch.float64) * 2 - 1
one = by_the_formula(*(t[0] for t in weights), x[0, 0])
assert torch.allclose(computing.forward(weights, x)[0, 0], one)
assert torch.allclose(computing.forward(computing.rescaled(weights), x)[0, 0], one)

# %% [markdown]
# ### Samples that are worth their time
#
# With a hundred features of density one in a thousand, most samples are empty, and in most of the others the active feature hardly matters. Each
# sample therefore has one feature switched on by hand, chosen with probability $q_i$, and is weighted by how much more often that made it appear:
#
# $$w = \frac{P(x)}{Q(x)} = \frac{p}{\sum_{j\ \text{active}} q_j} .$$
#
# The empty sample is added exactly. The loss must come out as with plain sampling, and the gradient written by hand as autograd has it:

# %%
p, importance = torch.tensor([0.3], dtype=torch.float64), 0.8 ** torch.arange(5, dtype=torch.float64)
uniforms = data.Uniforms(*(u.double() for u in data.draw(5, 100_000, stream)))
sizes = data.plain(uniforms, p)
signed = sizes * (2.0 * (torch.rand(sizes.shape, generator=stream) < 0.5) - 1)
losses = ((computing.forward(weights, signed) - sizes).square() * importance).sum(-1)[0]
weighted = computing.sampled_loss(small, Weights(*(t.float() for t in weights)), p, importance, stream, 100_000)
noise = (losses.var() / len(losses) + weighted.error[0] ** 2).sqrt()
assert abs(losses.mean() - weighted.loss[0]) < 4 * noise

# %% [markdown]
# The gradient, for weights that are free and for a batch of its own:

# %%
batch = computing.draw(small, importance, 64, stream)
batch = batch._replace(uniform=batch.uniform.double(), sign=batch.sign.double(), chance=batch.chance.double())
free = [t.clone().requires_grad_() for t in weights]
by_autograd = torch.autograd.grad(computing.batch_loss(Weights(*free), batch, p, importance)[0].sum(), free)
assert all(torch.allclose(a, c, atol=1e-12) for a, c in zip(computing.gradient(weights, batch, p, importance), by_autograd, strict=True))
{"plain": losses.mean().item(), "weighted": weighted.loss[0].item()}

# %% [markdown]
# ### Reading a stack plot
#
# A neuron is a column, a weight a rectangle; negative weights hang below the axis. The three pictures below are the same eight numbers: three
# features in two neurons, which is what the tied model makes of a moderately sparse world.

# %%
example = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]) * 0.8
figure = plots.explainer(example)
page.save_figure(figure, "F24_three_views", {"W": example})


# %% [markdown]
# ## The relu gives the neurons meaning
#
# A model without hidden relu can rotate its hidden space freely. With the relu some directions are special, the neurons themselves, and $W$ becomes
# readable. Ten features of importance $0.75^i$ share five hidden dimensions; of many starts at each density the lowest loss is kept.


# %%
def train_tied(cfg):
    """The best of many restarts for each density and seed, what it started from, and a relu-output model for each seed."""
    config, importance = computing.Config(10, 5, tied=True), 0.75 ** torch.arange(10.0)
    p = torch.tensor(tied_densities).repeat(cfg.restarts)
    best, first = [], []
    for seed in range(cfg.seeds):
        start = computing.initial(config, [run.generator(seed, "tied", k) for k in range(cfg.restarts)])
        start = Weights(*(0.5 * t.repeat_interleave(len(tied_densities), 0) for t in start))
        schedule = train.Schedule(cfg.tied_steps, 64, 0.02)
        fitted = computing.fit(config, start, p, importance, schedule, run.generator(seed, "tied", device=run.device()))
        loss = computing.sampled_loss(config, fitted, p, importance, run.generator(seed, "test", device=run.device()), cfg.samples // 4).loss
        winner = loss.unflatten(0, (cfg.restarts, -1)).argmin(0) * len(tied_densities) + torch.arange(len(tied_densities))
        best.append(fitted.at(winner))
        first.append(start.W1[winner])
    output = train.fit(
        model.Config(10, 5),
        torch.tensor([1.0]),
        [run.generator(k, "output") for k in range(cfg.seeds)],
        train.Schedule(cfg.tied_steps // 2, 128, 0.02),
        importance,
    )
    return {"W": torch.stack([w.W1 for w in best]), "start": torch.stack(first), "output": output.W}


tied = memo.memo(train_tied, cfg)
W = tied["W"]  # (seeds, densities, F, H)

# %% [markdown]
# First without sparsity. Both models keep the five most important features; only the one with hidden relu gives each of them a neuron.

# %%
figure = plots.weight_maps([("relu on the output", tied["output"][0].numpy()), ("relu on the hidden layer", W[0, 0].numpy())])
page.save_figure(figure, "F23_privileged_basis", {"relu output": tied["output"][0], "relu hidden": W[0, 0]})


# %% [markdown]
# How much of a feature lies on its main neuron, at the least aligned of the five, is one number per model.


# %%
def alignment(W):
    """Largest weight of a feature as a share of its norm, for the least aligned of the five most important features."""
    return (W.abs().amax(-1) / W.norm(dim=-1).clamp_min(1e-9))[..., :5].amin(-1)


# %% [markdown]
# The control is the same number where nothing ties a feature to the basis.

# %%
page.check("F23.basis", alignment(W[:, 0]), control={"the same features in a model whose relu is on the output": alignment(tied["output"])})

# %% [markdown]
# ## Six regimes
#
# As features become sparse, neurons stop being monosemantic, one after the other and not all at once. The colour of a rectangle is the interference
# its feature suffers, $\sum_{j \ne i} (\hat W_i \cdot W_j)^2$, the tint behind a neuron whether it responds to one feature or to several.


# %%
FAINT = 0.1  # a feature that is shorter is hardly there, and has no direction
sharp = 0.1  # of a neuron's largest weight. A tied neuron can carry one of -3, which only silences it; against that one all others look small
kinds = computing.neurons(W, sharp)
mono = kinds.mono.sum(-1)  # (seeds, densities)
used = (W.norm(dim=-1) > 0.5).sum(-1)


def stack_of(k):
    title = f"p = {tied_densities[k]:g}\n{mono[0, k]} neurons with one feature\n{used[0, k]} features represented"
    return plots.Stack(title, *(t[0, k].numpy() for t in (W, geometry.interference(W, dead=FAINT), kinds.mono, kinds.poly)))


figure = plots.regimes([stack_of(k) for k in range(len(tied_densities))])
page.save_figure(figure, "F25_six_regimes", {"densities": tied_densities, "W": W[0], "monosemantic": mono, "represented": used})

# %% [markdown]
# From the left: five features in five neurons; then three of them as before and three features in the other two neurons, with the codes of the
# stack plot above: two are antipodal and the third is orthogonal to both. Then more and more features in fewer and fewer neurons, until no neuron is
# left to one feature. The paper's counts are of the best of a thousand runs. The checks below are of the best run of each of five seeds. The
# second regime first: the code of the three features, by its cosines, in models in which exactly three neurons serve one feature.

# %%
started = tied["start"]
count = computing.neurons(started, sharp).mono.sum(-1)


def distance_from_code(W, mono):
    """Largest deviation of the three sorted cosines from -1, 0, 0; 1 where another number of neurons than three is monosemantic."""
    codes = W[:, 3:6] / W[:, 3:6].norm(dim=-1, keepdim=True)
    cosines = torch.stack([(codes[:, i] * codes[:, j]).sum(-1) for i, j in ((0, 1), (0, 2), (1, 2))], dim=-1).sort(-1).values
    return torch.where(mono == 3, (cosines - torch.tensor([-1.0, 0, 0])).abs().amax(-1), 1.0)


page.check(
    "F25.code",
    distance_from_code(W[:, 1], mono[:, 1]),
    control={
        "the same features before training, whatever the count": distance_from_code(started[:, 1], torch.tensor(3)),
        "the models of p = .06, whatever the count": distance_from_code(W[:, -2], torch.tensor(3)),
    },
)

# %% [markdown]
# At p = .15 the paper counts two. Models with one more or one fewer can have nearly the same loss, so a seed can end with another count.

# %%
page.check(
    "F25.two",
    mono[:, 2],
    control={"the same models before training": count[:, 2], "the count at p = .35": mono[:, 1], "the count at p = .03": mono[:, -1]},
)

# %% [markdown]
# At the sparse end no neuron is left to one feature, and nearly all features are represented. That is no claim: random directions with the trained
# norms do the same.

# %%
{"monosemantic neurons at p = .06 and .03": mono[:, -2:].sum(-1).tolist(), "features at p = .03": (W[:, -1].norm(dim=-1) > 0.5).sum(-1).tolist()}


# %% [markdown]
# ## Computing the absolute value
#
# $|x| = \mathrm{relu}(x) + \mathrm{relu}(-x)$ takes two neurons per feature. Three features and six neurons, without sparsity, so that nothing has
# to be shared.


# %%
def train_many(cfg, config, name, models, p, rate, importance):
    """Models from random starts, `models` for each seed, and their losses on fresh samples."""
    parts = []
    for seed in range(cfg.seeds):
        start = computing.initial(config, [run.generator(seed, name, k) for k in range(models)])
        density, device = torch.full((models,), p), run.device()
        schedule = train.Schedule(cfg.small_steps, 64, rate)
        fitted = computing.fit(config, start, density, importance, schedule, run.generator(seed, name, device=device))
        loss = computing.sampled_loss(config, fitted, density, importance, run.generator(seed, "test", device=device), 8192).loss
        parts.append(computing.rescaled(fitted)._asdict() | {"loss": loss, "start": start.W1})
    return {f"{name} {key}": torch.stack([part[key] for part in parts]) for key in parts[0]}  # (seeds, models, ...)


def train_small(cfg):
    """Three features in six neurons, dense; and six features of falling importance in ten neurons, sparse."""
    dense = train_many(cfg, computing.Config(3, 6), "dense", 16, 1.0, 0.02, torch.ones(3))
    return dense | train_many(cfg, computing.Config(6, 10), "motif", cfg.models, 0.2, 0.01, 0.7 ** torch.arange(6.0))


few = memo.memo(train_small, cfg)
best = few["dense loss"][0].argmin()
W1, W2 = few["dense W1"][0, best], few["dense W2"][0, best]
order = torch.argsort(W1.abs().argmax(0) * 4 - W1.sum(0).sign())  # by feature, + before -
W1, W2 = W1[:, order], W2[:, order]
figure = plots.absolute_value(W1.numpy(), W2.numpy())
page.save_figure(figure, "F26_absolute_value", {"W1": W1, "W2": W2, "losses": few["dense loss"][0].sort().values})

# %% [markdown]
# One positive and one negative neuron for each feature, and an output that adds them. Drawn is the lowest loss of sixteen starts. The check asks how
# many of the sixteen starts of a seed end so.


# %%
def complete(W1):
    """Share of the models in which every feature has one + and one - neuron, and every other weight is below .05 of its neuron's largest."""
    W1 = W1 / W1.abs().amax(-2, keepdim=True)
    own = W1.abs() > 0.95
    pairs = ((W1 > 0.95).sum(-1) == 1).all(-1) & ((W1 < -0.95).sum(-1) == 1).all(-1)
    return (pairs & (torch.where(own, 0.0, W1.abs()).amax((-2, -1)) < 0.05)).double().mean(-1)


page.check("F26.found", complete(few["dense W1"]), control={"the same models before training": complete(few["dense start"])})


# %% [markdown]
# ### The second neuron is worth four times the first, when dense
#
# With one neuron, $y' = \mathrm{relu}(a\,\mathrm{relu}(x) + b)$ must serve negative $x$ with a constant. Its loss is a quadratic in $a$ and $b$,
#
# $$L = \tfrac p2\Big[\tfrac{(a-1)^2}{3} + (a-1)b + b^2\Big] + \tfrac p2\Big[\tfrac13 - b + b^2\Big] + (1-p)\,b^2 ,$$
#
# and its minimum stands against $V(p) = p/3 - p^2/4$ without a neuron and $0$ with two. Increasing returns: a dense model with forty neurons serves
# twenty features completely, rather than forty by half. That is the explicit model to beat below.


# %%
def one_neuron(p):
    """Least loss of one feature with one neuron: c - g.g / H for the quadratic c - 2 g.z + z.H z in z = (a, b)."""
    H = np.array([[p / 6, p / 4], [p / 4, 1.0]])
    g = np.array([p / 6, p / 2])
    return p / 3 - g @ np.linalg.solve(H, g)


assert abs(one_neuron(1.0) - 1 / 15) < 1e-12
assert abs(one_neuron(1e-6) / 1e-6 - 1 / 6) < 1e-3
second = one_neuron(1.0) / (float(data.variance(torch.tensor(1.0, dtype=torch.float64))) - one_neuron(1.0))
assert abs(second - 4) < 1e-9  # gain of the second neuron over that of the first
half = Weights(torch.tensor([[[1.0]]]), torch.tensor([[[0.4]]]), torch.tensor([[0.4]]))
sampled = computing.sampled_loss(computing.Config(1, 1), half, torch.ones(1), torch.ones(1), run.generator(0, "half"), 50_000)
assert abs(sampled.loss[0] - 1 / 15) < 4 * sampled.error[0]

# %% [markdown]
# ## A hundred features in forty neurons
#
# Importance $0.8^i$, densities from one to one in a thousand. The model to compare with gives the twenty most important features two neurons each
# and the mean to the rest. It uses no superposition, and costs
#
# $$L_{20} = V(p) \sum_{i \ge 20} 0.8^i .$$
#
# Every seed starts once at random, with $W_2 = |W_1|$, for all densities. As a reference, models are also trained from this explicit one with a
# little noise. No claim about what training finds is measured on those. Both are trained in two rounds of equal length, and their losses are
# measured on fresh samples.


# %%
def two_rounds(cfg, start, p, seed, revive=1.0):
    """Train with revival of dead outputs, then at half the rate without. Neurons with largest weight 1, losses before and after."""
    config, importance = computing.Config(cfg.features, cfg.hidden), 0.8 ** torch.arange(cfg.features)
    weights = start
    for name, rate, share in (("first", 0.01, revive), ("second", 0.005, 0.0)):
        stream = run.generator(seed, name, device=run.device())
        weights = computing.fit(config, weights, p, importance, train.Schedule(cfg.steps, 128, rate), stream, revive=share)
    before, after = (
        computing.sampled_loss(config, each, p, importance, run.generator(seed, "report", device=run.device()), cfg.samples)
        for each in (start, weights)
    )
    return {"W1": computing.rescaled(weights).W1, "start": start.W1, "before": before.loss, "loss": after.loss, "error": after.error}


def near_explicit(cfg, p, seed):
    pairs = computing.dedicated(computing.Config(cfg.features, cfg.hidden), p, cfg.hidden // 2)
    return pairs._replace(W1=pairs.W1 + 0.02 * torch.randn(pairs.W1.shape[1:], generator=run.generator(seed, "noise")))


# %% [markdown]
# Random starts at every density; the reference at every density for the first seed, and at the sparsest for all. Two seeds are trained once more
# without revival at the two sparsest densities, on the same samples and for as long.


# %%
def train_large(cfg):
    """All models of the large figure; the entries of a kind run over seeds, then densities."""
    config, p = computing.Config(cfg.features, cfg.hidden), torch.tensor(cfg.densities)
    kinds = {"random": [], "explicit": [], "unrevived": []}
    for seed in range(cfg.seeds):
        random = computing.initial(config, [run.generator(seed, "large")])
        kinds["random"].append(two_rounds(cfg, random.at([0] * len(p)), p, seed))
        some = p if seed == 0 else p[-1:]
        kinds["explicit"].append(two_rounds(cfg, near_explicit(cfg, some, seed), some, seed))
        if seed < 2:
            kinds["unrevived"].append(two_rounds(cfg, random.at([0, 0]), p[-2:], seed, revive=0.0))
    return {f"{kind} {key}": torch.cat([part[key] for part in parts]) for kind, parts in kinds.items() for key in parts[0]}


large = memo.memo(train_large, cfg)


# %% [markdown]
# ### Why replications fall short
#
# An output whose preactivation is negative for every sample has no gradient, and never comes back. When features are sparse most samples say of an
# output that it should be 0, so while everything still interferes with everything the outputs are pushed down, and one after the other dies. The
# remedy is to let the gradient of an output pass while its *own* feature is active. A finished model hardly has a sample where that makes a
# difference, and the second round does without.
#
# One control leaves out the revival and nothing else. The other trains in the manner of existing replications: independent random $W_1, W_2$, AdamW
# with weight decay a tenth, rate one hundredth, plain samples, 512 at a time.


# %%
def train_plain(cfg):
    """AdamW and autograd on plain samples at the two sparsest densities."""
    config, importance = computing.Config(cfg.features, cfg.hidden), 0.8 ** torch.arange(cfg.features)
    device = run.device()
    p, stream = torch.tensor(cfg.densities[-2:], device=device), run.generator(0, "plain", device=device)
    scale = (2 / (cfg.features + cfg.hidden)) ** 0.5
    W = [scale * torch.randn(len(p), cfg.features, cfg.hidden, generator=stream, device=device) for _ in range(2)]
    free = [t.requires_grad_() for t in (*W, torch.zeros(len(p), cfg.features, device=device))]
    optimiser = torch.optim.AdamW(free, lr=0.01, weight_decay=0.1)
    for _ in range(cfg.plain_steps):
        size = data.plain(data.draw(cfg.features, 512, stream), p)
        x = size * (2.0 * (torch.rand(size.shape[1:], generator=stream, device=device) < 0.5) - 1)
        loss = ((computing.forward(Weights(*free), x) - size).square() * importance.to(device)).sum(-1).mean(-1)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    weights = Weights(*(t.detach() for t in free))
    return {"loss": computing.sampled_loss(config, weights, p, importance, run.generator(0, "report", device=run.device()), cfg.samples // 2).loss}


plain = memo.memo(train_plain, cfg)

# %% [markdown]
# Now the losses, in units of the explicit model. Below one, a model has found something that the explicit one cannot do.

# %%
n, p = len(cfg.densities), torch.tensor(cfg.densities)
L20 = data.variance(p) * (0.8 ** torch.arange(cfg.features))[cfg.hidden // 2 :].sum()
ratio, before = (large[key].view(-1, n) / L20 for key in ("random loss", "random before"))  # (seeds, densities)
explicit = large["explicit loss"][:n] / L20  # of the first seed
explicit_last = large["explicit loss"][n - 1 :] / L20[-1]  # of all seeds, at the sparsest density
unrevived = (large["unrevived loss"].view(-1, 2) / L20[-2:]).amax(1)
page.check(
    "F27.revival",
    ratio[:, -2:].amax(1),
    control={
        "the same starts, samples and steps without revival, two seeds": unrevived,
        "training as in replications": (plain["loss"] / L20[-2:]).max(),
    },
)

# %% [markdown]
# So at the sparse end superposition is not only what training finds but what is cheaper, by far. At the dense end it is the other way round:
# random starts end above the explicit model, and that one is not improved by training. Upper row, for each density: the lowest loss of the random
# starts. Lower row: the reference, trained from the explicit model. A neuron counts as monosemantic if no other weight is above three tenths of
# its largest, here and in the checks; smaller weights on top of it are drawn as well. Colour is again interference, now of $|W_1|$: two features on
# the same neurons interfere whatever their signs, because each neuron is rectified before it is read.


# %%
def sorted_by_importance(W1):
    """|W1| with its neurons by the index of their largest feature, which is the order of importance."""
    size = W1.abs()
    return size.gather(-1, size.argmax(-2).argsort(-1)[..., None, :].expand_as(size))


def share(W1):
    """Share of the neurons that respond to one feature alone."""
    kinds = computing.neurons(W1)
    return kinds.mono.sum(-1).double() / (kinds.mono | kinds.poly).sum(-1)


def panel(W1, k, loss, start):
    title = f"p = {cfg.densities[k]:g}\nfrom {start}\nloss {loss:.2f} times the explicit one's\n{share(W1):.0%} monosemantic"
    size = sorted_by_importance(W1)
    return plots.Stack(title, *(t.numpy() for t in (size, geometry.interference(size, dead=FAINT), *computing.neurons(size))))


# %% [markdown]
# A panel per density, twice:

# %%
W, reference = large["random W1"].unflatten(0, (-1, n)), large["explicit W1"]  # (seeds, densities, F, H); densities, then the other seeds
drawn = ratio.argmin(0).tolist()
panels = [panel(W[seed, k], k, ratio[seed, k], "a random start") for k, seed in enumerate(drawn)]
panels += [panel(reference[k], k, explicit[k], "the explicit model") for k in range(n)]
figure = plots.neuron_stacks(panels, n)
numbers = {"p": p, "L/L20 random": ratio, "L/L20 from the explicit model": explicit, "the same, all seeds, sparsest": explicit_last}
numbers |= {"noise": large["random error"].view(-1, n)[0] / L20, "monosemantic random": share(W)}
numbers |= {"monosemantic from the explicit model": share(reference[:n]), "seeds drawn": drawn}
page.save_figure(figure, "F27_absolute_value_100", numbers)

# %% [markdown]
# The paper's picture has two ends. When dense, nearly all neurons are monosemantic; in the paper's figure all are.

# %%
untrained = large["random start"].unflatten(0, (-1, n))
page.check(
    "F27.dense",
    share(W)[:, p > 0.2].amin(1),
    control={"the same starts before training": share(untrained)[:, 0], "the same starts at the sparsest density": share(W)[:, -1]},
    witness=share(reference[:n])[p > 0.2].min(),
)

# %% [markdown]
# At the sparsest density all are polysemantic. So they are before training and in a model that has not finished, so a model counts only if it
# costs less than the explicit one.


# %%
def share_if_better(W1, loss):
    """Share of monosemantic neurons; 1 for a model that does not cost less than the explicit one."""
    return torch.where(loss < 1, share(W1), 1)


page.check(
    "F27.all_shared",
    share_if_better(W[:, -1], ratio[:, -1]),
    control={
        "the same starts before training": share_if_better(untrained[:, -1], before[:, -1]),
        "two of them without revival": share_if_better(large["unrevived W1"][1::2], large["unrevived loss"][1::2] / L20[-1]),
        "trained from the explicit model": share_if_better(reference[n - 1 :], explicit_last),
    },
)

# %% [markdown]
# ## One density, closely
#
# Again the lowest loss of the random starts. Numbers are features by importance, written where a weight is more than three tenths of its neuron's
# largest. Mono- and polysemantic neurons live in one model.

# %%
k = cfg.densities.index(cfg.shown)
one = panel(W[drawn[k], k], k, ratio[drawn[k], k], "a random start")
figure = plots.mixed_neurons(one._replace(title=one.title.replace("\n", ", ")))
page.save_figure(figure, "F28_mixed_neurons", {"p": cfg.shown, "size": one.W, "monosemantic": one.mono})

# %% [markdown]
# Both kinds are there in numbers.


# %%
def smaller_share(W1):
    return torch.minimum(share(W1), 1 - share(W1))


page.check(
    "F28.both",
    smaller_share(W[:, k]),
    control={"the same starts without sparsity": smaller_share(W[:, 0]), "the same starts before training": smaller_share(untrained[:, k])},
)

# %% [markdown]
# In the paper's figure it is the important features that have neurons of their own. The rank of a neuron is the index of its largest feature, so
# polysemantic neurons should have larger ranks. Dealt out at random, the kinds give a difference of means of zero, with a variance known exactly
# from the variance of the ranks. The reference has this order clearly. In models from random starts it is weak: some important features share
# neurons, and some unimportant ones have their own.


# %%
def rank_gap(W1, mono):
    """Mean rank of the other neurons minus that of the monosemantic ones, in standard deviations under shuffling; 0 if one kind is missing."""
    rank, many = W1.abs().argmax(0).double(), mono.sum()
    if many in (0, len(mono)):
        return 0.0
    return float((rank[~mono].mean() - rank[mono].mean()) / (rank.var() * (1 / many + 1 / (len(mono) - many))).sqrt())


is_mono = computing.neurons(W[:, k]).mono
shuffled = [m[torch.randperm(cfg.hidden, generator=run.generator(seed, "shuffle"))] for seed, m in enumerate(is_mono)]
page.check(
    "F28.rank",
    [rank_gap(*one) for one in zip(W[:, k], is_mono, strict=True)],
    control={"kinds shuffled over the neurons": [rank_gap(*one) for one in zip(W[:, k], shuffled, strict=True)]},
    witness=rank_gap(reference[k], computing.neurons(reference[k]).mono),
)

# %% [markdown]
# ## Asymmetric superposition
#
# Six features in ten neurons, importance $0.7^i$, one in five active. Twelve neurons would be enough for two per feature. How can a big and a small
# feature share a neuron? The paper found a motif: the big one enters with a large weight and leaves with a small one, the small one enters with a
# small weight and leaves with a large one. Then the small feature hardly disturbs the big one; and where the big one disturbs the small, a companion
# neuron that fires for the big feature takes it off again.
#
# The detector asks for the three parts: incoming weights at least two to one, outgoing ones the other way round, and a companion that fires for the
# same sign of the big feature and subtracts at least one.

# %%
sparse = Weights(*(few[f"motif {key}"].flatten(0, 1) for key in Weights._fields))  # seed by seed
found = computing.motifs(sparse)


def rates(found):
    """Share of the models of a seed that have the motif; of its fifth of lowest loss; of its fifth of highest loss."""
    hit = found.flatten(1).any(1).double().view(cfg.seeds, -1)
    ordered = hit.gather(1, few["motif loss"].argsort(1))
    return hit.mean(1), ordered[:, : cfg.models // 5].mean(1), ordered[:, -(cfg.models // 5) :].mean(1)


rate, among_best, among_worst = rates(found)


def companion_of(i, a, big, little):
    """The neuron that fires with a on the big feature and takes most off the little one; and how purely it listens to the big one."""
    W1, W2 = sparse.W1[i], sparse.W2[i]
    taken = torch.where(W1[big].sign() == W1[big, a].sign(), W1[big].abs() * W2[little], 0.0)
    return int(taken.argmin()), float(W1[big, taken.argmin()].abs())


best_fifth = set(few["motif loss"][0].argsort()[: cfg.models // 5].tolist())
index, neuron, big, little = max(found.nonzero().tolist(), key=lambda one: (one[0] in best_fifth, companion_of(*one)[1]))
W1, W2 = sparse.W1[index], sparse.W2[index]
figure = plots.motif(W1.numpy(), W2.numpy(), neuron, companion_of(index, neuron, big, little)[0], big, little)
page.save_figure(figure, "F29_asymmetric_motif", {"W1": W1, "W2": W2, "neuron": neuron, "big": big, "small": little, "hit rate": rate})

# %% [markdown]
# The model drawn is, among the first seed's fifth of lowest loss, the one whose companion listens most purely to the big feature. One model proves
# little, so here is how often the motif occurs, and in which models. The controls keep every weight and exchange outputs, or what neurons send out.

# %%
exchanged = {
    "the same models, outputs exchanged": rates(computing.motifs(sparse._replace(W2=sparse.W2.roll(1, 1))))[0],
    "the same models, outgoing weights of the neurons exchanged": rates(computing.motifs(sparse._replace(W2=sparse.W2.roll(1, 2))))[0],
}
page.check("F29.rate", rate, control=exchanged)

# %% [markdown]
# More telling than the rate is where it occurs.

# %%
page.check(
    "F29.good",
    among_best,
    control={"all models of all seeds": rate.mean(), "the fifths of the highest loss, all seeds": among_worst.mean()},
)

# %% [markdown]
# This is the paper's picture of what an *observed model* may be: one that simulates a larger, sparse one. On the left the model it stands for, two
# neurons per feature; on the right the same trained model as above.

# %%
figure = plots.observed_model(W1.numpy(), W2.numpy())
page.save_figure(figure, "C8_observed_model", {"W1": W1, "W2": W2})

# %% [markdown]
# ## Nonlinear compression
#
# Superposition is not the only way to put two numbers into one. If both are dense, $x, y \in [0, 1]$, a nonlinear code can write $x$ in coarse steps
# and $y$ into the room between the steps:
#
# $$t = \frac{\lfloor Z x \rfloor + y}{Z}, \qquad y' = Z t - \lfloor Z t \rfloor, \qquad x' = \frac{\lfloor Z t \rfloor + 1/2}{Z} .$$
#
# With a true staircase $y$ is exact, and $x$ is off by a uniform error of one step. Relu neurons make a staircase of ramps, each of two neurons, and
# on a ramp everything is lost. The best linear code keeps one of two directions.


# %%
def staircase(u, Z, width, shift=1.0):
    """floor(u) on [0, Z] by relus: Z - 1 ramps, each from k - shift * width to the height of the next step."""
    starts = np.arange(1, Z) - shift * width
    return sum((np.maximum(u - s, 0) - np.maximum(u - s - width, 0)) / width for s in starts)


x, y = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(2**16).double().numpy().T


def compression_error(Z, width, shift=1.0):
    """Mean of (x - x')^2 + (y - y')^2 over evenly spread points."""
    t = (staircase(Z * x, Z, width, shift) + y) / Z
    step = staircase(Z * t, Z, width, shift)
    return float((((step + 0.5) / Z - x) ** 2 + (Z * t - step - y) ** 2).mean())


# %% [markdown]
# Over a range of ramps and of numbers of steps:

# %%
width = np.array([0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
errors = {f"Z = {Z}": np.array([compression_error(Z, w) for w in width]) for Z in (2, 3, 5, 10)}
errors["Z = 3, ramps centred"] = np.array([compression_error(3, w, 0.5) for w in width])
at = np.linspace(0, 1, 301)
stairs = {"ramps before the step": staircase(3 * at, 3, 0.1), "centred": staircase(3 * at, 3, 0.1, 0.5)}
linear = 1 / 12  # of two uniform numbers, one direction is lost
assert abs(compression_error(3, 1e-9) / (linear / 9) - 1) < 0.02  # a true staircase only rounds x
figure = toy.compression(width, errors, linear, at, stairs)
page.save_figure(figure, "F31_nonlinear_compression", {"width": width, "linear": linear} | errors)

# %% [markdown]
# Ramps of a tenth of a step and three steps beat every linear code. Where the ramps stand matters as well as how wide they are: centred on the
# steps they cost less in the picture, since what a ramp shifts is then shifted to both sides.

# %%
page.check("F31.beats", compression_error(3, 0.1) * 12, control={"ramps as wide as a step: no steps are left": compression_error(3, 1.0) * 12})

# %% [markdown]
# ## Limits
#
# - The losses are upper bounds of the optimum, and these models are still improving at the sparse end, from either kind of start. At the sparsest
#   density the reference ends below the random starts with every seed of this record and with all but one of another run, so it is the better start
# here, and neither is shown to be the best there is. In the reference
#   many neurons still have one weight far larger than the others; random starts may take on such neurons when trained for longer.
# - When dense, the explicit model seems to be the optimum; that is supported by every model of the figure ending at it or above it, and not proved.
# - A neuron counts as monosemantic by a threshold on its incoming weights, three tenths of its largest. By a tenth fewer count as monosemantic, and
#   of the reference at the sparsest density hardly any, since many small weights lie on top of its large ones.
# - Importances fall by a fixed factor in every model here. Equal ones would leave no feature that deserves a neuron of its own.

# %%
page.close()
