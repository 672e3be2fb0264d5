# %% [markdown]
# # 4. Learning dynamics: jumps and unfolding
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/04_learning_dynamics.ipynb)
#
# **Claim.** Features do not fade in. They compete for a fixed budget of dimensions, and what one gains others lose; and sets of correlated features
# are first learned as one feature each, and then unfold, in a few moves that the loss curve shows as steps.
#
# Paper: Elhage et al., *Toy Models of Superposition* (2022), [section "Superposition and Learning
# Dynamics"](https://transformer-circuits.pub/2022/toy_model/index.html#learning).
#
# **Difference to the paper.**
# - The paper states no sizes for the first figure and no density for the second; ours are in the parameters.
# - The budget of dimensions is drawn with its theorem, so that a jump is seen as a reallocation.
# - The second figure is gradient descent on the *exact* loss from many starts: what happens on the way is not sampling noise, and branches can be
#   counted. Two of its plateaus have closed forms.
#
# **Time.** `quick` seconds, `laptop` about a minute on two cores, `paper` some ten minutes. Memory below 1 GB.

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
from companion.toy import data, exact, geometry, model, theory, train


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
# ## Jumps between levels
#
# Many equal features, few dimensions, at a sparsity where the best use of a dimension is an antipodal pair: in the end $2m$ features should have
# dimensionality one half and all others none,
#
# $$D_i = \frac{\lVert W_i \rVert^2}{\sum_j (\hat W_i \cdot W_j)^2} .$$
#
# How does one state turn into the other? The loop is written out, because a mistake hides in it: the optimiser must be *one* object for the whole
# run. Stopping at every checkpoint and calling a training function again makes a new one, and Adam without a past moves every weight by the full
# rate in the direction of its gradient's sign. `fresh` makes that mistake, in every step.


# %%
def learn(config, streams, schedule, p, fresh=False):
    """W and b before each of the kept steps, for one model per stream: (S, K, F, H) and (S, K, F)."""
    W, centre = (schedule.start * t for t in model.initial(config, streams))
    density, weight, kept = torch.full((len(W),), p, device=W.device), torch.ones(config.features, device=W.device), []
    optimiser = torch.optim.Adam([W, centre], lr=schedule.rate, betas=(0.9, 0.99), fused=True)
    for step in range(schedule.steps):
        if step in schedule.kept:
            kept.append((W.clone(), train.bias_of(W, centre, density)))
        if fresh:
            optimiser = torch.optim.Adam([W, centre], lr=schedule.rate, betas=(0.9, 0.99), fused=True)
        drawn = [data.INDEPENDENT.uniforms(config.features, schedule.batch, stream) for stream in streams]
        x = torch.cat([data.INDEPENDENT.sample(uniforms, density[:1]) for uniforms in drawn])
        W.grad, centre.grad = train.scaled_gradient(W, centre, train.Batch(x, density, weight, relu=config.relu))
        optimiser.param_groups[0]["lr"] = schedule.rate * (1 + math.cos(math.pi * step / schedule.steps)) / 2
        optimiser.step()
    return tuple(torch.stack(each, 1) for each in zip(*kept, strict=True))


# %% [markdown]
# This loop is the package's trainer for a single density: on the same streams both give the same weights. And the mistake is what it is said to be,
# a step of the full rate along the sign of the gradient.

# %%
tiny, brief = model.Config(8, 2), train.Schedule(3, 16, 0.01, start=0.1, kept=(0, 1, 2))
two = [[run.generator(seed, "check") for seed in range(2)] for _ in range(3)]
by_hand, _ = learn(tiny, two[0], brief, 0.45)
by_package = train.fit(tiny, torch.tensor([0.45]), two[1], brief)
assert torch.allclose(by_hand.transpose(0, 1), by_package.W_at, atol=1e-6)
mistaken, _ = learn(tiny, two[2], brief, 0.45, fresh=True)
assert torch.allclose((mistaken[:, 1] - mistaken[:, 0]).abs(), torch.full((2, 8, 2), 0.01), rtol=1e-2)

