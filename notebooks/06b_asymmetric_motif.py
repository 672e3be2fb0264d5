# %% [markdown]
# # 6b. How one neuron serves two features
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/06b_asymmetric_motif.ipynb)
#
# **Pages** [← 6. Models can compute in superposition](06_computation_in_superposition.ipynb) · [Start here](00_start_here.ipynb) · [7. The language model that is studied →](07_language_model.ipynb)
#
# When a network has more features to compute with than neurons, some neurons must work for several. On this page you look at such neurons one
# by one. You see which features share a neuron, and how a neuron can serve an important and an unimportant feature at once if a second neuron
# corrects the error. [Section 6](#compression) shows another way to put two numbers into one, which needs no rare features.
#
# **You will** label forty neurons with the features they serve · build the paper's *asymmetric motif* by hand and search for it in hundreds of
# trained networks · take the helping neuron away and see which output breaks · pack two numbers into one with a staircase of relus.
#
# **Needs** a little PyTorch; [page 6](06_computation_in_superposition.ipynb) trains the same network step by step. **Takes** three minutes on two
# cores (the `laptop` profile; others: [start here](00_start_here.ipynb#profiles)), and seconds when what was trained is in the cache.
#
# **Paper** Elhage et al., *Toy Models of Superposition* (2022), section ["Computation in
# Superposition"](https://transformer-circuits.pub/2022/toy_model/index.html#computation) with the part on the asymmetric motif, and the
# appendix on nonlinear compression.
#
# **On this page** [1 Data and model](#model) · [2 Neurons of one feature, and of several](#mixed) · [3 The motif, by hand](#motif) · [4 The motif in trained networks](#search) · [5 What the companion does](#companion) · [6 Two numbers in one, without rare features](#compression) · [7 Your turn](#your-turn) · [8 Limits](#limits) · [9 What was checked](#checked)

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
from companion.plots import lines, neurons, toy, widgets
from companion.toy import computing, data, geometry, train
from companion.toy.computing import Weights

claims.opening("06b_asymmetric_motif")


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    seeds: int  # of everything that is trained
    features: int  # n of the large network
    hidden: int  # m
    densities: tuple[float, ...]  # one without sparsity, and the one whose neurons are drawn
    steps: int  # of each of the two rounds of training
    samples: int  # fresh ones, for every loss that is compared
    models: int  # small networks per seed in which the motif is searched
    small_steps: int


density = (1, 0.03)
cfg = run.choose(
    quick=Config(2, 30, 12, density, steps=250, samples=2048, models=20, small_steps=600),
    laptop=Config(5, 100, 40, density, steps=1500, samples=40_960, models=100, small_steps=2000),
    paper=Config(5, 100, 40, density, steps=20_000, samples=400_000, models=1000, small_steps=10_000),
)
page = claims.Page("06b_asymmetric_motif", cfg)
cfg

# %% [markdown]
# <a id="model"></a>
# ## 1 Data and model
#
# The network computes the absolute value of $n$ features with $m$ neurons:
#
# $$h = \mathrm{relu}(W_1^\top x), \qquad y' = \mathrm{relu}(W_2\, h + b), \qquad \text{target } |x| .$$
#
# Row $i$ of $W_1$ is what feature $i$ gives to the neurons, row $i$ of $W_2$ what the neurons give to output $i$. Feature $i$ is present with
# probability $p$, the density (the paper's $1 - S$), and is then uniform between $-1$ and 1. The error of feature $i$ counts $I_i$ times, its
# importance. Data, loss and a plain training loop are [on page 6](06_computation_in_superposition.ipynb#training), where the faster form used
# below is checked against them. Without sparsity a feature takes two neurons, because $|x| = \mathrm{relu}(x) + \mathrm{relu}(-x)$:


# %%
def forward(W1, W2, b, x):
    h = torch.relu(x @ W1)  # (batch, m), the neurons
    return torch.relu(h @ W2.T + b)  # (batch, n), the outputs


x = torch.tensor([[-0.5, 0.25]])
pairs = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]])  # two features, four neurons
assert torch.equal(forward(pairs, pairs.abs(), torch.zeros(2), x), x.abs())

