# %% [markdown]
# # 4. Learning dynamics
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/04_learning_dynamics.ipynb)
#
# **Pages** [← 3b. Features that differ, and features that occur together](03b_correlated_features.ipynb) · [Start here](00_start_here.ipynb) · [5. Superposition makes a model easier to attack →](05_adversarial_vulnerability.ipynb)
#
# The pages before this one looked at trained networks. Here you watch them on the way. A network with ten hidden dimensions first spreads them
# evenly over a hundred features; then twenty features push the other eighty out, and what one feature gains another loses. A second network
# first learns two groups of features as one direction each; then each group opens like an umbrella, and the loss curve shows both as steps.
#
# **You will** write a training loop that records its path · watch features compete for dimensions, with a slider over the training step · see why
# the sum of all shares cannot grow · make a mistake with Adam on purpose · compute the plateaus of a loss curve by hand · turn a network
# in space to see its feature vectors open.
#
# **Needs** PyTorch's optimisers; [page 1](01_demonstrating_superposition.ipynb) for the model, [page 3](03_superposition_geometry.ipynb) for
# dimensionality. **Takes** a minute or two at `laptop` on two cores (others: [start here](00_start_here.ipynb#profiles)).
#
# **Paper** Elhage et al. 2022, *Toy Models of Superposition*, ["Superposition and Learning
# Dynamics"](https://transformer-circuits.pub/2022/toy_model/index.html#learning).
#
# **On this page** [1 A training loop that records its path](#loop) · [2 Jumps between levels](#jumps) · [3 A fixed budget of dimensions](#budget) · [4 A mistake to know: a new optimiser in every step](#optimiser) · [5 Two sets of features, and what their loss can be](#sets) · [6 Learning as unfolding](#unfolding) · [7 Where runs end](#ends) · [8 Your turn](#your-turn) · [9 Limits](#limits) · [10 What was checked](#checked)

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

import numpy as np
import torch

from companion import claims, memo, run
from companion.plots import dynamics as plots
from companion.plots import widgets
from companion.toy import data, exact, geometry, model, theory, train

claims.opening("04_learning_dynamics")


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    features: int  # n of the model that shows jumps
    hidden: int  # m
    density: float
    start: float  # of its initial weights, in units of the usual scale
    seeds: int
    steps: int
    batch: int
    rate: float
    checkpoints: int  # log-spaced
    set_density: float  # p of the two correlated sets
    set_start: float  # standard deviation of their initial weights
    starts: int  # of the exact descent, per seed
    set_steps: int
    set_rate: float
    few: int  # independent features: starts


cfg = run.choose(
    quick=Config(30, 3, 0.45, 0.1, 2, 500, 64, 0.01, 50, 0.01, 0.02, 4, 300, 0.03, 2),
    laptop=Config(100, 10, 0.45, 0.1, 5, 4000, 128, 0.003, 140, 0.01, 0.02, 20, 1500, 0.01, 10),
    paper=Config(100, 10, 0.45, 0.1, 8, 100_000, 512, 0.001, 300, 0.01, 0.02, 64, 6000, 0.003, 24),
)
page = claims.Page("04_learning_dynamics", cfg)
F64 = torch.float64


def log_spaced(steps, count):
    return sorted(set(np.geomspace(1, steps - 1, count).astype(int).tolist()))


cfg

# %% [markdown]
# <a id="loop"></a>
# ## 1 A training loop that records its path
#
# Data, model and loss are those of page 1: [independent features](01_demonstrating_superposition.ipynb#data), each active with probability $p$
# and then uniform between 0 and 1; [the network](01_demonstrating_superposition.ipynb#model) $x' = \mathrm{relu}(W W^\top x + b)$, row $W_i$ the
# direction of feature $i$; the squared error, all features equally important. Three things are new: the initial weights are small, so that
# nothing is decided at the start; the weights are recorded before every step; and the network is written around the mean input $p/2$,
#
# $$x' = \mathrm{relu}\bigl(W W^\top (x - \tfrac p2) + c\bigr), \qquad b = c - \tfrac p2\, W W^\top (1, \dots, 1)^\top .$$
#
# It is the same network with another name for its bias. It learns much faster this way: all features share the mean, so that the direction
# $(1, \dots, 1)$ of the input is far larger than any other, and Adam would spend most of its steps on it.


# %%
def sample(batch, n, p, generator):
    active = torch.rand(batch, n, generator=generator) < p
    return active * torch.rand(batch, n, generator=generator)  # (batch, n)


def plain_training(n, m, p, seed, steps=600, centred=True, new_optimiser=torch.optim.Adam):
    generator = run.generator(seed, "plain loop")
    W = 0.1 * math.sqrt(2 / (n + m)) * torch.randn(n, m, generator=generator)
    W, c, path = W.requires_grad_(), torch.zeros(n, requires_grad=True), []
    mean = p / 2 if centred else 0
    optimiser = new_optimiser([W, c], lr=0.01)
    for _ in range(steps):
        path.append(W.detach().clone())
        x = sample(128, n, p, generator)
        out = torch.relu((x - mean) @ W @ W.T + c)  # (batch, n)
        loss = (x - out).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    b = (c - mean * W @ W.sum(0)).detach()
    return W.detach(), b, torch.stack(path)  # (n, m), (n,), (steps, n, m)


W_plain, b_plain, path_plain = plain_training(n=20, m=2, p=0.45, seed=0)

# %% [markdown]
# To see how the hidden dimensions are divided among the features we need the *dimensionality* of a feature,
#
# $$D_i = \frac{\lVert W_i \rVert^2}{\sum_j (\hat W_i \cdot W_j)^2}, \qquad \hat W_i = W_i / \lVert W_i \rVert .$$
#
# The denominator counts everything that lies on the direction of feature $i$, the numerator feature $i$ itself. So $D_i$ is the share of a dimension
# that the feature has to itself: 1 if no other feature uses its direction, $\frac12$ if a second feature lies exactly opposite, as in an antipodal
# pair, 0 if the feature is not stored.


# %%
def dimensionality(W):  # (n, m) -> (n,)
    unit = W / W.norm(dim=1, keepdim=True)
    return W.square().sum(1) / (unit @ W.T).square().sum(1)