# %% [markdown]
# Several seeds, and two controls: models without relu on the same samples, and the mistake on the first seed's. Besides the log-spaced
# checkpoints a block of a hundred successive steps is kept for the latter.

# %%
CHECKPOINTS = log_spaced(cfg.steps, cfg.checkpoints)
BLOCK = range(cfg.steps // 2, cfg.steps // 2 + 100)
KEPT = tuple(sorted({*CHECKPOINTS, *BLOCK}))


def train_levels(cfg):
    """Weights on the way (runs, K, F, H) and test losses in units of V(p) (runs, checkpoints), for each kind of run."""
    schedule, found = train.Schedule(cfg.steps, cfg.batch, cfg.rate, start=cfg.start, kept=KEPT), {}
    for name, count, relu, fresh in (("ours", cfg.seeds, True, False), ("linear", cfg.seeds, False, False), ("fresh", 1, True, True)):
        streams = [run.generator(seed, "levels", device=run.device()) for seed in range(count)]
        found[name], b = learn(model.Config(cfg.features, cfg.hidden, relu=relu), streams, schedule, cfg.density, fresh)
        at = [KEPT.index(step) for step in CHECKPOINTS]
        p = torch.full((len(at),), cfg.density, device=b.device)
        losses = [
            train.sampled_loss(*each, p, run.generator(0, "test", device=run.device()), 1024, relu=relu)
            for each in zip(found[name][:, at], b[:, at], strict=True)
        ]
        found[f"{name} loss"] = torch.stack(losses) / data.variance(p)
    return found


levels = memo.memo(train_levels, cfg)
at = [KEPT.index(step) for step in CHECKPOINTS]
steps = np.array(CHECKPOINTS)
W, loss = levels["ours"][:, at].double(), levels["ours loss"]  # (seeds, K, F, H), (seeds, K)
D, leverage = geometry.dimensionality(W), geometry.leverage(W)
linear_D, linear_loss = geometry.dimensionality(levels["linear"][:, at].double()), levels["linear loss"]

# %% [markdown]
# What counts as a jump is fixed first: within 15 per cent of the whole run on its logarithmic axis, one feature gains at least a fifth of a dimension
# while another loses as much. The size of a swap is the smaller of the two changes, and the widest swap of a run is its event.


# %%
def widest_swap(D):
    """(size, first and last checkpoint) of the widest swap of one run, D (K, F)."""
    found = []
    for k, step in enumerate(steps):
        last = int(np.searchsorted(steps, step * steps[-1] ** 0.15, side="right")) - 1
        change = D[last] - D[k]
        found.append((min(float(change.max()), -float(change.min())), k, last))
    return max(found)


swaps = [widest_swap(each) for each in D]
shown = int(np.argmax([size for size, _, _ in swaps]))
event = tuple(int(steps[k]) for k in swaps[shown][1:])
digons = cfg.features - cfg.hidden * float(theory.envelope(torch.tensor([cfg.density], dtype=F64)).gain[1])
figure = plots.energy_levels(steps, D[shown].numpy(), loss[shown].numpy(), linear_loss[shown].numpy(), digons, event)
page.save_figure(
    figure, "F19_energy_levels", {"steps": steps, "D": D[shown], "loss / V": loss[shown], "linear loss / V": linear_loss[shown], "event": event}
)

# %% [markdown]
# First the model behaves like the linear one beside it: it finds $m$ dimensions and spreads all features over them, and both losses fall together.
# Then they part. A feature that is a little ahead pushes its neighbours out of its line, except one, which it pushes to the opposite side. Some
# features climb for a while and are pushed back by a luckier one: these are the swaps.
#
# The ends of the lines are the same for every seed.


# %%
def off_level(D):
    """Largest distance of the 2m largest D from 1/2, and of the others from 0."""
    ordered = D.sort(descending=True).values
    level = 0.5 * (torch.arange(cfg.features) < 2 * cfg.hidden)
    return (ordered - level).abs().amax(-1)


page.check("F19.pairs", off_level(D[:, -1]), control={"linear model, same samples": off_level(linear_D[:, -1])})
page.check("F19.swap", [size for size, _, _ in swaps], control={"linear model, same samples": [widest_swap(each)[0] for each in linear_D]})

# %% [markdown]
# Swaps are there in every seed. The paper adds that the loss drops suddenly at each jump. It does fall in the windows in which dimensions change
# hands. But all runs settle at about the same time, so the dimensions that change hands in one run go with the falls of *another* run about as
# well. At this size many features settle together, and such a correlation does not tell which jump brought which fall. So no verdict is given.


# %%
def windows(D, loss):
    """Dimensions that change hands, and fall of the loss, in every window after the linear stage: (runs, windows) each."""
    began = int((loss.mean(0) < cfg.features - cfg.hidden + 0.5).double().argmax())  # n - m: the linear optimum
    ends = [int(np.searchsorted(steps, step * steps[-1] ** 0.15, side="right")) - 1 for step in steps]
    spans = [(k, ends[k]) for k in range(began, len(steps) - 1)]
    moved = torch.stack([(D[:, last] - D[:, k]).abs().sum(-1) / 2 for k, last in spans], -1)
    return moved, torch.stack([loss[:, k] - loss[:, last] for k, last in spans], -1)


going = np.corrcoef(*windows(D, loss))[: cfg.seeds, cfg.seeds :]  # (seed of the dimensions, seed of the loss)
{"correlation, same run": going.diagonal().round(2), "with other runs": ((going.sum(1) - going.diagonal()) / (cfg.seeds - 1)).round(2)}

# %% [markdown]
# ### A conserved budget
#
# $D_i$ never exceeds the leverage score of row $i$ of $W$, and the leverage scores sum to its rank, $m$. Stacked, they cannot grow above that line.
# The picture shows more: as soon as the linear stage is over the $D_i$ *fill* the line, long before there is any pair, and stay there while
# everything below is rearranged. A jump is a reallocation.

# %%
assert float((leverage - D).min()) > -1e-9
figure = plots.reallocation(steps, D[shown].numpy(), leverage[shown].numpy(), event)
page.save_figure(figure, "F19_reallocation", {"steps": steps, "sum of D": D[shown].sum(-1), "leverage": leverage[shown].sum(-1)})
budget = D.sum(-1) / cfg.hidden
during = [budget[seed, k : j + 1] for seed, (_, k, j) in enumerate(swaps)]
page.check("F19.budget", [float(each.min()) for each in during], control={"the same models before training": budget[:, 0]})

# %% [markdown]
# ### The mistake
#
# The same model on the same samples at the same rate, with a new optimiser in every step, against the correct one, over a hundred successive steps
# in the middle of the run. At this size the mistake does not spoil the end, but the path is that of another algorithm, which moves every
# weight by the full rate however small its gradient is.

# %%
block = [KEPT.index(step) for step in BLOCK]
successive, mistaken = (geometry.dimensionality(levels[name][:, block].double()) for name in ("ours", "fresh"))  # (seeds, 100, F), (1, 100, F)
figure = plots.jitter(np.array(BLOCK), {"one optimiser": successive[0].numpy(), "a new one in every step": mistaken[0].numpy()})
page.save_figure(figure, "F19_fresh_optimiser", {"steps": list(BLOCK), "one": successive[0], "fresh": mistaken[0]})


def shake(D):
    """Mean over steps of the largest change of a D, per unit of rate: (runs,)."""
    return D.diff(dim=1).abs().amax(-1).mean(-1) / cfg.rate


page.check("F19.optimiser", shake(successive), control={"a new optimiser in every step, same samples and rate": shake(mistaken)})

# %% [markdown]
# ## Learning as unfolding
#
# Two sets of three features, $n = 6$, in $m = 3$ dimensions. A set is active with probability $p$, all of it, with independent values. Four states
# have exact losses:
#
# - nothing learned: $2p$;
# - each set collapsed to one direction, the sets on opposite sides. The mean of a set's values is recovered and their differences are not:
#   $3 \cdot \tfrac{1}{12} \cdot \tfrac23 \, p = p/6$ per set, $p/3$ in all, up to a term in $p^2$;
# - an octahedron whose antipodal partners are of different sets: only both sets together do harm, $p^2$;
# - the two triples turned against each other by 60 degrees, a triangular prism: then one set alone already drives features of the other a little,
#   $p^2 + p/360$.

# %%
I3, one = torch.eye(3, dtype=F64), torch.ones(3, 3, dtype=F64)
octahedron = torch.cat([I3, -I3])
prism = torch.cat([I3, I3 - 2 / 3 * one])  # the second triple mirrored in the plane across (1, 1, 1)
collapsed = torch.cat([one, -one]) / 3
p = torch.full((4,), cfg.set_density, dtype=F64)
states = torch.stack([0 * octahedron, collapsed, prism, octahedron])
closed = torch.stack([2 * p[0], p[0] / 3, p[0] ** 2 + p[0] / 360, p[0] ** 2])
computed = exact.loss(states, torch.zeros(4, 6, dtype=F64), data.Correlated(3).law(p, 6))
assert torch.allclose(computed[[0, 2, 3]], closed[[0, 2, 3]], rtol=1e-6)
assert abs(computed[1] - closed[1]) < 5 * p[0] ** 2

# %% [markdown]
# Gradient descent on the exact loss, all starts side by side. There is no sampling noise: runs differ by their initial weights alone. Further runs
# start beside the prism, and one exactly on it; as controls, six *independent* features of the same density; and, to see what sampling changes, a
# few runs on samples.


# %%
def train_sets(cfg):
    """Paths of the exact descent: correlated sets, the prism and starts beside it, independent features; and sampled runs' weights."""
    streams = [run.generator(seed, "sets") for seed in range(cfg.seeds)]
    W = torch.cat([cfg.set_start * torch.randn(cfg.starts, 6, 3, generator=stream, dtype=F64) for stream in streams])
    beside = torch.stack([prism] + [prism + 0.001 * torch.randn(6, 3, generator=stream, dtype=F64) for stream in streams])
    correlated, found = data.Correlated(3), {}
    cases = {"sets": (W, correlated, cfg.set_rate, cfg.set_steps), "prism": (beside, correlated, cfg.set_rate, cfg.set_steps // 2)}
    cases["independent"] = (W[: cfg.few], data.INDEPENDENT, 3 * cfg.set_rate, cfg.set_steps // 3)
    for name, (first, source, rate, steps) in cases.items():
        law = source.law(torch.full((len(first),), cfg.set_density, dtype=F64), 6)
        zero = torch.zeros(len(first), 6, dtype=F64)
        path = exact.descend(first, zero, law, steps=steps, rate=rate, kept=log_spaced(steps, cfg.checkpoints))
        found |= {f"{name} W": path.W, f"{name} loss": path.loss, f"{name} W_at": path.W_at, f"{name} loss_at": path.loss_at}
    schedule = train.Schedule(cfg.set_steps, 128, cfg.set_rate, start=cfg.set_start / math.sqrt(2 / 9))
    streams = [run.generator(seed, "sampled sets") for seed in range(cfg.seeds)]
    fitted = train.fit(model.Config(6, 3), torch.tensor([cfg.set_density]), streams, schedule, source=correlated)
    law = correlated.law(torch.full((cfg.seeds,), cfg.set_density, dtype=F64), 6)
    return found | {"sampled W": fitted.W.double(), "sampled loss": exact.loss(fitted.W.double(), fitted.b.double(), law)}


sets = memo.memo(train_sets, cfg)

# %% [markdown]
# The cosines between the sets name the geometry. Match every feature with one of the other set so that the pairs are as opposite as they can be:
# the mean cosine of the partners is $-1$ for the octahedron and $-2/3$ for the prism. A run ends in the octahedron if all partners are below $-.97$
# and the cosines within a set are below $.1$.


# %%
def cosines(W):
    unit = W / W.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return unit @ unit.mT


def partners(W):  # (*I, 3): cosines of the best matching of the two sets
    across = cosines(W)[..., :3, 3:]
    matchings = torch.stack([across[..., range(3), order] for order in itertools.permutations(range(3))], -2)  # (*I, 6, 3)
    best = matchings.sum(-1).argmin(-1)
    return matchings.gather(-2, best[..., None, None].expand(*best.shape, 1, 3))[..., 0, :]


def within(W):  # (*I,): largest |cosine| inside a set
    c = cosines(W)
    blocks = torch.stack([c[..., :3, :3], c[..., 3:, 3:]], -3)
    return (blocks - I3 * blocks).abs().amax((-1, -2, -3))


def is_octahedron(W):
    return (partners(W).amax(-1) < -0.97) & (within(W) < 0.1)


assert is_octahedron(torch.stack([octahedron, prism])).tolist() == [True, False]
assert torch.allclose(partners(prism), torch.full((3,), -2 / 3, dtype=F64))

# %% [markdown]
# Markers on the paths: A the start, B the sets have collapsed, C they begin to open, D they have opened, E the end. The runs drawn are the
# one that arrives at D closest to the octahedron and the one that arrives closest to the prism.

# %%
set_steps = np.array(log_spaced(cfg.set_steps, cfg.checkpoints))
relative, p0 = sets["sets loss_at"] / cfg.set_density, cfg.set_density


def first(condition):  # (T, I) -> first kept step where it holds, per run
    return condition.double().argmax(0)


opened = first(relative < 1.3 * p0)


def axis_up(path, at):
    """The path turned, as a whole, so that the axis between the two sets at `at` points upwards; no loss knows of a rotation."""
    return geometry.upright(path, (path[at, :3] - path[at, 3:]).sum(0), I3[0])


arrival = partners(sets["sets W_at"][opened, torch.arange(cfg.seeds * cfg.starts)]).mean(-1)
stages = torch.stack([0 * opened, first(relative < 0.35), first(relative < 0.3), opened, 0 * opened + len(set_steps) - 1], 1)
drawn = {"straight to the octahedron": int(arrival.argmin()), "by way of the prism": int(arrival.argmax())}
names = {"sets collapsed, p/3": 1 / 3, "prism, p² + p/360": p0 + 1 / 360, "octahedron, p²": p0}
paths = [(title, index, axis_up(sets["sets W_at"][:, index], stages[index, 3]).numpy(), stages[index].tolist()) for title, index in drawn.items()]
figure = plots.unfolding(set_steps, relative.numpy(), names, paths)
page.save_figure(figure, "F20_unfolding", {"steps": set_steps, "exact loss / p": relative, "drawn": drawn, "stages": stages})

# %% [markdown]
# From A to B the model does what a linear one would: a principal component per set. Some runs take one set first, and rest at $7p/6$ on the way.
# At the plateau all of a set's features point the same way. Then each triple opens like an umbrella. If the triples happen to be turned
# against each other at that moment, the features end up opposite gaps, the prism, and the run rests a second time before it turns.

# %%
smooth = 2


def flattest(relative, steps):
    """Kept step at which a path is flattest in the log-log plot, with loss / p between 1/20 and 1: one per run."""
    log_loss, log_step = relative.log(), torch.from_numpy(steps).double().log()
    slope = (log_loss[2 * smooth :] - log_loss[: -2 * smooth]) / (log_step[2 * smooth :] - log_step[: -2 * smooth])[:, None]
    middle = relative[smooth:-smooth]
    return smooth + torch.where((middle > 0.05) & (middle < 1), slope.abs(), torch.inf).argmin(0)


def collapse(name, steps):
    """Least cosine of two features of one set where the path is flattest: one per run."""
    at = flattest(sets[f"{name} loss_at"] / p0, steps)
    c = cosines(sets[f"{name} W_at"][at, torch.arange(len(at))])
    return torch.minimum(c[:, :3, :3].amin((1, 2)), c[:, 3:, 3:].amin((1, 2)))


page.check(
    "F20.plateau",
    collapse("sets", set_steps).unflatten(0, (cfg.seeds, -1)).median(1).values,
    control={"six independent features, same starts": collapse("independent", np.array(log_spaced(cfg.set_steps // 3, cfg.checkpoints))).median()},
)

# %% [markdown]
# ## Where runs end
#
# The paper reports that runs take different ways. On the exact loss the ways differ and the end does not.

# %%
endings = is_octahedron(sets["sets W"])
straight = arrival < -5 / 6  # nearer to the octahedron than to the prism
counts = {
    "on the way": {"nearer the octahedron": int(straight.sum()), "nearer the prism": int((~straight).sum())},
    "end (exact)": {"octahedron": int(endings.sum()), "other": int((~endings).sum())},
    "end (sampled)": {"octahedron": int(is_octahedron(sets["sampled W"]).sum()), "other": int((~is_octahedron(sets["sampled W"])).sum())},
}
uniform = -(1 + 2 * np.cos(np.linspace(0, np.pi / 3, 2001))) / 3  # mean cosine of partners, the triples turned by each angle
figure = plots.branches(counts, arrival.numpy(), uniform)
page.save_figure(figure, "F20_branches", {"counts": counts, "arrival": arrival, "loss / p^2": sets["sets loss"] / p0**2, "starts": len(endings)})
page.check(
    "F20.octahedron",
    endings.double().unflatten(0, (cfg.seeds, -1)).mean(1),
    control={"six independent features, whose partners do not know the sets": is_octahedron(sets["independent W"]).double().mean()},
)

# %% [markdown]
# The prism is therefore a place to rest, not an ending. Starts right beside it leave it; it is a saddle, with little slope around: its excess
# $p/360$ is small against the $p/3$ that was gained before. A run that is stopped early, or whose rate has decayed, is found there and looks like
# another solution, and so is the run that starts exactly on it.
#
# How many come near it? Two triples turned against each other by an angle $\theta$ from the octahedron have a mean cosine of partners of
# $-(1 + 2 \cos \theta) / 3$. If the angle were uniform between 0 and 60 degrees at the moment of opening, those nearer the prism would be the ones
# with $\cos \theta < 3/4$.

# %%
turned = partners(sets["prism W"]).amax(-1)
page.check("F20.saddle", turned[1:], control={"the run that starts exactly on the prism": turned[0]})
at_the_end = (partners(sets["sets W"]).mean(-1) > -5 / 6).double().mean()
page.check("F20.both_ways", (~straight).double().mean(), control={"the same runs at the end": at_the_end})
{"expected with a uniform angle": round(1 - math.acos(3 / 4) / (math.pi / 3), 3)}

# %% [markdown]
# ## What sampling changes
#
# Nothing in the picture, for runs that are long enough. A batch holds few samples in which both sets are active, and these alone tell an octahedron
# from its slightly turned neighbours, so sampled runs arrive with somewhat less exact angles, and a little above the exact loss.

# %%
page.check("F20.sampled", sets["sampled loss"] / p0**2, control={"the triangular prism": float(computed[2]) / p0**2})

# %% [markdown]
# **What to take from this page.** Jumps conserve the sum of dimensionalities, so ask of every gain who paid for it. Plateaus of the loss are places
# with a name and a closed form, and the flat ones near the end are easily taken for solutions.

# %% [markdown]
# ## Limits
#
# - Energy levels are shown at one size and one density; the octahedron at one density.
# - That the loss drops at each jump is not shown here: many features settle at once, and at the same time in every run.
# - The band of `F19.optimiser` was set after similar runs, not before all of them.

# %%
page.close()
