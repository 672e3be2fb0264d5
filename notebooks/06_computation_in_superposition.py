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
# - Under every model of the large figure stands its loss, in units of an explicit model that uses no superposition. A picture of a model that loses
#   to that one shows unfinished training and nothing else; replications of this figure are in that state, and here is why.
# - Models are trained from several kinds of start, the lowest loss is drawn, and the kind that won is named.
# - Samples are weighted, so that rare features are seen, and an output that has died is revived. Neither changes what an optimum is.
# - The asymmetric motif is found by a detector, with its hit rate over a hundred models, where the paper shows one.
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
from companion.plots import computing as plots
from companion.toy import computing, data, model, theory, train
from companion.toy.computing import Weights


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    restarts: int  # models of each density of the tied figure
    groups: int  # repetitions of that figure, each with its own restarts and samples
    tied_steps: int
    features: int  # n of the large model of the absolute value
    hidden: int  # m
    densities: tuple[float, ...]
    shown: float  # density whose neurons are drawn large
    steps: int  # of each of the two rounds of training
    plain_steps: int  # of the control that trains as replications do
    models: int  # small models in which the motif is searched
    small_steps: int
    samples: int  # fresh ones, for every loss that is compared


levels = (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
cfg = run.choose(
    quick=Config(6, 1, 200, 30, 12, (1, 0.03, 0.003), 0.03, 250, 60, models=32, small_steps=600, samples=2048),
    laptop=Config(48, 2, 2000, 100, 40, levels, 0.03, 1500, 800, models=100, small_steps=2000, samples=40_960),
    paper=Config(1000, 3, 10_000, 100, 40, levels, 0.03, 20_000, 4000, models=1000, small_steps=10_000, samples=400_000),
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
    """The best of many restarts for each density and group, the same for the relu-output model, and what the best of a group started from."""
    config, importance = computing.Config(10, 5, tied=True), 0.75 ** torch.arange(10.0)
    p = torch.tensor(tied_densities).repeat(cfg.restarts)
    best, first = [], []
    for group in range(cfg.groups):
        start = computing.initial(config, [run.generator(group, "tied", k) for k in range(cfg.restarts)])
        start = Weights(*(0.5 * t.repeat_interleave(len(tied_densities), 0) for t in start))
        schedule = train.Schedule(cfg.tied_steps, 64, 0.02)
        fitted = computing.fit(config, start, p, importance, schedule, run.generator(group, "tied", device=run.device()))
        loss = computing.sampled_loss(config, fitted, p, importance, run.generator(group, "test", device=run.device()), cfg.samples // 4).loss
        winner = loss.unflatten(0, (cfg.restarts, -1)).argmin(0) * len(tied_densities) + torch.arange(len(tied_densities))
        best.append(fitted.at(winner))
        first.append(start.W1[winner])
    output = train.fit(
        model.Config(10, 5),
        torch.tensor([1.0]),
        [run.generator(k, "output") for k in range(cfg.groups)],
        train.Schedule(cfg.tied_steps // 2, 128, 0.02),
        importance,
    )
    return {"W": torch.stack([w.W1 for w in best]), "start": torch.stack(first), "output": output.W}


tied = memo.memo(train_tied, cfg)
W = tied["W"]  # (groups, densities, F, H)

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
def interference(W):  # (..., F, H)
    unit = W / W.norm(dim=-1, keepdim=True).clamp_min(0.1)  # a feature that is hardly there has no direction
    overlaps = (unit @ W.mT).square()
    return overlaps.sum(-1) - overlaps.diagonal(dim1=-2, dim2=-1)


sharp = 0.1  # of a neuron's largest weight. A tied neuron can carry one of -3, which only silences it; against that one all others look small
kinds = computing.neurons(W, sharp)
mono = kinds.mono.sum(-1)  # (groups, densities)
used = (W.norm(dim=-1) > 0.5).sum(-1)


def stack_of(k):
    title = f"p = {tied_densities[k]:g}\n{mono[0, k]} neurons with one feature\n{used[0, k]} features represented"
    return plots.Stack(title, *(t[0, k].numpy() for t in (W, interference(W), kinds.mono, kinds.poly)))


figure = plots.regimes([stack_of(k) for k in range(len(tied_densities))])
page.save_figure(figure, "F25_six_regimes", {"densities": tied_densities, "W": W[0], "monosemantic": mono, "represented": used})

# %% [markdown]
# From the left: five features in five neurons; then three of them as before and three features in the other two neurons, with the codes of the
# stack plot above: two are antipodal and the third is orthogonal to both. Then more and more features in fewer and fewer neurons, until no neuron is
# left to one feature. The paper's counts at each density are the bands below; they are of the best of a thousand runs there.

# %%
started = computing.neurons(tied["start"], sharp).mono.sum(-1)
codes = W[:, 1, 3:6] / W[:, 1, 3:6].norm(dim=-1, keepdim=True)
start_codes = tied["start"][:, 1, 3:6] / tied["start"][:, 1, 3:6].norm(dim=-1, keepdim=True)


def distance_from_code(codes):
    """Largest deviation of the three sorted cosines from -1, 0, 0."""
    cosines = torch.stack([(codes[:, i] * codes[:, j]).sum(-1) for i, j in ((0, 1), (0, 2), (1, 2))], dim=-1).sort(-1).values
    return (cosines - torch.tensor([-1.0, 0, 0])).abs().amax(-1)


# %% [markdown]
# The first band is the code of the three features in two neurons, by its cosines.

# %%
page.check("F25.code", distance_from_code(codes), control={"the same features before training": distance_from_code(start_codes)})

# %% [markdown]
# The others are counts. At the dense end:

# %%
page.check("F25.dense", mono[:, 0], control={"the same models before training": started[:, 0]})

# %% [markdown]
# Between the ends the counts fall step by step.

# %%
page.check("F25.three", mono[:, 1], control={"the count at p = .03": mono[:, -1]})

# %% [markdown]
# Then one more. Here the code of the previous step costs almost the same, so its count is allowed too.

# %%
page.check("F25.two", mono[:, 2], control={"the count at p = .03": mono[:, -1]})

# %% [markdown]
# At the sparse end nothing is left of the monosemantic neurons.

# %%
page.check("F25.none", mono[:, -2:].sum(-1), control={"the count without sparsity": mono[:, 0]})

# %% [markdown]
# What was bought for them is room: nearly all features are represented now.

# %%
page.check("F25.used", used[:, -1], control={"the count without sparsity": used[:, 0]})

# %% [markdown]
# ## Computing the absolute value
#
# $|x| = \mathrm{relu}(x) + \mathrm{relu}(-x)$ takes two neurons per feature. Three features and six neurons, without sparsity, so that nothing has
# to be shared.


# %%
def train_small(cfg):
    """Three features in six neurons, dense; and many models of six features in ten neurons."""
    dense, sparse = computing.Config(3, 6), computing.Config(6, 10)
    ones, falling, p = torch.ones(3), 0.7 ** torch.arange(6.0), torch.full((cfg.models,), 0.2)
    start = computing.initial(dense, [run.generator(k, "dense") for k in range(16)])
    fitted = computing.fit(
        dense, start, torch.ones(16), ones, train.Schedule(cfg.small_steps, 64, 0.02), run.generator(0, "dense", device=run.device())
    )
    loss = computing.sampled_loss(dense, fitted, torch.ones(16), ones, run.generator(0, "test", device=run.device()), 4096).loss
    start = computing.initial(sparse, [run.generator(k, "motif") for k in range(cfg.models)])
    shared = computing.fit(sparse, start, p, falling, train.Schedule(cfg.small_steps, 64, 0.01), run.generator(0, "motif", device=run.device()))
    shared_loss = computing.sampled_loss(sparse, shared, p, falling, run.generator(0, "test", device=run.device()), 8192).loss
    named = {"W1": fitted.W1, "W2": fitted.W2, "b": fitted.b, "loss": loss}
    return named | {"shared_W1": shared.W1, "shared_W2": shared.W2, "shared_b": shared.b, "shared_loss": shared_loss}


few = memo.memo(train_small, cfg)
best = few["loss"].argmin()
dense = computing.rescaled(Weights(few["W1"], few["W2"], few["b"]))
order = torch.argsort(dense.W1[best].abs().argmax(0) * 4 - dense.W1[best].sum(0).sign())  # by feature, + before -
W1, W2 = dense.W1[best][:, order], dense.W2[best][:, order]
figure = plots.absolute_value(W1.numpy(), W2.numpy())
page.save_figure(figure, "F26_absolute_value", {"W1": W1, "W2": W2, "losses": few["loss"].sort().values})

# %% [markdown]
# One positive and one negative neuron for each feature, and an output that adds them. The check asks for exactly that.


# %%
def strays(weights):
    """Largest weight outside one + and one - neuron per feature, per model; 1 if a feature lacks one of the two."""
    W1 = weights.W1
    complete = ((W1 > 0.95).sum(-1) == 1).all(-1) & ((W1 < -0.95).sum(-1) == 1).all(-1)
    stray = torch.where(W1.abs() > 0.95, 0.0, W1.abs()).flatten(1).amax(1)
    return torch.where(complete, stray, 1.0)


initial = computing.initial(computing.Config(3, 6), [run.generator(k, "dense") for k in range(16)])
untrained = computing.sampled_loss(
    computing.Config(3, 6), initial, torch.ones(16), torch.ones(3), run.generator(0, "test", device=run.device()), 4096
).loss

# %% [markdown]
# The best of the sixteen models above, in numbers:

# %%
page.check("F26.pairs", strays(dense)[best], control={"the sixteen models before training": strays(computing.rescaled(initial))})

# %% [markdown]
# Finding it does not take luck.

# %%
page.check("F26.found", (few["loss"] < 1e-4).float().mean(), control={"the same models before training": (untrained < 1e-4).float().mean()})

# %% [markdown]
# ### The second neuron is worth four times the first
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
worth = {p: one_neuron(p) / (float(theory.variance(torch.tensor(p, dtype=torch.float64))) - one_neuron(p)) for p in (1.0, 0.001)}
half = Weights(torch.tensor([[[1.0]]]), torch.tensor([[[0.4]]]), torch.tensor([[0.4]]))
sampled = computing.sampled_loss(computing.Config(1, 1), half, torch.ones(1), torch.ones(1), run.generator(0, "half"), 50_000)
assert abs(sampled.loss[0] - 1 / 15) < 4 * sampled.error[0]

# %% [markdown]
# So the gain of the second neuron over that of the first, when dense and when sparse:

# %%
page.check("F26.returns", worth[1.0], control={"the same ratio at p = .001, where both halves of a feature are worth the same": worth[0.001]})

# %% [markdown]
# ## A hundred features in forty neurons
#
# Importance $0.8^i$, densities from one to one in a thousand. The model to beat gives the twenty most important features two neurons each and the
# mean to the rest; it costs
#
# $$L_{20} = V(p) \sum_{i \ge 20} 0.8^i .$$
#
# Starts of the first round: this model with a little noise; models in which only the first sixteen, twelve or eight features are laid out so and the
# other neurons are random; and three entirely random ones, with $W_2 = |W_1|$. The second round goes on, at half the rate, from the best start of
# each density, from the best of its denser and of its sparser neighbour, and from the random ones. The lowest loss is kept, and measured once more
# on samples that chose nothing.


# %%
SHARES = (1, 0.8, 0.6, 0.4)  # of the neurons, laid out in pairs from the most important feature on
RANDOM = 3


def layout(cfg, share, p):
    """Start weights: two neurons for each of the first features, the other neurons random; noise on everything."""
    config, k = computing.Config(cfg.features, cfg.hidden), round(share * cfg.hidden / 2)
    random = computing.initial(config, [run.generator(0, "layout", share)])
    pairs = computing.dedicated(config, p, k)
    free = torch.ones(cfg.features, cfg.hidden)
    free[:k], free[:, : 2 * k] = 0, 0
    noise = 0.02 * torch.randn(free.shape, generator=run.generator(0, "noise", share))
    b = pairs.b * (1.0 if share == 1 else 0.0)
    return Weights(pairs.W1 + free * random.W1 + noise, pairs.W2 + free * random.W2, b)


def joined(models):
    return Weights(*(torch.cat(parts) for parts in zip(*models, strict=True)))


# %% [markdown]
# Both rounds, for all densities and starts side by side. Two sets of fresh samples are kept apart: one chooses, the other reports.


# %%
def train_large(cfg):
    """Two rounds at every density; candidates of the second, their losses on two samples, and random starts without revival."""
    config, importance, p = computing.Config(cfg.features, cfg.hidden), 0.8 ** torch.arange(cfg.features), torch.tensor(cfg.densities)
    n, first, second = len(p), train.Schedule(cfg.steps, 128, 0.01), train.Schedule(cfg.steps, 128, 0.005)
    random = [computing.initial(config, [run.generator(k, "large")]).at([0] * n) for k in range(RANDOM)]
    starts = joined([layout(cfg, share, p) for share in SHARES] + random)
    kinds = len(SHARES) + RANDOM
    fitted = computing.fit(config, starts, p.repeat(kinds), importance, first, run.generator(0, "first", device=run.device()), revive=1.0)
    loss = computing.sampled_loss(
        config, fitted, p.repeat(kinds), importance, run.generator(0, "choose", device=run.device()), cfg.samples // 2
    ).loss.view(kinds, n)
    own = loss.argmin(0) * n + torch.arange(n)
    picked = torch.cat([own, own.roll(1), own.roll(-1), torch.arange(len(SHARES) * n, kinds * n)])
    fitted = computing.fit(config, fitted.at(picked), p.repeat(3 + RANDOM), importance, second, run.generator(0, "second", device=run.device()))
    chosen_on, fresh = (
        computing.sampled_loss(config, fitted, p.repeat(3 + RANDOM), importance, run.generator(0, name, device=run.device()), cfg.samples)
        for name in ("select", "report")
    )
    dead = computing.fit(config, random[0], p, importance, first, run.generator(0, "first", device=run.device()))
    dead_loss = computing.sampled_loss(config, dead, p, importance, run.generator(0, "report", device=run.device()), cfg.samples // 2).loss
    losses = {"first": loss, "choose": chosen_on.loss, "loss": fresh.loss, "error": fresh.error, "dead_loss": dead_loss}
    return losses | dict(zip(("W1", "W2", "b"), fitted, strict=True))


large = memo.memo(train_large, cfg)

# %% [markdown]
# ### Why replications fall short
#
# An output whose preactivation is negative for every sample has no gradient, and never comes back. When features are sparse most samples say of an
# output that it should be 0, so while everything still interferes with everything the outputs are pushed down, and one after the other dies. The
# remedy is to let the gradient of an output pass while its *own* feature is active. A finished model hardly has a sample where that makes a
# difference, and the second round does without.
#
# The control trains in the manner of existing replications: independent random $W_1, W_2$, AdamW with weight decay a tenth, rate one hundredth,
# plain samples, 512 at a time.


# %%
def train_plain(cfg):
    """AdamW and autograd on plain samples at the sparse densities."""
    config, importance = computing.Config(cfg.features, cfg.hidden), 0.8 ** torch.arange(cfg.features)
    device = run.device()
    p, stream = torch.tensor([d for d in cfg.densities if d <= 0.03], device=device), run.generator(0, "plain", device=device)
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
# Now the losses, in units of the explicit model.

# %%
n, p = len(cfg.densities), torch.tensor(cfg.densities)
importance = 0.8 ** torch.arange(cfg.features)
L20 = theory.variance(p) * importance[cfg.hidden // 2 :].sum()
ratio = (large["loss"] / L20.repeat(3 + RANDOM)).view(-1, n)  # (candidates, densities), on samples that chose nothing
winner = large["choose"].view(-1, n).argmin(0)
lowest = ratio.gather(0, winner[None])[0]
shares = [f"{round(share * cfg.hidden / 2)} in pairs" for share in SHARES] + ["random"] * RANDOM
origin = [shares[k] for k in large["first"].argmin(0)]
begun = [
    origin,
    [origin[(k - 1) % n] + " (denser)" for k in range(n)],
    [origin[(k + 1) % n] + " (sparser)" for k in range(n)],
    *[["random"] * n] * RANDOM,
]
won = [begun[c][k] for k, c in enumerate(winner.tolist())]
plain_ratio = plain["loss"] / L20[p <= 0.031]
{"p": cfg.densities, "L/L20": lowest, "start": won, "noise": large["error"].view(-1, n)[0] / L20, "as in replications": plain_ratio}

# %% [markdown]
# The claim that everything else rests on: no picture is drawn of a model that loses to the explicit one. It is a bound on the worst density.

# %%
dead_ratio = (large["dead_loss"] / L20)[-2:]
page.check("F27.loss", lowest.max(), control={"training as in replications, densities from .03 on": plain_ratio})

# %% [markdown]
# And the cause of the shortfall, by changing nothing but the revival. The random starts are the same, and so are their samples.

# %%
page.check("F27.revival", ratio[-RANDOM:, -2:].flatten(), control={"the first of these starts, same samples, without revival": dead_ratio})

# %% [markdown]
# So from some density on superposition is not only what training finds but what is cheaper, by far when features are sparse. Below, in the upper row
# the models of the lowest loss, in the lower row the best from a random start; a title says how many features were laid out in pairs at the start,
# and whether the second round came from a neighbouring density. Colour is again interference, now of $|W_1|$: two features on the same
# neurons interfere whatever their signs, because each neuron is rectified before it is read.


# %%
def sorted_by_importance(W1):
    """Neurons by the index of their largest feature, which is the order of importance; live ones first."""
    size = W1.abs()
    return size.gather(-1, (size.argmax(-2) + 1000 * (size.amax(-2) < 0.01)).argsort(-1)[:, None].expand_as(size))


weights = computing.rescaled(Weights(large["W1"], large["W2"], large["b"]))
size = sorted_by_importance(weights.W1).unflatten(0, (-1, n))  # (candidates, densities, F, H)
kinds = computing.neurons(size)
fraction = kinds.mono.sum(-1) / (kinds.mono | kinds.poly).sum(-1)
shared = interference(size)

# %% [markdown]
# A panel per density, twice:

# %%
random_best = len(ratio) - RANDOM + large["choose"].view(-1, n)[-RANDOM:].argmin(0)


def panel(c, k, start):
    title = f"p = {cfg.densities[k]:g}\nfrom {start}\nL / L20 = {ratio[c, k]:.2f}\n{fraction[c, k]:.0%} monosemantic"
    return plots.Stack(title, *(t[c, k].numpy() for t in (size, shared, kinds.mono, kinds.poly)))


rows = [panel(c, k, won[k]) for k, c in enumerate(winner.tolist())] + [panel(c, k, "random") for k, c in enumerate(random_best.tolist())]
figure = plots.neuron_stacks(rows, n)
numbers = {"p": p, "L/L20": ratio, "winner": winner, "start": won, "monosemantic": fraction, "first round L/L20": large["first"] / L20}
page.save_figure(figure, "F27_absolute_value_100", numbers)

# %% [markdown]
# Dense models are the explicit one. At the sparse end the two rows part. Random starts give what the paper shows, a model in which every neuron
# serves several features. It does beat the explicit model, and still it is not the best: cheaper ones keep the most important features on neurons of
# their own, and put everything else into superposition.

# %%
best_fraction = fraction.gather(0, winner[None])[0]
random_fraction = fraction[-RANDOM:]
page.check("F27.dense", best_fraction[p > 0.2].min(), control={"random starts at the sparsest density": random_fraction[:, -1]})

# %% [markdown]
# Then the fall in between, for the models of the lowest loss.

# %%
page.check("F27.falls", best_fraction.diff().max(), control={"the densities in reverse": best_fraction.flip(0).diff().max()})

# %% [markdown]
# At the sparse end the paper's sentence is about trained models, and of those from random starts it is true. Of the cheapest model it is not. On
# top of the large weights of its first neurons lie many small ones, so the count is by a strict threshold here, a tenth instead of three.

# %%
strict_kinds = computing.neurons(size, sharp)
strict = strict_kinds.mono.sum(-1) / (strict_kinds.mono | strict_kinds.poly).sum(-1)
page.check("F27.all_shared", strict[winner[-1], -1], control={"the share without sparsity": strict[winner[0], 0]}, witness=strict[-RANDOM:, -1])

# %% [markdown]
# The price of that is not noise. All three random starts had two rounds of the same length as the others.

# %%
page.check(
    "F27.price",
    ratio[-RANDOM:, -1] / lowest[-1],
    control={
        "the best model on two samples": (
            large["choose"].view(-1, n).gather(0, winner[None])[0] / large["loss"].view(-1, n).gather(0, winner[None])[0]
        )[-1]
    },
)

# %% [markdown]
# ## One density, closely
#
# Numbers are features by importance, written where a weight is more than three tenths of its neuron's largest. Mono- and polysemantic neurons live in
# one model, and it is the important features that have neurons of their own.

# %%
k = cfg.densities.index(cfg.shown)
here = winner[k], k
one_size, one_mono, one_poly = size[here], kinds.mono[here], kinds.poly[here]
title = f"p = {cfg.shown:g}: L / L20 = {lowest[k]:.2f}, {fraction[here]:.0%} of the neurons monosemantic"
figure = plots.mixed_neurons(plots.Stack(title, *(t.numpy() for t in (one_size, shared[here], one_mono, one_poly))))
page.save_figure(figure, "F28_mixed_neurons", {"p": cfg.shown, "size": one_size, "monosemantic": one_mono})


# %% [markdown]
# A number for how the two kinds differ: the mean index, hence importance, of the largest feature of a neuron.


# %%
def shares_of(c, k):
    return torch.stack([kinds.mono[c, k], kinds.poly[c, k]]).double().mean(-1).min()


def rank_gap(mono, poly):
    """Mean index of the largest feature, polysemantic minus monosemantic neurons."""
    rank = one_size.argmax(0).double()
    return rank[poly].mean() - rank[mono].mean()


shuffles = [torch.randperm(cfg.hidden, generator=run.generator(i, "shuffle")) for i in range(5)]

# %% [markdown]
# Both kinds are there in numbers.

# %%
page.check("F28.both", shares_of(winner[k], k), control={"the model without sparsity": shares_of(winner[0], 0)})

# %% [markdown]
# And which neuron is of which kind is no accident.

# %%
page.check(
    "F28.rank",
    rank_gap(one_mono, one_poly),
    control={"kinds shuffled over the neurons, five times": [rank_gap(one_mono[i], one_poly[i]) for i in shuffles]},
)

# %% [markdown]
# ## Asymmetric superposition
#
# Six features in ten neurons, importance $0.7^i$, one in five active. Twelve neurons would do for everybody. How can a big and a small feature share
# a neuron? The paper found a motif: the big one enters with a large weight and leaves with a small one, the small one enters with a small weight and
# leaves with a large one. Then the small feature hardly disturbs the big one; and where the big one disturbs the small, a companion neuron that
# fires for the big feature takes it off again.
#
# The detector asks for the three parts: incoming weights at least two to one, outgoing ones the other way round, and a companion that fires for the
# same sign of the big feature and subtracts at least one.

# %%
sparse = computing.rescaled(Weights(few["shared_W1"], few["shared_W2"], few["shared_b"]))
found = computing.motifs(sparse)
hit = found.flatten(1).any(1).double()
rank = few["shared_loss"].argsort()
fifth = len(rank) // 5


def companion_of(i, a, big, little):
    """The neuron that fires with a on the big feature and takes most off the little one; and how purely it listens to the big one."""
    W1, W2 = sparse.W1[i], sparse.W2[i]
    taken = torch.where(W1[big].sign() == W1[big, a].sign(), W1[big].abs() * W2[little], 0.0)
    return int(taken.argmin()), float(W1[big, taken.argmin()].abs())


best_fifth = set(rank[:fifth].tolist())
index, neuron, big, little = max(found.nonzero().tolist(), key=lambda one: (one[0] in best_fifth, companion_of(*one)[1]))
W1, W2 = sparse.W1[index], sparse.W2[index]
figure = plots.motif(W1.numpy(), W2.numpy(), neuron, companion_of(index, neuron, big, little)[0], big, little)
page.save_figure(figure, "F29_asymmetric_motif", {"W1": W1, "W2": W2, "neuron": neuron, "big": big, "small": little, "hit rate": hit.mean()})

# %% [markdown]
# The model drawn is, among the fifth of the lowest loss, the one whose companion listens most purely to the big feature. One model proves little,
# so here is how often the motif occurs, and in which models. The control gives every output the weights of another.

# %%
wrong = computing.motifs(sparse._replace(W2=sparse.W2.roll(1, 1))).flatten(1).any(1).double()
page.check("F29.rate", hit.mean(), control={"the same models, outputs exchanged": wrong.mean()})

# %% [markdown]
# More telling than the rate is where it occurs.

# %%
page.check("F29.good", hit[rank[:fifth]].mean(), control={"the fifth of the highest loss": hit[rank[-fifth:]].mean()})

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
figure = plots.compression(width, errors, linear, at, stairs)
page.save_figure(figure, "F31_nonlinear_compression", {"width": width, "linear": linear} | errors)

# %% [markdown]
# Ramps of a tenth of a step and three steps beat every linear code. Where the ramps stand matters as well as how wide they are: centred on the
# steps they cost little more than half, since what a ramp shifts is then shifted to both sides.

# %%
page.check("F31.beats", compression_error(3, 0.1) * 12, control={"ramps as wide as a step: the code is linear": compression_error(3, 1.0) * 12})

# %% [markdown]
# The other end of the curve is known: with a true staircase only the rounding of $x$ is left.

# %%
page.check("F31.ideal", compression_error(3, 1e-9) * 12 * 9, control={"ramps of a tenth": compression_error(3, 0.1) * 12 * 9})

# %% [markdown]
# And the placing of the ramps:

# %%
page.check(
    "F31.centred",
    compression_error(3, 0.1, 0.5) / compression_error(3, 0.1),
    control={"ramps behind the steps, the mirror image": compression_error(3, 0.1, 0.0) / compression_error(3, 0.1)},
)

# %% [markdown]
# ## Limits
#
# - The lowest loss found is an upper bound of the optimum, and these models are still improving: six times the steps, tried once, more than
#   halved the loss at the sparsest density. Random starts then took on some neurons of one feature too, and still cost more than the others.
# - When dense, the explicit model seems to be the optimum; that is supported by every start ending at it or above it, and not proved.
# - A neuron counts as monosemantic by a threshold on its incoming weights. The titles of the large figure use three tenths
#   of its largest; by a tenth fewer count as monosemantic at the sparse end, and the order of the panels stays.
# - Importances fall by a fixed factor in every model here. Equal ones would leave no feature that deserves a neuron of its own.

# %%
page.close()