# %% [markdown]
# What differs from the paper on this page: what is said about trained networks is measured on five seeds; the motif is found by a detector,
# with its rate over several hundred networks, where the paper shows one; rare features are sampled more often and weighted down, and outputs
# that stopped working in training are brought back ([why and how](06_computation_in_superposition.ipynb#hundred)).
#
# <a id="mixed"></a>
# ## 2 Neurons of one feature, and of several
#
# A hundred features share forty neurons. Importance falls as $I_i = 0.8^i$, and three features in a hundred are present. Each seed is trained
# from a random start, at this density and without sparsity. As a reference, one network is trained from weights set by hand, with a little
# noise added: the twenty most important features have two neurons each, and every other output is its mean. These weights set by hand are
# called *the explicit model*.


# %%
def two_rounds(cfg, start, p, seed):
    """Train with revival of dead outputs, then at half the rate without; W1 before and after; the loss."""
    config, importance = computing.Config(cfg.features, cfg.hidden), 0.8 ** torch.arange(cfg.features)
    weights = start
    for name, rate, revive in (("first", 0.01, 1.0), ("second", 0.005, 0.0)):
        generator = run.generator(seed, name, device=run.device())
        schedule = train.Schedule(cfg.steps, 128, rate)
        weights = computing.fit(config, weights, p, importance, schedule, generator, revive=revive)
    report = run.generator(seed, "report", device=run.device())
    loss = computing.sampled_loss(config, weights, p, importance, report, cfg.samples).loss
    return {"W1": computing.rescaled(weights).W1, "start": start.W1, "loss": loss}