alone_and_pair = torch.tensor([[1.0, 0], [0, 1.0], [0, -1.0]])
assert torch.allclose(dimensionality(alone_and_pair), torch.tensor([1.0, 0.5, 0.5]))
assert torch.allclose(dimensionality(W_plain), geometry.dimensionality(W_plain), atol=1e-5)
seen = {f"before step {k}": dimensionality(path_plain[k]) for k in (0, 50, 100, 200, 599)}
{when: [round(value, 2) for value in D.sort(descending=True).values[:6].tolist()] for when, D in seen.items()}

# %% [markdown]
# The cell prints the six largest of the twenty $D_i$ at five moments. At the density used here, $p = 0.45$, the best use of a dimension is an
# antipodal pair ([page 3](03_superposition_geometry.ipynb)): two features on one line, with opposite directions. Two dimensions hold two pairs, so
# in the end four features have $\frac12$ each and sixteen have nothing. For the first hundred steps the two dimensions are spread over many
# features. Section 2 follows how pairs come out of that, in a larger network.
#
# That experiment needs a faster loop, for several seeds at once. `learn` differs from the loop above in points that move no minimum: it draws no
# samples of zeros (their loss is known), it divides the loss by the variance of a feature, $V(p) = p/3 - p^2/4$, it computes the gradient by hand,
# and its Adam has another $\beta_2$ and a rate that falls to zero along a cosine. A stream in the code is a random generator; in the shapes, S counts
# these generators, K the steps whose weights are kept, F the features and H the hidden dimensions. `fresh` is a mistake that section 4 makes on
# purpose.


# %%
def learn(config, streams, schedule, p, fresh=False):
    """W and b before each of the kept steps, for one model per stream: (S, K, F, H) and (S, K, F)."""
    W, centre = (schedule.start * t for t in model.initial(config, streams))
    density, weight, kept = (
        torch.full((len(W),), p, device=W.device),
        torch.ones(config.features, device=W.device),
        [],
    )
    optimiser = torch.optim.Adam([W, centre], lr=schedule.rate, betas=(0.9, 0.99), fused=True)
    for step in range(schedule.steps):
        if step in schedule.kept:
            kept.append((W.clone(), train.bias_of(W, centre, density)))
        if fresh:
            optimiser = torch.optim.Adam([W, centre], lr=schedule.rate, betas=(0.9, 0.99), fused=True)
        drawn = [data.INDEPENDENT.uniforms(config.features, schedule.batch, stream) for stream in streams]
        x = torch.cat([data.INDEPENDENT.sample(uniforms, density[:1]) for uniforms in drawn])
        W.grad, centre.grad = train.scaled_gradient(
            W,
            centre,
            train.Batch(x, density, weight, relu=config.relu),
        )
        optimiser.param_groups[0]["lr"] = schedule.rate * (1 + math.cos(math.pi * step / schedule.steps)) / 2
        optimiser.step()
    return tuple(torch.stack(each, 1) for each in zip(*kept, strict=True))


# %% [markdown]
# Does it do the same? Two tests. On the same random numbers `learn` must give exactly the weights of the package's trainer, which the other pages
# use. And it must reach the loss that the plain loop reached. The two saw different random numbers, so there we allow a difference of three per
# cent.

# %%
tiny, brief = model.Config(8, 2), train.Schedule(3, 16, 0.01, start=0.1, kept=(0, 1, 2))
two = [[run.generator(seed, "check") for seed in range(2)] for _ in range(2)]
by_hand, _ = learn(tiny, two[0], brief, 0.45)
by_package = train.fit(tiny, torch.tensor([0.45]), two[1], brief)
assert torch.allclose(by_hand.transpose(0, 1), by_package.W_at, atol=1e-6)


def loss_in_V(W, b, p=0.45):  # (n, m), (n,) -> one number
    density = torch.tensor([p])
    loss = train.sampled_loss(W[None], b[None], density, run.generator(0, "compare"), 10_000)
    return (loss / data.variance(density)).item()


last = train.Schedule(601, 128, 0.01, start=0.1, kept=(600,))
W_fast, b_fast = learn(model.Config(20, 2), [run.generator(0, "fast")], last, 0.45)
both = {"plain": loss_in_V(W_plain, b_plain), "fast": loss_in_V(W_fast[0, 0], b_fast[0, 0])}
assert abs(both["plain"] / both["fast"] - 1) < 0.03
both

# %% [markdown]
# Losses are in units of $V(p)$, what it costs to leave one feature out, so the number is close to the number of features that are missing.
#
# **What differs from the paper.**
# - The paper states neither the size of the first network nor the density of the second; ours stand in the cell of parameters.
# - Section 3 is ours: a proof that the $D_i$ cannot add up to more than $m$, and a figure of their sum during training.
# - The second network is trained on its *exact* loss from many starts. So no step is due to the noise of samples, and we can count how many runs
#   take which way.
#
# <a id="jumps"></a>
# ## 2 Jumps between levels
#
# Now a hundred features and ten dimensions (at `laptop`), several seeds, and two comparisons: the same network *without* relu on the same
# samples, which cannot use superposition, and one run with the mistake of section 4 on the first seed's samples. Weights are kept at log-spaced
# steps (the *checkpoints*), and in a block of a hundred successive steps for section 4.