def train_mixed(cfg):
    """Random starts at both densities, for each seed; the reference at the sparse one."""
    config, p = computing.Config(cfg.features, cfg.hidden), torch.tensor(cfg.densities)
    random = []
    for seed in range(cfg.seeds):
        start = computing.initial(config, [run.generator(seed, "large")])
        random.append(two_rounds(cfg, start.at([0] * len(p)), p, seed))
    explicit = computing.dedicated(config, p[-1:], cfg.hidden // 2)
    noise = torch.randn(explicit.W1.shape[1:], generator=run.generator(0, "noise"))
    reference = two_rounds(cfg, explicit._replace(W1=explicit.W1 + 0.02 * noise), p[-1:], 0)
    stacked = {f"random {key}": torch.stack([part[key] for part in random]) for key in random[0]}
    return stacked | {"reference W1": reference["W1"]}


mixed = memo.memo(train_mixed, cfg)

# %% [markdown]
# A neuron counts as serving one feature (*monosemantic*) if no other incoming weight is above 0.3 of its largest, and as *polysemantic*
# otherwise. Of the networks from random starts the one of lowest loss is drawn. The loss in its title is divided by that of the explicit model,
# $V(p) \sum_{i \ge 20} 0.8^i$ with $V(p) = p/3 - p^2/4$, the variance of $|x_i|$. The interference of a feature, its colour, is
# $\sum_{j \ne i} (\hat W_i \cdot W_j)^2$ with the rows of $|W_1|$, where $\hat W_i$ is row $i$ with length one.

# %%
W, reference = mixed["random W1"], mixed["reference W1"][0]  # (seeds, densities, F, H); (F, H)
p = torch.tensor(cfg.densities[-1])
explicit_loss = data.variance(p) * (0.8 ** torch.arange(cfg.features))[cfg.hidden // 2 :].sum()
losses = mixed["random loss"][:, -1] / explicit_loss
best = int(losses.argmin())
size = W[best, -1].abs()
size = size[:, size.argmax(0).argsort()]  # neurons by the index of their largest feature
mono, poly = computing.neurons(size)
title = f"p = {p:g}, loss {losses[best]:.2g} × explicit, {mono.double().mean():.0%} monosemantic"
parts = (size, geometry.interference(size, dead=0.1), mono, poly)
figure = neurons.mixed_neurons(neurons.Stack(title, *(t.numpy() for t in parts)))
caption = (
    "Read the numbers, which are features by importance: a blue tint marks a neuron with one numbered"
    " feature, a red tint one with several. Both stand side by side. Rectangles without a number are"
    " weights below 0.3 of the neuron's largest. The colour is the interference that a feature suffers"
    f" from others on its neurons. n = {cfg.features}, m = {cfg.hidden}, two rounds of {cfg.steps:,}"
    f" steps of batch 128, the lowest loss of {cfg.seeds} random starts. In the paper's figure the"
    " important features come first and have neurons of their own; its density cannot be read off."
)
page.save_figure(figure, "F28_mixed_neurons", {"p": p, "size": size, "monosemantic": mono}, caption)

# %% [markdown]
# The first thing to check is that both kinds of neurons are common: the smaller of their two shares should be at least a fifth. Without
# sparsity nearly all neurons should be monosemantic, and before training none, so that the smaller share is near zero in both comparisons.


# %%
def share(W1):
    """Share of the neurons that respond to one feature alone."""
    mono, poly = computing.neurons(W1)
    return mono.sum(-1).double() / (mono | poly).sum(-1)


def smaller_share(W1):
    return torch.minimum(share(W1), 1 - share(W1))


page.check(
    "F28.both",
    smaller_share(W[:, -1]),
    control={
        "the same starts without sparsity": smaller_share(W[:, 0]),
        "the same starts before training": smaller_share(mixed["random start"][:, -1]),
    },
)

# %% [markdown]
# Both kinds are common, for every seed. In the paper's figure the important features are those with neurons of their own. Call the index of a
# neuron's largest feature its rank; then polysemantic neurons should have larger ranks on average. How large must the difference be to mean
# something? If the same labels were shuffled over the neurons, the difference would be zero on average, with a variance that follows from
# that of the ranks. The check asks for three standard deviations. The network trained from the explicit model has this order by construction
# of its start, so it must pass.


# %%
def rank_gap(W1, mono):
    """Mean rank of the other neurons minus that of the monosemantic ones, over its spread when shuffled."""
    rank, many = W1.abs().argmax(0).double(), mono.sum()
    if many in (0, len(mono)):
        return 0.0  # one sort is missing
    spread = (rank.var() * (1 / many + 1 / (len(mono) - many))).sqrt()
    return float((rank[~mono].mean() - rank[mono].mean()) / spread)


is_mono = computing.neurons(W[:, -1]).mono
orders = [torch.randperm(cfg.hidden, generator=run.generator(seed, "shuffle")) for seed in range(cfg.seeds)]
shuffled = [m[order] for m, order in zip(is_mono, orders, strict=True)]
page.check(
    "F28.rank",
    [rank_gap(*one) for one in zip(W[:, -1], is_mono, strict=True)],
    control={
        "kinds shuffled over the neurons": [rank_gap(*one) for one in zip(W[:, -1], shuffled, strict=True)],
    },
    witness=rank_gap(reference, computing.neurons(reference).mono),
)

# %% [markdown]
# In networks from random starts the difference has the expected sign for every seed, and is smaller than the check asks. As the figure shows,
# some important features share neurons, and some unimportant ones have their own. The network that began with the pairs of the explicit model
# has the paper's order; training from a random start leads at most to a weak form of it here.
#
# <a id="motif"></a>
# ## 3 The motif, by hand
#
# How can one neuron serve a *big* (important) and a *small* feature? The obvious way is $h = \mathrm{relu}(x_\text{big} - x_\text{small})$,
# read by both outputs with weight 1. But then each feature disturbs the other output as much as it serves its own. The paper found that
# networks do it asymmetrically. The big feature enters with a large weight $r$ and leaves with $1/r$; the small feature enters with $-1/r$ and
# leaves with $r$:
#
# | | own output | the other's output |
# |---|---|---|
# | $x_\text{big} = 1$ | $r \cdot 1/r = 1$ | $r \cdot r = r^2$, far too much |
# | $x_\text{small} = -1$ | $1/r \cdot r = 1$ | $1/r \cdot 1/r = 1/r^2$, hardly anything |
#
# The small feature now hardly disturbs the big one. What the big one adds to the small output is removed again by a *companion*, a second
# neuron that responds to the big feature alone and subtracts $r^2$ times it from the small output. For $r = 2$:

# %%
r = 2.0
W1 = torch.tensor([[r, 1.0], [-1 / r, 0.0]])  # (big and small feature, shared neuron and companion)
W2 = torch.tensor([[1 / r, 0.0], [r, -(r**2)]])  # (big and small output, shared neuron and companion)
alone = torch.tensor([[1.0, 0.0], [0.0, -1.0]])  # the big feature alone; the small one alone
outputs = forward(W1, W2, torch.zeros(2), alone)
assert torch.equal(outputs, torch.tensor([[1.0, 0.0], [1 / r**2, 1.0]]))
outputs  # (case, output)

# %% [markdown]
# So one neuron computes a half of $|x|$ for two features: that of positive values for the big one, that of negative values for the small one.
# The price is a small error on the big output, and a companion, which can serve a feature itself. It works as long as the two features are
# rarely present together. Move the ratio $r$, and take the companion away: which of the two outputs is wrong now, and when which feature is
# present? (Without a running kernel you see $r = 2$ with the companion.)


# %%
def by_hand(r, companion):
    size, zero = torch.linspace(0, 1, 41), torch.zeros(41)
    W1 = torch.tensor([[r, 1.0], [-1 / r, 0.0]])
    W2 = torch.tensor([[1 / r, 0.0], [r, -(r**2) if companion == "there" else 0.0]])
    drawn = []
    for name, x in (("big feature alone, x", [size, zero]), ("small feature alone, -x", [zero, -size])):
        big, small = forward(W1, W2, torch.zeros(2), torch.stack(x, -1)).T.numpy()
        curves = {"big output": big, "small output": small}
        drawn.append(lines.Panel(size.numpy(), curves, name, "output", settings=dict(ylim=(-0.1, 4.2))))
    return lines.lines(*drawn, size=(4, 2.8))


widgets.live(by_hand, r=widgets.Slider(1.0, 2.0, 2.0), companion=("there", "taken away"))

# %% [markdown]
# <a id="search"></a>
# ## 4 The motif in trained networks
#
# Small networks, many of them: six features in ten neurons, importance $0.7^i$, one feature in five present. Twelve neurons would be enough
# for two per feature, so a few features have to share. A hundred networks are trained for each of five seeds, with different random starts.


# %%
def train_many(cfg, config, name, models, p, rate, importance):
    """Models from random starts, `models` for each seed, and their losses on fresh samples."""
    parts = []
    for seed in range(cfg.seeds):
        start = computing.initial(config, [run.generator(seed, name, k) for k in range(models)])
        density, device = torch.full((models,), p), run.device()
        schedule = train.Schedule(cfg.small_steps, 64, rate)
        generator = run.generator(seed, name, device=device)
        fitted = computing.fit(config, start, density, importance, schedule, generator)
        test = run.generator(seed, "test", device=device)
        loss = computing.sampled_loss(config, fitted, density, importance, test, 8192).loss
        parts.append(computing.rescaled(fitted)._asdict() | {"loss": loss})
    return {key: torch.stack([part[key] for part in parts]) for key in parts[0]}  # (seeds, models, ...)


def train_small(cfg):
    return train_many(cfg, computing.Config(6, 10), "motif", cfg.models, 0.2, 0.01, 0.7 ** torch.arange(6.0))


small = memo.memo(train_small, cfg)
sparse = Weights(*(small[key].flatten(0, 1) for key in Weights._fields))  # seed by seed

# %% [markdown]
# The detector looks for the three parts of the motif. The shared neuron takes in the big feature at least twice as strongly as the small one.
# It gives the small output at least twice the weight that it gives the big one, and each feature reaches its own output through it with at
# least a quarter of its size. And some companion fires for the same sign of the big feature and takes at least 1 off the small output when the
# big feature is 1. No condition depends on how the neurons are scaled. (Big and small name the sizes of the weights; the detector does not
# look at importances.) The cell writes the conditions out, and compares the package's faster detector with them on ten networks.


# %%
def motifs_of(W1, W2):
    """All (shared neuron, big feature, small feature) of one model."""
    features, hidden = range(len(W1)), range(W1.shape[1])
    found = []
    for a, big, little in ((a, i, j) for a in hidden for i in features for j in features if i != j):
        into_big, into_little = W1[big, a].abs(), W1[little, a].abs()
        asymmetric = into_big >= 2 * into_little and W2[little, a] >= 2 * W2[big, a] > 0
        matters = into_big * W2[big, a] >= 0.25 and into_little * W2[little, a] >= 0.25
        same_sign = [c for c in hidden if W1[big, c].sign() == W1[big, a].sign()]
        repaired = any(W1[big, c].abs() * W2[little, c] <= -1 for c in same_sign)
        if asymmetric and matters and repaired:
            found.append([a, big, little])
    return found


found = computing.motifs(sparse)  # the same for all models at once: (models, neurons, big, small)
for k in range(10):
    assert motifs_of(sparse.W1[k], sparse.W2[k]) == found[k].nonzero().tolist()

# %% [markdown]
# How often does the motif occur? And does it help? If it does, networks with a low loss should have it more often than others. So three rates
# are measured for each seed: over all its networks, over the fifth of them with the lowest loss, and over the fifth with the highest.


# %%
def rates(found):
    """Share of a seed's models with the motif; of its fifth of lowest loss; of its fifth of highest loss."""
    hit = found.flatten(1).any(1).double().view(cfg.seeds, -1)
    ordered = hit.gather(1, small["loss"].argsort(1))
    return hit.mean(1), ordered[:, : cfg.models // 5].mean(1), ordered[:, -(cfg.models // 5) :].mean(1)


rate, among_best, among_worst = rates(found)

# %% [markdown]
# One of the networks that have the motif is drawn: among the fifth of lowest loss of the first seed, the one whose companion has the largest
# weight from the big feature, as a share of the companion's largest weight.


# %%
def companion_of(i, a, big, little):
    """The neuron that fires with a on the big one and takes most off the little one; |W1| of the big one."""
    W1, W2 = sparse.W1[i], sparse.W2[i]
    taken = torch.where(W1[big].sign() == W1[big, a].sign(), W1[big].abs() * W2[little], 0.0)
    return int(taken.argmin()), float(W1[big, taken.argmin()].abs())


lowest = set(small["loss"][0].argsort()[: cfg.models // 5].tolist())
hits = found.nonzero().tolist()
index, neuron, big, little = max(hits, key=lambda hit: (hit[0] in lowest, companion_of(*hit)[1]))
companion = companion_of(index, neuron, big, little)[0]
W1, W2, b = sparse.W1[index], sparse.W2[index], sparse.b[index]
figure = neurons.motif(W1.numpy(), W2.numpy(), neuron, companion, big, little)
caption = (
    f"Start at the right: feature {big} enters the shared neuron strongly and leaves it weakly, feature"
    f" {little} the other way round, and the companion corrects output {little}. Left and"
    " middle: all weights of this network, each neuron scaled so that its largest incoming weight is 1."
    f" n = 6, m = 10, importance 0.7^i, p = 0.2, {cfg.small_steps:,} steps of batch 64. The paper shows"
    " one such network; this is the clearest of many, and of the fifth with the lowest loss"
    f" {among_best[0]:.0%} have the motif."
)
page.save_figure(
    figure,
    "F29_asymmetric_motif",
    {"W1": W1, "W2": W2, "neuron": neuron, "big": big, "small": little, "hit rate": rate},
    caption,
)

# %% [markdown]
# One network proves little, so here are the rates. At least three networks in ten should have the motif. Could the detector also find it by
# accident? For comparison it searches the same networks with their outputs exchanged, and with the outgoing weights of their neurons
# exchanged. All weights are kept, only their places change.

# %%
outputs, sources = (sparse._replace(W2=sparse.W2.roll(1, axis)) for axis in (1, 2))
page.check(
    "F29.rate",
    rate,
    control={
        "the same models, outputs exchanged": rates(computing.motifs(outputs))[0],
        "the same models, outgoing weights of the neurons exchanged": rates(computing.motifs(sources))[0],
    },
)

# %% [markdown]
# About half of the networks have it, and hardly any with exchanged weights, so it is no accident. Do the networks of lowest loss have it more
# often? The check asks for seven in ten of them. It would fail if their rate were that of all networks.

# %%
page.check(
    "F29.good",
    among_best,
    control={
        "all models of all seeds": rate.mean(),
        "the fifths of the highest loss, all seeds": among_worst.mean(),
    },
)

# %% [markdown]
# Nearly all of the best networks have the motif, and few of the worst. That it goes with a low loss does not yet show that it lowers the
# loss. For the network above we can see what the companion does.
#
# <a id="companion"></a>
# ## 5 What the companion does
#
# In the input only the big feature is present, with the sign for which both neurons fire. Its own output should follow it, and the small output
# should stay at 0. Then one weight, from the companion to the small output, is set to 0. By the table of section 3 we expect the small output
# to rise with the big feature.

# %%
x = torch.zeros(41, 6)
x[:, big] = torch.linspace(0, 1, 41) * W1[big, neuron].sign()
without = W2.clone()
without[little, companion] = 0.0
intact, cut = forward(W1, W2, b, x), forward(W1, without, b, x)
curves = {f"output {big} (big)": intact[:, big], f"output {little} (small)": intact[:, little]}
curves |= {f"output {little}, companion's weight set to 0": cut[:, little]}
curves = {name: curve.numpy() for name, curve in curves.items()}
across = np.linspace(0, 1, 41)
panel = lines.Panel(across, curves, f"size of feature {big}, all others absent", "output")
figure = lines.lines(panel, size=(5.6, 3.4))
caption = (
    f"Look at the dotted curve: with the companion's weight set to 0, feature {big} drives output"
    f" {little}, which should stay at 0. With the companion (dashed) it stays at"
    f" {intact[:, little].max():.2f} or below. One trained network, n = 6, m = 10, p = 0.2, with feature"
    f" {big} alone in its input. The paper describes this in words; the curve is ours."
)
page.save_figure(figure, "F29_without_companion", {"size": across} | curves, caption)
assert cut[-1, little] > intact[-1, little] + 0.2

# %% [markdown]
# ### A network that simulates a larger one
#
# The paper's conjecture about such networks: what we observe is a small network that simulates a larger one, in which every feature has
# neurons of its own. The next figure draws both for our case. In the larger network one can see for each feature which neurons compute it; in
# the smaller one features share neurons, and the motif is one way of sharing.

# %%
figure = neurons.observed_model(W1.numpy(), W2.numpy())
caption = (
    "Look at the left drawing first: two neurons per feature, one for each sign, and no crossing line."
    " Right: the trained network of the figure above, with ten neurons for the same six features. A line"
    " has the colour of its feature and the width of its weight, and is dashed if the weight is negative;"
    " weak ones are left out. Left set by hand; the paper draws the idea,"
    " without a trained example."
)
page.save_figure(figure, "C8_observed_model", {"W1": W1, "W2": W2}, caption)

# %% [markdown]
# <a id="compression"></a>
# ## 6 Two numbers in one, without rare features
#
# Superposition is not the only way to put two numbers into one. It needs features that are rarely present together. If $x$ and $y$ are always
# present, uniform between 0 and 1, a linear code keeps one direction of the two and loses the other. A *nonlinear* code can do better. Write
# $x$ in $Z$ coarse steps, and $y$ into the room between two steps. For $Z = 3$, $x = 0.5$ and $y = 0.2$: $x$ is on step 1, so $t = (1 +
# 0.2)/3 = 0.4$, and from $3t = 1.2$ we read step 1 and $y = 0.2$ again. In general:
#
# $$t = \frac{\lfloor Z x \rfloor + y}{Z}, \qquad y' = Z t - \lfloor Z t \rfloor, \qquad x' = \frac{\lfloor Z t \rfloor + 1/2}{Z} .$$
#
# With a true staircase $y$ is exact and $x$ is off by at most half a step. A network has no staircase, but two relus make a ramp, and $Z - 1$
# ramps make steps with slanted edges. Where $x$ or $t$ falls on a ramp, the step is not a whole number and $y$ is read out wrongly.


# %%
def staircase(u, Z, width, shift=1.0):
    """floor(u) on [0, Z] by relus: Z - 1 ramps, each from k - shift * width up to the next step."""
    starts = np.arange(1, Z) - shift * width
    return sum((np.maximum(u - s, 0) - np.maximum(u - s - width, 0)) / width for s in starts)


x, y = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(2**16).double().numpy().T


def compression_error(Z, width, shift=1.0):
    """Mean of (x - x')^2 + (y - y')^2 over evenly spread points."""
    t = (staircase(Z * x, Z, width, shift) + y) / Z
    step = staircase(Z * t, Z, width, shift)
    return float((((step + 0.5) / Z - x) ** 2 + (Z * t - step - y) ** 2).mean())


linear = 1 / 12  # of two uniform numbers, one direction is lost
assert abs(compression_error(3, 1e-9) / (linear / 9) - 1) < 0.02  # a true staircase only rounds x

# %% [markdown]
# Try it: how wide may a ramp be before the code loses to the linear one, and does that depend on the number of steps? Nothing is trained
# here, the error is computed as you move a slider. (Without a running kernel you see three steps with ramps of a tenth of a step.)

# %%
at = np.linspace(0, 1, 301)


def try_code(Z, width, shift):
    """The staircase, and the error against the best linear code, as numbers."""
    error = compression_error(Z, width, shift)
    title = f"error {error / linear:.2f} times that of the best linear code"
    stairs = {f"Z = {Z}": staircase(Z * at, Z, width, shift)}
    panel = lines.Panel(at, stairs, "x", "step of x", settings=dict(title=title, ylim=(-0.2, Z)))
    return lines.lines(panel, size=(5.6, 3))


widgets.live(
    try_code,
    Z=widgets.Slider(2, 10, 3),
    width=widgets.Slider(0.003, 0.5, 0.1, log=True),
    shift=widgets.Slider(0.0, 1.0, 1.0),
)

# %% [markdown]
# The same for a range of ramps and steps. Where a ramp stands matters as well: it can end where the step is (`shift` 1) or be centred on it
# (`shift` 0.5).

# %%
width = np.array([0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
errors = {f"Z = {Z}": np.array([compression_error(Z, w) for w in width]) for Z in (2, 3, 5, 10)}
errors["Z = 3, ramps centred"] = np.array([compression_error(3, w, 0.5) for w in width])
stairs = {"ramps before the step": staircase(3 * at, 3, 0.1), "centred": staircase(3 * at, 3, 0.1, 0.5)}
figure = toy.compression(width, errors, linear, at, stairs)
caption = (
    "Right: where a curve is below the dashed line, the nonlinear code beats every linear one. Narrow"
    " ramps and many steps are best. Beyond a quarter of a step the gain is gone, unless the ramps are"
    " centred on the steps (the last curve). Left: the staircase for three steps and ramps of a tenth."
    " Computed on 65,536 evenly spread points. The paper draws the error against the width of the ramps"
    " for several numbers of steps; the centred ramps are ours."
)
page.save_figure(figure, "F31_nonlinear_compression", {"width": width, "linear": linear} | errors, caption)

# %% [markdown]
# The paper's example is three steps with ramps of a tenth of a step. Its error should be below that of the best linear code, and with ramps
# as wide as a step it should not.

# %%
page.check(
    "F31.beats",
    compression_error(3, 0.1) * 12,
    control={"ramps as wide as a step: no steps are left": compression_error(3, 1.0) * 12},
)

# %% [markdown]
# It has about half of the error of a linear code. So a network can also compress dense features, if it can afford steep ramps. Whether a trained
# network does so is not shown here.
#
# <a id="your-turn"></a>
# ## 7 Your turn
#
# 1. *(5 minutes)* In the motif by hand, let $r = 3$ and let *both* features be present: $x_\text{big} = 1$, $x_\text{small} = -1$. What are the two
#    outputs, and which is wrong? Work it out on paper first.
#    <details><summary>Hint</summary>The shared neuron receives $r + 1/r$; the companion receives 1.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    r = 3.0
#    by_hand_W1 = torch.tensor([[r, 1.0], [-1 / r, 0.0]])
#    by_hand_W2 = torch.tensor([[1 / r, 0.0], [r, -(r**2)]])
#    outputs = forward(by_hand_W1, by_hand_W2, torch.zeros(2), torch.tensor([[1.0, -1.0]]))
#    assert torch.allclose(outputs, torch.tensor([[1 + 1 / 9, 1.0]]))
#    ```
#
#    The small output is right and the big one is off by $1/r^2$: here the contributions simply add up. With $x_\text{small} = 1$ they would not.
#    </details>
# 2. *(5 minutes)* Give the small feature the other sign: $x_\text{small} = 1$ together with $x_\text{big} = 1$, again with $r = 2$. What are
#    the two outputs now, and why is each of them too small?
#    <details><summary>Hint</summary>What does the shared neuron receive, and what does the companion take off?</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    r = 2.0
#    by_hand_W1 = torch.tensor([[r, 1.0], [-1 / r, 0.0]])
#    by_hand_W2 = torch.tensor([[1 / r, 0.0], [r, -(r**2)]])
#    outputs = forward(by_hand_W1, by_hand_W2, torch.zeros(2), torch.tensor([[1.0, 1.0]]))
#    assert torch.allclose(outputs, torch.tensor([[0.75, 0.0]]))
#    ```
#
#    The small feature makes the shared neuron fire less, so the big output is too small. The companion still takes off $r^2$, which is more than
#    the shared neuron gives, so the small output is 0. Such errors are rare if features are.
#    </details>
# 3. *(10 minutes)* Train twenty small networks without sparsity, $p = 1$. How many of them have the motif?
#    <details><summary>Hint</summary>Is sharing any good if all features are always present? Think of what a dense
#    network does with features that do not fit.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    config, importance, density = computing.Config(6, 10), 0.7 ** torch.arange(6), torch.ones(20)
#    start = computing.initial(config, [run.generator(k, "dense") for k in range(20)])
#    fitted = computing.fit(config, start, density, importance, train.Schedule(1000, 64, 0.01), run.generator(0, "dense"))
#    dense_rate = computing.motifs(fitted).flatten(1).any(1).double().mean()
#    assert dense_rate < rate.mean() / 2
#    ```
#
#    Hardly any: a dense network drops the feature that does not fit, or serves it by half, because sharing would disturb the others all the time.
#    </details>
# 4. *(10 minutes)* For ramps of $0.01$ and of $0.2$ of a step (before the step), which number of steps from 2 to 10 has the least error?
#    Guess which of the two widths wants more steps.
#    <details><summary>Hint</summary>More steps make the rounding of $x$ finer, and add ramps on which $y$ is lost.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    best_Z = {w: min(range(2, 11), key=lambda Z: compression_error(Z, w)) for w in (0.01, 0.2)}
#    assert best_Z[0.01] > best_Z[0.2]
#    ```
#
#    Narrow ramps allow many steps. With wide ramps additional steps cost more than they gain.
#    </details>
#
# <a id="limits"></a>
# ## 8 Limits
#
# - The network of section 2 is still improving when training ends, so which neurons are shared may change with longer training.
# - Whether a neuron counts as monosemantic depends on the threshold, 0.3 of its largest weight. Smaller weights are there as well.
# - The motif's thresholds (two to one, a quarter, and 1) are ours. With others the rates would be different, those of the exchanged networks
#   too.
# - That the best networks have the motif is a correlation over random starts. Section 5 shows for one network that its companion is needed.
# - The nonlinear code is built by hand. No network was trained to find it.
#
# <a id="checked"></a>
# ## 9 What was checked
#
# The table repeats each claim of this page: what the paper says, what was measured, the range that confirms it, and what was measured where the
# claim must fail.

# %%
page.close()