# %%
CHECKPOINTS = log_spaced(cfg.steps, cfg.checkpoints)
BLOCK = range(cfg.steps // 2, cfg.steps // 2 + 100)
KEPT = tuple(sorted({*CHECKPOINTS, *BLOCK}))


def train_levels(cfg):
    """Weights on the way (runs, K, F, H) and test losses in units of V(p) (runs, checkpoints)."""
    schedule, found = (
        train.Schedule(cfg.steps, cfg.batch, cfg.rate, start=cfg.start, kept=KEPT),
        {},
    )
    for name, count, relu, fresh in (
        ("ours", cfg.seeds, True, False),
        ("linear", cfg.seeds, False, False),
        ("fresh", 1, True, True),
    ):
        streams = [run.generator(seed, "levels", device=run.device()) for seed in range(count)]
        found[name], b = learn(
            model.Config(cfg.features, cfg.hidden, relu=relu),
            streams,
            schedule,
            cfg.density,
            fresh,
        )
        at = [KEPT.index(step) for step in CHECKPOINTS]
        p = torch.full((len(at),), cfg.density, device=b.device)
        losses = [
            train.sampled_loss(*each, p, run.generator(0, "test", device=run.device()), 1024, relu=relu)
            for each in zip(found[name][:, at], b[:, at], strict=True)
        ]
        found[f"{name} loss"] = torch.stack(losses) / data.variance(p)
    return found


levels = memo.memo(train_levels, cfg)

# %% [markdown]
# From the weights we compute the dimensionality of every feature at every checkpoint. The losses are measured on held-out samples.
#
# In a *swap* one feature gains a share of a dimension while another loses one, both within 15 per cent of the run, measured on the logarithmic axis
# of steps. The width of the swap is the smaller of the two changes. What counts as a *jump* is fixed before we look: a swap at least a fifth of a
# dimension wide. The next cell finds the widest swap of every run; the figure shows the run that has the widest of all, with the steps of that
# swap shaded.

# %%
at = [KEPT.index(step) for step in CHECKPOINTS]
steps = np.array(CHECKPOINTS)
W, loss = levels["ours"][:, at].double(), levels["ours loss"]  # (seeds, K, n, m), (seeds, K)
W_linear, linear_loss = levels["linear"][:, at].double(), levels["linear loss"]
D, linear_D = geometry.dimensionality(W), geometry.dimensionality(W_linear)  # (seeds, K, n)


def widest_swap(D):
    """(size, first and last checkpoint) of the widest swap of one run, D (K, n)."""
    found = []
    for k, step in enumerate(steps):
        last = int(np.searchsorted(steps, step * steps[-1] ** 0.15, side="right")) - 1
        change = D[last] - D[k]
        found.append((min(float(change.max()), -float(change.min())), k, last))
    return max(found)


swaps = [widest_swap(each) for each in D]
shown = int(np.argmax([size for size, _, _ in swaps]))
event = tuple(int(steps[k]) for k in swaps[shown][1:])

gain = float(theory.envelope(torch.tensor([cfg.density], dtype=F64)).gain[1])  # of a pair, per dimension
pairs_only = cfg.features - cfg.hidden * gain  # loss / V of m exact antipodal pairs
curves = (each[shown].numpy() for each in (D, loss, linear_loss))
figure = plots.energy_levels(steps, *curves, pairs_only, event)
kept = int((D[shown, -1] > 0.25).sum())
setting = f"n = {cfg.features}, m = {cfg.hidden}, p = {cfg.density:g}, batch {cfg.batch}, {cfg.steps} steps"
caption = (
    "Look at the dark purple lines: features that climb and then lose their share to others. Above, the "
    f"dimensionality of each of {cfg.features} features, of which {kept} (blue) end at 1/2. Below, the "
    "loss (blue): it falls below that of the same network without relu (grey) when features begin to "
    f"compete. Shaded: the widest swap. {setting}, seed {shown}, the one with the widest swap of "
    f"{cfg.seeds}. The paper's figure shows the same levels and jumps; its sizes are not stated."
)
numbers = {"steps": steps, "D": D[shown], "loss / V": loss[shown], "linear loss / V": linear_loss[shown]}
page.save_figure(figure, "F19_energy_levels", numbers | {"event": event}, caption)

# %% [markdown]
# First the network behaves like the linear one: it comes to use all its dimensions, spreads the features evenly over them, and both losses fall.
# Then the curves part. With the relu a feature can share its line cheaply with *one* other feature that points the opposite way. A feature that is
# a little ahead pushes all others off its line, except for the one that comes to point the opposite way. Some features climb for a while and then
# lose their share to others: these are the swaps.
#
# Move the slider through the same run. On the left are the overlaps $W_i \cdot W_j$ of the features that win in the end, partners side by side: a
# finished pair shows as a block of two red squares (each feature with itself) and two blue ones (the two partners, which are opposite).

# %%
winners = D[shown, -1].argsort(descending=True)[: 2 * cfg.hidden].tolist()
M = W[shown] @ W[shown].mT  # (K, n, n)
partner = {i: min(winners, key=lambda j, i=i: float(M[-1, i, j])) for i in winners}
order = sorted(winners, key=lambda i: (min(i, partner[i]), i))


def at_step(training_step):
    k = int(np.abs(np.log(steps / training_step)).argmin())
    return plots.at_step(steps, D[shown].numpy(), M[k][order][:, order].numpy(), k)


widgets.live(at_step, training_step=widgets.Slider(1, cfg.steps - 1, event[0], log=True))

# %% [markdown]
# Is the end the same for every seed? If all stored features are in pairs, the $2m$ largest $D_i$ are $\frac12$ and all others 0. For each seed we
# measure how far any $D_i$ is from that; the network without relu should be far from it. And we measure the widest swap of each seed, which should
# be at least a fifth of a dimension with relu and less without.


# %%
def off_level(D):
    """Largest distance of the 2m largest D from 1/2, and of the others from 0."""
    ordered = D.sort(descending=True).values
    level = 0.5 * (torch.arange(cfg.features) < 2 * cfg.hidden)
    return (ordered - level).abs().amax(-1)


page.check(
    "F19.pairs",
    off_level(D[:, -1]),
    control={"linear model, same samples": off_level(linear_D[:, -1])},
)
page.check(
    "F19.swap",
    [size for size, _, _ in swaps],
    control={"linear model, same samples": [widest_swap(each)[0] for each in linear_D]},
)

# %% [markdown]
# Every seed ends in pairs, and every seed has a jump on the way. The second verdict is mixed all the same: in another run, with other random
# seeds, all swaps were wide enough too, but their widths differed so much that their median was not two standard deviations above a fifth.
#
# ### Does the loss drop at each jump?
#
# The paper says that it drops suddenly at each of them. In our runs the loss does fall in the windows of steps in which dimensions pass from one
# feature to another. But that alone proves little: all runs settle at about the same time, so the fall of the loss in one run may correlate just as
# well with the swaps of *another* run, which cannot have caused it. The next cell compares the two correlations.


# %%
def windows(D, loss):
    """Dimensions that change hands, and fall of the loss, in every window after the linear stage."""
    began = int((loss.mean(0) < cfg.features - cfg.hidden + 0.5).double().argmax())  # the linear optimum
    ends = [int(np.searchsorted(steps, step * steps[-1] ** 0.15, side="right")) - 1 for step in steps]
    spans = [(k, ends[k]) for k in range(began, len(steps) - 1)]
    moved = torch.stack([(D[:, last] - D[:, k]).abs().sum(-1) / 2 for k, last in spans], -1)
    return moved, torch.stack([loss[:, k] - loss[:, last] for k, last in spans], -1)  # (runs, windows) each


going = np.corrcoef(*windows(D, loss))[: cfg.seeds, cfg.seeds :]  # (seed of the dimensions, seed of the loss)
{
    "correlation, same run": going.diagonal().round(2),
    "with other runs": ((going.sum(1) - going.diagonal()) / (cfg.seeds - 1)).round(2),
}

# %% [markdown]
# The two are about equal. At this size many features settle together, and the correlation does not tell which jump caused which fall. So there
# is no verdict on this sentence of the paper.
#
# <a id="budget"></a>
# ## 3 A fixed budget of dimensions
#
# Why must one feature lose what another gains? Because the $D_i$ have an upper bound whose sum is fixed. Let $A = W^\top W$, an $m \times m$
# matrix. Then $D_i = \lVert W_i \rVert^4 / (W_i^\top A W_i)$, and by the Cauchy-Schwarz inequality
#
# $$\lVert W_i \rVert^4 = \bigl(A^{1/2} W_i \cdot A^{-1/2} W_i\bigr)^2 \le (W_i^\top A W_i)(W_i^\top A^{-1} W_i), \qquad\text{so}\qquad
# D_i \le \ell_i = W_i^\top A^{-1} W_i .$$
#
# Statisticians call $\ell_i$ the *leverage score* of row $i$. Its sum is $\sum_i \ell_i = \mathrm{trace}(A^{-1} W^\top W) = m$, whatever the
# weights. Example: for two orthogonal pairs in the plane all four $D_i$ are $\frac12$, and their sum is 2, the number of dimensions. For three
# vectors of which two lie close together it is less.

# %%
two_pairs = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
two_close = torch.tensor([[1.0, 0], [0.8, 0.6], [0, 1]])
leverage = geometry.leverage(W)
assert float((geometry.dimensionality(W) - leverage).max()) < 1e-9
assert torch.allclose(leverage.sum(-1), torch.tensor(float(cfg.hidden), dtype=F64))
{name: dimensionality(W).sum().item() for name, W in {"two pairs": two_pairs, "two close": two_close}.items()}

# %% [markdown]
# How close do trained networks come to the bound? Stack the $D_i$ of all features on each other. They cannot rise above the line at $m$.

# %%
figure = plots.reallocation(steps, D[shown].numpy(), leverage[shown].numpy(), event)
caption = (
    f"Look at the black line: the sum of all D reaches the number of dimensions, {cfg.hidden}, long "
    "before there is a pair, and stays there while the features below it exchange their shares. Each band "
    "is the D of one feature: blue those that end at 1/2, grey all others. Shaded: the widest swap. "
    f"{setting}, seed {shown}. The paper has no such figure."
)
numbers = {"steps": steps, "sum of D": D[shown].sum(-1), "leverage": leverage[shown].sum(-1)}
page.save_figure(figure, "F19_reallocation", numbers, caption)

# %% [markdown]
# The $D_i$ fill the budget before the losses of the two networks part, and from then on a jump only moves shares from one feature to another. We
# expect the sum during each run's widest swap to stay within 2 per cent of $m$. Before training it should be clearly lower.

# %%
budget = D.sum(-1) / cfg.hidden  # (seeds, K)
during = [budget[seed, k : last + 1] for seed, (_, k, last) in enumerate(swaps)]
page.check(
    "F19.budget",
    [float(each.min()) for each in during],
    control={"the same models before training": budget[:, 0]},
)

# %% [markdown]
# <a id="optimiser"></a>
# ## 4 A mistake to know: a new optimiser in every step
#
# To record a path one may be tempted to call a training function again and again, a few steps at a time. If that function makes its own
# optimiser, the optimiser forgets its past at every call, and with one step per call in every single step. What does
# Adam do without a past?
#
# For every weight Adam keeps a running average of the gradient, $a$, and one of its square, $s$:
#
# $$a \leftarrow \beta_1 a + (1 - \beta_1)\, g, \qquad s \leftarrow \beta_2 s + (1 - \beta_2)\, g^2, \qquad
# \text{step} = - \text{rate} \cdot \frac{a / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)}} .$$
#
# Both averages begin at 0, so after few steps $t$ they are far too small: after the first, $a$ is only $(1 - \beta_1) g$. The divisors $1 -
# \beta^t$ undo exactly this; they are the *bias correction*. In the first step they give $a = g$ and $s = g^2$, and the step is $-\text{rate}
# \cdot g / \lvert g \rvert$: the full rate, against the sign of the gradient, however small the gradient is. Later, gradients of changing sign
# cancel in $a$ but not in $s$, and the steps become short. That is how Adam calms down near a minimum, and it takes a past.


# %%
def adam_by_hand(gradients, rate=0.01, betas=(0.9, 0.99)):
    average, square, moved = 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        average = betas[0] * average + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g**2
        corrected = average / (1 - betas[0] ** t), square / (1 - betas[1] ** t)
        moved.append(-rate * corrected[0] / corrected[1] ** 0.5)
    return moved  # one step per gradient


def adam_of_torch(gradients, rate=0.01, betas=(0.9, 0.99)):
    weight, moved = torch.zeros(1, requires_grad=True, dtype=F64), []
    optimiser = torch.optim.Adam([weight], lr=rate, betas=betas, eps=0)
    for g in gradients:
        before, weight.grad = weight.item(), torch.tensor([g], dtype=F64)
        optimiser.step()
        moved.append(weight.item() - before)
    return moved


changing = [1.0, -1.0] * 20  # a weight near its minimum: the gradient changes its sign in every step
assert np.allclose(adam_by_hand(changing), adam_of_torch(changing))
assert np.allclose([adam_by_hand([g]) for g in (1e-6, 1.0, 1e6)], -0.01)  # the first step: always the rate
{"last step of one optimiser": adam_by_hand(changing)[-1], "of a new one": adam_by_hand(changing[-1:])[0]}

# %% [markdown]
# So we expect that with a new optimiser every weight of the network moves by the full rate in every step. The next cell checks this on the small
# network of section 1. Then two runs of section 2 show what it does to the dimensionalities: same samples, same rate, a hundred successive steps
# in the middle of the run.

# %%
third = [run.generator(seed, "check") for seed in range(2)]
mistaken_weights, _ = learn(tiny, third, brief, 0.45, fresh=True)
moved = (mistaken_weights[:, 1] - mistaken_weights[:, 0]).abs()
assert torch.allclose(moved, torch.full((2, 8, 2), 0.01), rtol=1e-2)

block = [KEPT.index(step) for step in BLOCK]
in_block = (levels[name][:, block].double() for name in ("ours", "fresh"))
successive, mistaken = map(geometry.dimensionality, in_block)
runs = {"one optimiser": successive[0].numpy(), "a new one in every step": mistaken[0].numpy()}
caption = (
    "Compare how smooth the lines are: the same network on the same samples, with one optimiser for the "
    "run (left) and a new one in every step (right). Lines are the D of the features near 1/2 in steps "
    f"{BLOCK[0]} to {BLOCK[-1]}. {setting}, rate {cfg.rate:g}, seed 0. The paper has no such figure."
)
numbers = {"steps": list(BLOCK), "one": successive[0], "fresh": mistaken[0]}
page.save_figure(plots.jitter(np.array(BLOCK), runs), "F19_fresh_optimiser", numbers, caption)

# %% [markdown]
# As a number: the largest change of a $D_i$ from one step to the next, averaged over the block and divided by the rate. It should be clearly
# smaller with one optimiser.


# %%
def shake(D):
    """Mean over steps of the largest change of a D, per unit of rate: (runs,)."""
    return D.diff(dim=1).abs().amax(-1).mean(-1) / cfg.rate


page.check(
    "F19.optimiser",
    shake(successive),
    control={"a new optimiser in every step, same samples and rate": shake(mistaken)},
)

# %% [markdown]
# It is. In the figure the features of both runs are at the level $\frac12$, so the mistake does not show in *which* level they reach. It shows in
# the path, which is that of another algorithm, and this page is about paths.
#
# <a id="sets"></a>
# ## 5 Two sets of features, and what their loss can be
#
# The second experiment has a richer geometry. Six features come in two sets of three. With probability $p$ a set is active, and then all three of
# its features are, with independent values between 0 and 1. The network has three hidden dimensions. Let us look at some samples, denser than
# those of the experiment so that there is something to see.


# %%
def sample_sets(batch, p, generator):
    active = torch.rand(batch, 2, generator=generator) < p  # one coin per set
    return active.repeat_interleave(3, dim=1) * torch.rand(batch, 6, generator=generator)  # (batch, 6)


sample_sets(5, 0.5, run.generator(0, "look"))

# %% [markdown]
# What can the network do with three dimensions? Four states have losses that can be computed by hand (the biases are 0 in all of them).
#
# - **Nothing stored**: each of six features loses $\mathbb{E} x_i^2 = p/3$, in all $2p$.
# - **Collapsed**: each set is stored as one direction. The mean of a set's three values is recovered and their differences are not. A uniform
#   number has variance $\frac1{12}$; of three of them the mean is known, which leaves $\frac23$ of the variance: $3 \cdot \frac1{12} \cdot \frac23
#   \cdot p = p/6$ per set, $p/3$ in all. That is exact if the two directions are orthogonal. If they are opposite, a small term in $p^2$ is added,
#   for both sets active at once.
# - **Octahedron**: three antipodal pairs on three axes, partners from *different* sets. If one set is active, it is recovered perfectly. There is a
#   loss only if both are, which happens with probability $p^2$; it is 1 on average.
# - **Prism**: the octahedron with the three vectors of one set (its *triple*) turned by 60 degrees against the other triple, so that every corner of
#   one is opposite a gap of the other. Then one active set also activates the features of the other a little: $p^2 + p/360$.
#
# We build these states and compare with the exact loss, which needs no samples (how: [page 2](02_phase_change.ipynb)).

# %%
I3, one = torch.eye(3, dtype=F64), torch.ones(3, 3, dtype=F64)
octahedron = torch.cat([I3, -I3])
prism = torch.cat([I3, I3 - 2 / 3 * one])  # the second triple mirrored in the plane across (1, 1, 1)
opposite = torch.cat([one, -one]) / 3  # collapsed
across = torch.tensor([[1.0, -1.0, 0.0]], dtype=F64).expand(3, 3) / math.sqrt(6)
orthogonal = torch.cat([one / 3, across])  # collapsed
states = {"nothing stored": 0 * octahedron, "collapsed, orthogonal": orthogonal}
states |= {"collapsed, opposite": opposite, "prism": prism, "octahedron": octahedron}
p = torch.full((5,), cfg.set_density, dtype=F64)
by_hand = torch.stack([2 * p[0], p[0] / 3, p[0] / 3, p[0] ** 2 + p[0] / 360, p[0] ** 2])
law, no_bias = data.Correlated(3).law(p, 6), torch.zeros(5, 6, dtype=F64)
computed = exact.loss(torch.stack([*states.values()]), no_bias, law)
assert torch.allclose(computed[[0, 1, 3, 4]], by_hand[[0, 1, 3, 4]], rtol=1e-6)
assert abs(computed[2] - by_hand[2]) < 5 * p[0] ** 2
dict(zip(states, (computed / p).tolist(), strict=True))

# %% [markdown]
# The numbers are losses divided by $p$. They fall by large factors from nothing stored to collapsed and from there to the prism; between prism and
# octahedron there is little. Keep these levels in mind: the loss curve will rest on them.
#
# <a id="unfolding"></a>
# ## 6 Learning as unfolding
#
# The loop is Adam on the exact loss, from many small random starts side by side. There are no samples, so runs differ by their initial weights
# alone.


# %%
def descend(W, b, law, steps, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()  # (runs, 6, 3), (runs, 6)
    adam = torch.optim.Adam([W, b], lr=rate, betas=(0.9, 0.99))
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        loss = exact.loss(W, b, law)  # (runs,): expected, not sampled
        adam.zero_grad()
        (loss / (2 * cfg.set_density)).sum().backward()  # divided by E |x|^2, so that steps have a size
        adam.step()
    return W.detach()


streams = [run.generator(seed, "sets") for seed in range(cfg.seeds)]
small = [cfg.set_start * torch.randn(cfg.starts, 6, 3, generator=stream, dtype=F64) for stream in streams]
starts = torch.cat(small)  # (runs, 6, 3)
law = data.Correlated(3).law(torch.full((3,), cfg.set_density, dtype=F64), 6)
first_three = starts[:3], torch.zeros(3, 6, dtype=F64), law
by_hand = descend(*first_three, steps=20, rate=0.01)
assert torch.allclose(by_hand, exact.descend(*first_three, steps=20, rate=0.01).W)

# %% [markdown]
# `exact.descend` of the package is this loop, and keeps weights and losses at chosen steps. We run it in three cases: the two sets from the small
# random starts; starts right beside the prism, and one exactly on it; and, for comparison, six *independent* features of the same density.


# %%
def follow(case):
    """Exact descents from the starts of one case, and what they were on the way."""
    starts, source, steps, rate, kept = case
    law = source.law(torch.full((len(starts),), cfg.set_density, dtype=F64), 6)
    zero = torch.zeros(len(starts), 6, dtype=F64)
    return exact.descend(starts, zero, law, steps=steps, rate=rate, kept=kept)._asdict()


set_steps, few_steps = (log_spaced(steps, cfg.checkpoints) for steps in (cfg.set_steps, cfg.set_steps // 3))
beside = [prism] + [prism + 0.001 * torch.randn(6, 3, generator=stream, dtype=F64) for stream in streams]
sets = memo.memo(follow, (starts, data.Correlated(3), cfg.set_steps, cfg.set_rate, tuple(set_steps)))
beside = (torch.stack(beside), data.Correlated(3), cfg.set_steps // 2, cfg.set_rate, ())
near_prism = memo.memo(follow, beside)
alone = (starts[: cfg.few], data.INDEPENDENT, cfg.set_steps // 3, 3 * cfg.set_rate, tuple(few_steps))
independent = memo.memo(follow, alone)

# %% [markdown]
# To say which state a run is in we use cosines. Match every feature with one of the other set so that the pairs are as opposite as they can be
# (three features have six matchings). The mean cosine of these partners is $-1$ for the octahedron and $-\frac23$ for the prism.
#
# A run is counted as an octahedron if every partner is opposite and the features within a set are orthogonal, with a little slack.


# %%
def cosines(W):
    unit = W / W.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return unit @ unit.mT


def partners(W):  # (..., 6, 3) -> (..., 3): cosines of the best matching of the two sets
    across = cosines(W)[..., :3, 3:]
    matchings = [across[..., range(3), order] for order in itertools.permutations(range(3))]
    matchings = torch.stack(matchings, -2)  # (..., 6, 3)
    best = matchings.sum(-1).argmin(-1)
    return matchings.gather(-2, best[..., None, None].expand(*best.shape, 1, 3))[..., 0, :]


assert torch.allclose(partners(octahedron), -torch.ones(3, dtype=F64))
assert torch.allclose(partners(prism), torch.full((3,), -2 / 3, dtype=F64))


def within(W):  # (..., 6, 3) -> (...,): largest |cosine| inside a set
    c = cosines(W)
    blocks = torch.stack([c[..., :3, :3], c[..., 3:, 3:]], -3)
    return (blocks - I3 * blocks).abs().amax((-1, -2, -3))


def is_octahedron(W):
    return (partners(W).amax(-1) < -0.97) & (within(W) < 0.1)


assert is_octahedron(torch.stack([octahedron, prism])).tolist() == [True, False]

# %% [markdown]
# For the figure we mark five moments of a run: A the start, B the sets have collapsed, C they begin to open, D they have opened, E the end. Of all
# runs two are drawn: the one that is closest to the octahedron at D, and the one that is closest to the prism.

# %%
set_steps, p0 = np.array(set_steps), cfg.set_density
relative = sets["loss_at"] / p0  # (T, runs)


def first(condition):  # (T, runs) -> first kept step where it holds, per run
    return condition.double().argmax(0)


opened = first(relative < 1.3 * p0)
end = 0 * opened + len(set_steps) - 1
stages = torch.stack([0 * opened, first(relative < 0.35), first(relative < 0.3), opened, end], 1)
on_the_way = partners(sets["W_at"]).mean(-1)  # (T, runs)
arrival = on_the_way[opened, torch.arange(len(opened))]
drawn = {"straight to the octahedron": int(arrival.argmin()), "by way of the prism": int(arrival.argmax())}


def axis_up(path, at):
    """The path turned, as a whole, so that the axis between the two sets at `at` points upwards."""
    return geometry.upright(path, (path[at, :3] - path[at, 3:]).sum(0), I3[0])


upright = {title: axis_up(sets["W_at"][:, run], stages[run, 3]).numpy() for title, run in drawn.items()}
paths = [(title, run, upright[title], stages[run].tolist()) for title, run in drawn.items()]
names = {"sets collapsed, p/3": 1 / 3, "prism, p² + p/360": p0 + 1 / 360, "octahedron, p²": p0}
figure = plots.unfolding(set_steps, relative.numpy(), names, paths)
caption = (
    "Look at the loss first: it rests on the levels computed by hand (dashed). Above, the exact loss of "
    f"{len(starts)} runs (grey), two of them in colour; below, the six features of these two at moments A "
    f"to E, dark blue and rose for the two sets. n = 6, m = 3, p = {p0:g}, {cfg.set_steps} steps of exact "
    f"descent, rate {cfg.set_rate:g}. The paper's figure shows one training curve with the same kind of "
    "stages; its density is not stated."
)
numbers = {"steps": set_steps, "exact loss / p": relative, "drawn": drawn, "stages": stages}
page.save_figure(figure, "F20_unfolding", numbers, caption)

# %% [markdown]
# From A to B the network does what a linear one would: it finds the principal component of each set, the set's mean. Some runs find one set first
# and rest at a higher level before they find the other. On the plateau all three features of a set point the same way; in a few runs the two sets
# are opposite each other already, in most of them not yet. Then each triple opens like an umbrella, and the sets move to opposite sides. If one
# triple happens to be turned by about 60 degrees at that moment, its corners are opposite gaps. That is the prism, and the run rests a second time
# before the triple turns.
#
# Turn both runs with the mouse, and move the slider below them through the training steps. (Where nothing can be turned, a picture of moment D is
# shown.) Look along the vertical axis at D: on the left the corners of one triple are opposite corners of the other, on the right opposite gaps.

# %%
opens = {title: int(stages[run, 3]) for title, run in drawn.items()}
_ = plots.turnable_vectors(set_steps, upright, opens)

# %% [markdown]
# Is the plateau really the collapsed state? We take the moment at which each run's loss is flattest, in the middle of its fall, and compute the
# smallest cosine between two features of the same set. It should be close to 1. For six independent features there is no reason for that.


# %%
def flattest(relative, steps, smooth=2):
    """Kept step at which a path is flattest in the log-log plot, with loss / p between 1/20 and 1."""
    log_loss, log_step = relative.log(), torch.from_numpy(steps).double().log()
    rise = log_loss[2 * smooth :] - log_loss[: -2 * smooth]
    slope = rise / (log_step[2 * smooth :] - log_step[: -2 * smooth])[:, None]
    middle = relative[smooth:-smooth]
    return smooth + torch.where((middle > 0.05) & (middle < 1), slope.abs(), torch.inf).argmin(0)


def collapse(path, steps):
    """Least cosine of two features of one set where the path is flattest: one per run."""
    at = flattest(path["loss_at"] / p0, steps)
    c = cosines(path["W_at"][at, torch.arange(len(at))])
    return torch.minimum(c[:, :3, :3].amin((1, 2)), c[:, 3:, 3:].amin((1, 2)))


per_seed = collapse(sets, set_steps).unflatten(0, (cfg.seeds, -1)).median(1).values
no_sets = collapse(independent, np.array(few_steps)).median()
page.check("F20.plateau", per_seed, control={"six independent features, same starts": no_sets})

# %% [markdown]
# It is: on the plateau each set is nearly one direction, in the median run of every seed.
#
# <a id="ends"></a>
# ## 7 Where runs end
#
# The paper reports that runs take different ways. How many come near the prism, and where do they end? If a triple is turned by an angle $\theta$
# from its place in the octahedron, the mean cosine of the partners is $-(1 + 2 \cos \theta)/3$. By symmetry $\theta$ lies between 0 and 60 degrees.
# A run is nearer to the prism if this mean is above $-\frac56$, half-way between the two, which means $\cos \theta < \frac34$. If all angles are
# equally likely at the moment of opening, we can compute how often that happens.

# %%
angles = np.linspace(0, np.pi / 3, 2001)
uniform = -(1 + 2 * np.cos(angles)) / 3  # mean cosine of partners if all angles are equally likely
endings = is_octahedron(sets["W"])
expected = 1 - math.acos(3 / 4) / (math.pi / 3)
caption = (
    "Left: the dots mark the moment at which the triples have opened, anywhere between octahedron and "
    f"prism (purple: nearer to the prism); {int(endings.sum())} of {len(endings)} runs end as octahedra. "
    "(The few lines near -1 from the start are runs whose sets collapse opposite each other.) Right: "
    "the cosines at the dots; right of the purple line a run is nearer to the prism, "
    f"{float((arrival > -5 / 6).double().mean()):.0%} of the runs against {expected:.0%} for equally "
    "likely angles. Exact descent as in the figure before. The paper mentions different ways in words "
    "and shows no counts."
)
figure = plots.branches(set_steps, on_the_way.numpy(), opened.numpy(), uniform)
numbers = {"steps": set_steps, "mean cosine": on_the_way, "arrival": arrival, "octahedra": endings.sum()}
page.save_figure(figure, "F20_branches", numbers, caption)

# %% [markdown]
# The runs take different ways and end in one place. The first claim is about the end: we expect every start to reach the octahedron. Six independent
# features do end in antipodal pairs too. But no feature belongs to a set there, and of the fifteen ways to pair six features only six join features
# from different halves, so they should match our definition much less often.
#
# The second claim is about the ways. The fraction that opens nearer to the prism should be near the one for equally likely angles; at the end no run
# should be left there.

# %%
no_sets = is_octahedron(independent["W"]).double().mean()
page.check(
    "F20.octahedron",
    endings.double().unflatten(0, (cfg.seeds, -1)).mean(1),
    control={"six independent features, whose partners do not know the sets": no_sets},
)

at_the_end = (partners(sets["W"]).mean(-1) > -5 / 6).double().mean()
control = {"the same runs at the end": at_the_end}
page.check("F20.both_ways", (arrival >= -5 / 6).double().mean(), control=control)
{"expected for equally likely angles": round(expected, 3)}

# %% [markdown]
# The fraction is as expected. The whole histogram is not: fewer runs than expected are in its first column, right at the octahedron. So equally
# likely angles predict how many runs come near the prism, but not exactly where a triple opens.
#
# Runs rest on the prism and do not end there. If that is right, a start right beside the prism must leave it, and only the run that starts exactly
# on it, where the gradient gives no direction to leave, may stay.

# %%
turned = partners(near_prism["W"]).amax(-1)
page.check("F20.saddle", turned[1:], control={"the run that starts exactly on the prism": turned[0]})

# %% [markdown]
# The prism is a *saddle*: a point from which the loss falls in some direction. It is easy to mistake for a solution, because its surroundings are
# flat: its loss exceeds the octahedron's by $p/360$ only, where the opening before it lowered the loss by nearly $p/3$. A run that is stopped early,
# or whose learning rate has decayed too soon, may still be there.
#
# ### What sampling changes
#
# All of this was on the exact loss. Ordinary training draws samples, in which even one active set is rare, and the prism and the octahedron differ
# by little. Do sampled runs still reach the octahedron? We expect their exact loss to end near that of the octahedron, $p^2$, and clearly below that
# of the prism.


# %%
def train_sampled(cfg):
    schedule = train.Schedule(cfg.set_steps, 128, cfg.set_rate, start=cfg.set_start / math.sqrt(2 / 9))
    streams = [run.generator(seed, "sampled sets") for seed in range(cfg.seeds)]
    p, source = torch.tensor([cfg.set_density]), data.Correlated(3)
    fitted = train.fit(model.Config(6, 3), p, streams, schedule, source=source)
    law = source.law(torch.full((cfg.seeds,), cfg.set_density, dtype=F64), 6)
    return {"W": fitted.W.double(), "loss": exact.loss(fitted.W.double(), fitted.b.double(), law)}


sampled = memo.memo(train_sampled, cfg)
page.check("F20.sampled", sampled["loss"] / p0**2, control={"the triangular prism": computed[3] / p0**2})
{"sampled runs that end as octahedra": f"{int(is_octahedron(sampled['W']).sum())} of {cfg.seeds}"}

# %% [markdown]
# With samples the runs end in the same place as without.
#
# **What to remember.** When a feature gains a share of a dimension, ask which one lost it. And in a model as small as this one the network rests in
# states whose losses can be computed by hand; the last of these states is easily taken for the solution.
#
# <a id="your-turn"></a>
# ## 8 Your turn
#
# 1. *(5 minutes)* Adam without bias correction: how long is the very first step, in units of the rate, for PyTorch's default betas?
#    <details><summary>Hint</summary>Leave out both divisors. In the first step the averages are (1 - β₁) g and (1 - β₂) g².</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    betas = torch.optim.Adam([torch.zeros(1)]).defaults["betas"]
#    for g in (1e-6, 1.0, 1e6):
#        average, square = (1 - betas[0]) * g, (1 - betas[1]) * g**2
#        first_step = average / square**0.5  # in units of the rate
#        assert 3.1 < first_step < 3.2  # (1 - β₁) / sqrt(1 - β₂), for any g
#    ```
#
#    The correction does not only enlarge early steps. Without it the first one would be three times *too long*, since the average of squares is
#    further behind than the average of gradients.
#    </details>
# 2. *(5 minutes)* Which optimiser could be made anew in every step without any harm?
#    <details><summary>Hint</summary>One that remembers nothing. Compare two short runs on the same samples.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    def two_ways(kind, steps=20):
#        ends = []
#        for fresh in (False, True):
#            generator, W = run.generator(0, "two ways"), 0.1 * torch.ones(6, 3)
#            W.requires_grad_()
#            optimiser = kind([W], lr=0.01)
#            for _ in range(steps):
#                optimiser = kind([W], lr=0.01) if fresh else optimiser
#                x = sample_sets(64, 0.5, generator)
#                optimiser.zero_grad()
#                (x - torch.relu(x @ W @ W.T)).square().sum(-1).mean().backward()
#                optimiser.step()
#            ends.append(W.detach())
#        return ends
#
#    assert torch.equal(*two_ways(torch.optim.SGD))
#    assert not torch.allclose(*two_ways(torch.optim.Adam), atol=1e-3)
#    ```
#
#    Plain gradient descent has no memory. (With momentum it has one.)
#    </details>
# 3. *(5 minutes)* Two sets of *four* features in four dimensions: at which loss will the run rest when both sets have collapsed? Predict it by
#    hand, then compute it.
#    <details><summary>Hint</summary>Do as in section 5 for three features: if only the mean of four equal variances is known, three quarters of
#    each variance are lost. `data.Correlated(4)` has sets of four.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    fours = torch.cat([torch.ones(4, 4, dtype=F64), -torch.ones(4, 4, dtype=F64)]) / 4
#    rare = torch.tensor([1e-3], dtype=F64)
#    plateau = exact.loss(fours[None], torch.zeros(1, 8, dtype=F64), data.Correlated(4).law(rare, 8))
#    by_hand = 2 * 4 * (1 / 12) * (3 / 4)  # sets, features, variance, share that is lost
#    assert by_hand == 0.5
#    assert abs(plateau.item() / rare.item() - by_hand) < 0.01
#    ```
#
#    The loss is $p/2$, where sets of three have $p/3$. What the computed loss adds to $p/2$ is the term in $p^2$ for both sets active at once.
#    </details>
# 4. *(10 minutes)* Is there a hill between the prism and the octahedron? Turn one triple of the octahedron step by step and compute the exact loss.
#    <details><summary>Hint</summary>The axis is (1, 1, 1); the matrix exponential of a skew matrix is a rotation.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    skew = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=F64) / math.sqrt(3)
#    angles = torch.linspace(0, math.pi / 3, 13, dtype=F64)
#    turning = torch.stack([torch.cat([I3, -I3 @ torch.matrix_exp(angle * skew)]) for angle in angles])
#    law = data.Correlated(3).law(torch.full((13,), 0.01, dtype=F64), 6)
#    hills = exact.loss(turning, torch.zeros(13, 6, dtype=F64), law) / 0.01**2
#    assert bool((hills.diff() > 0).all())
#    assert abs(hills[-1] - (1 + 1 / (360 * 0.01))) < 1e-6
#    ```
#
#    No: the loss falls all the way from the prism (60 degrees) to the octahedron (0 degrees). Runs stay at the prism only because the slope is small.
#    </details>
# 5. *(10 minutes)* Train the small network of section 1 without writing it around the mean (`centred=False`), from three seeds. Does it end in two
#    pairs?
#    <details><summary>Hint</summary>Count the features with D above 0.4, and compare `loss_in_V`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    plain = [plain_training(20, 2, 0.45, seed, centred=False)[:2] for seed in range(3)]
#    centred = [plain_training(20, 2, 0.45, seed)[:2] for seed in range(3)]
#    stored = [int((dimensionality(W) > 0.4).sum()) for W, _ in centred]
#    assert stored == [4, 4, 4]
#    assert max(loss_in_V(*model) for model in plain) > max(loss_in_V(*model) for model in centred) + 0.1
#    ```
#
#    Not in the same number of steps: these runs have one pair and leave the second dimension spread over many features. The best weights are the
#    same with both parametrisations, and so is the optimiser; the parametrisation alone decides how soon they are found.
#    </details>
#
# <a id="limits"></a>
# ## 9 Limits
#
# - The levels and jumps are shown at one size and one density; the octahedron at one density.
# - That the loss drops at each jump is not shown: many features settle at once, and at about the same time in every run.
# - A feature has $D = \frac12$ also if it shares its line with one that points the *same* way. `F19.pairs` does not tell the two apart; the blue
#   squares beside the slider do, for one run.
# - The control of `F20.both_ways`, no run near the prism at the end, says the same as `F20.octahedron`.
# - What counts as smooth in `F19.optimiser` was fixed after similar runs had been seen, not before all of them.
#
# <a id="checked"></a>
# ## 10 What was checked

# %%
page.close()
