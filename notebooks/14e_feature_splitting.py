# %% [markdown]
# # 14e. Feature splitting
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/14e_feature_splitting.ipynb)
#
# **Pages** [← 14d. Recipes, density, and how much of the loss is recovered](14d_density_and_recipes.ipynb) · [Start here](00_start_here.ipynb) · [14f. A map of latents, and automata →](14f_map_and_automata.ipynb)
#
# What happens to a latent when the dictionary has four times as many of them? *Towards Monosemanticity* says that it splits into several finer ones.
# On this page you repeat this on a language model of Python code, where the true role of every token is known. Each finding is also measured where it
# should fail, for instance in a dictionary that was never trained, and some of them do not survive that.
#
# **You will** compute the measure by which latents are called parent and child · find a threshold that chance does not reach · see how much of a
# latent its children account for · see which roles of `=`, `.`, `:` and the newline have a latent of their own.
#
# **Needs** what a latent and a dictionary are ([page 8](08_sae_training.ipynb#model)), and the one-layer model of
# [page 7](07_language_model.ipynb#model). One latent is taken apart in detail on [page 14](14_anatomy_of_a_feature.ipynb).
# **Takes** about eight minutes at `laptop` on two cores, once; afterwards what was trained is read back ([start
# here](00_start_here.ipynb#profiles) has the other profiles).
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html), its section on
# [feature splitting](https://transformer-circuits.pub/2023/monosemantic-features/index.html#phenomenology-feature-splitting).
#
# **On this page** [1 One latent and its children](#children) · [2 How large a cosine means something](#threshold) · [3 One token, several roles](#roles) · [4 Explore](#explore) · [5 Your turn](#your-turn) · [6 Limits](#limits) · [7 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from companion import claims, dictionaries, memo, run
from companion.dictionaries import DictionaryConfig, variant
from companion.evals import automata, features, live, splitting, views
from companion.evals.n2g import Firings
from companion.firings import fired_by, labelled
from companion.lm import labels
from companion.lm.training import TINY
from companion.plots import explorer
from companion.plots import splitting as plots
from companion.sae.recipe import TrainConfig

claims.opening("14e_feature_splitting")

# %% [markdown]
# All dictionaries are of the same 512 neurons, those of the one-layer model of page 7 (model A there). Narrow ones have as many latents as there are
# neurons, wide ones four times as many, and one has sixteen times as many. A latent takes part in a comparison if it is active on at least `least` tokens.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    narrow: tuple[DictionaryConfig, ...]  # one per random seed
    wide: tuple[DictionaryConfig, ...]
    widest: DictionaryConfig
    other: DictionaryConfig  # wide, of the same model with shuffled weights
    least: int  # active tokens of a latent that is compared
    near: int  # latents of about the same density from which a quantile is taken
    shown: int = 96  # contexts of the explorer


def config(base, sizes, seeds, **rest):
    narrow, wide = ([variant(base, n=n, seed=seed) for seed in range(seeds)] for n in sizes[:2])
    other = variant(replace(base, shuffled=True), n=sizes[1])
    return Config(tuple(narrow), tuple(wide), variant(base, n=sizes[2]), other, **rest)


KEEP, NEURONS = ("averaged", "untrained"), "mlp.hook_post"
tiny = replace(TINY, layers=1, steps=100)
quick_recipe = TrainConfig(n=128, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
small = DictionaryConfig(tiny, quick_recipe, layer=0, hook=NEURONS, contexts=1000, heldout=64, keep=KEEP)
one = dictionaries.offline_subject("python-stdlib-1l")
recipe = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
neurons = DictionaryConfig(one, recipe, layer=0, hook=NEURONS, contexts=6000, heldout=1024, keep=KEEP)
longer = replace(neurons, train=replace(recipe, steps=4000), contexts=24_000)
cfg = run.choose(
    quick=config(small, (32, 128, 256), 2, least=8, near=21, shown=16),
    laptop=config(neurons, (512, 2048, 8192), 5, least=32, near=101),
    paper=config(longer, (512, 4096, 16_384), 5, least=32, near=101),
)
page = claims.Page("14e_feature_splitting", cfg)

# %% [markdown]
# <a id="children"></a>
# ## 1 One latent and its children
# First the text on which everything is measured: held-out files, and of every token the labels that Python's own parser gives it
# ([page 14](14_anatomy_of_a_feature.ipynb) explains them).

# %%
subject, (tokens, known) = dictionaries.open_subject(cfg.narrow[0].subject), labelled(cfg.narrow[0])
site, V, T = cfg.narrow[0].site, len(subject.unembedding()), tokens.shape[1]
print(f"{len(tokens)} contexts of {T} tokens; {known.values.shape[2]} labels")

# %% [markdown]
# `fired_by` tells where each latent of a dictionary is active on this text, and how much. Of each token it keeps only the latents that are active.
#
# Two dictionaries that are drawn from one random seed begin with the same rows: the narrow one's first directions are the wide one's first
# directions. They would be alike without having learned anything (the cell prints the cosines of the first rows). So on this page a narrow dictionary is
# always compared with a wide one of another seed.

# %%
narrow_config, wide_config = cfg.narrow[0], cfg.wide[1]
narrow, wide = fired_by(narrow_config), fired_by(wide_config)
same_seed = [dictionaries.dictionary(each[0], "untrained").sae.W_dec[:8] for each in (cfg.narrow, cfg.wide)]
cosine = (same_seed[0] * same_seed[1]).sum(1)
print("first rows of one seed, untrained: cosine", cosine.round(decimals=2).tolist()[:4])
for name, each in (("narrow", narrow), ("wide", wide)):
    print(f"{name}: {len(each.counts)} latents, median density {each.counts.median() / tokens.numel():.2%}")

# %% [markdown]
# The paper joins two latents when their **masked cosine** is large. Write $f$ and $g$ for their activations on all tokens. Keep only the tokens where
# $f$ is active, and take the cosine of the two vectors there; do the same where $g$ is active; take the larger one. A latent $g$ that is active on a
# part of the tokens of $f$, and there in proportion to it, has a masked cosine of 1 with it, although the plain cosine is small.


# %%
def masked_cosine(f, g):
    where = [mask for mask in (f > 0, g > 0) if mask.any()]
    return max(torch.cosine_similarity(f[mask], g[mask], dim=0) for mask in where)


def dense(fired, latent):
    own = features.own(fired, latent)
    return torch.zeros(tokens.shape).index_put_((own.context, own.position), own.value).flatten()


f = torch.tensor([3.0, 2.0, 4.0, 1.0, 0.0])
part = torch.tensor([0.0, 0.0, 4.0, 1.0, 0.0])
plain = torch.cosine_similarity(f, part, dim=0)
print(f"part of a latent: masked cosine {masked_cosine(f, part):.2f}, cosine {plain:.2f}")

# %% [markdown]
# The package computes it for all pairs at once, with sparse matrices. It must agree with `masked_cosine`. We take as an example the narrow latent
# that goes best with names in capitals, such as `MAX_SIZE` (the label `ALL_CAPS`), chosen by its correlation on the first half of the
# contexts.

# %%
half = len(tokens) // 2
first = labels.ContextLabels(known.values, known.known & (torch.arange(len(tokens)) < half)[:, None])
CAPS = labels.COLUMN["ALL_CAPS"]
by_label = features.correlation(narrow, known.values, tokens.shape, first.known).nan_to_num()
parent = int(by_label[:, CAPS].argmax())
mine = features.only(narrow, torch.tensor([parent]))
cosines = features.masked_cosine(mine, wide, tokens.shape)[0]
nearest = cosines.argsort(descending=True)[:6].tolist()
for child in nearest[:3]:
    assert abs(masked_cosine(dense(narrow, parent), dense(wide, child)) - cosines[child]) < 1e-4


# %% [markdown]
# Which wide latents are nearest to it? For each: the cosine, the density, the label it goes best with, and the tokens on which it is most active.


# %%
def word(token):
    return views.visible(subject.tokenizer.decode([token]))


top_tokens = partial(views.top_tokens, subject, tokens)


def best_labels(fired):
    found = features.correlation(fired, known.values, tokens.shape, known.known).nan_to_num(-1.0)
    return found.argmax(1)


best_narrow, best_wide = best_labels(narrow), best_labels(wide)
density = {"narrow": narrow.counts / tokens.numel(), "wide": wide.counts / tokens.numel()}
print(f"narrow {parent}: {density['narrow'][parent]:.1%} of tokens, {top_tokens(narrow, parent)}")
for child in nearest:
    what = f"{views.NAMES[best_wide[child]]:18} {top_tokens(wide, child)}"
    print(f"  {cosines[child]:.2f}  wide {child:4}: {density['wide'][child]:5.1%}  {what}")

# %% [markdown]
# Compare the tokens and the densities. Some of the nearest latents share tokens with the narrow one, as children in the paper's tree would. Others are
# hardly ever active, and on other tokens: their cosine is large all the same. A table like this can be made for any two dictionaries, so it is no
# evidence yet. How large would the cosines be by chance?

# %% [markdown]
# <a id="threshold"></a>
# ## 2 How large a cosine means something
# There is a boring way to a large masked cosine. Let a latent be active on three tokens only, and let another be steadily active everywhere around.
# On the three tokens both are nearly constant, so the masked cosine of the two is nearly 1, whatever they stand for.

# %%
steady = 1 + 0.2 * torch.rand(1000, generator=run.generator(0, "steady"))
rare = torch.zeros(1000)
rare[[3, 500, 900]] = torch.tensor([1.0, 1.2, 0.9])
print(f"masked cosine {masked_cosine(steady, rare):.3f}; active on {int((rare > 0).sum())} of 1,000 tokens")
assert masked_cosine(steady, rare) > 0.97

# %% [markdown]
# So a threshold means nothing without a *null*: the same measurement where there is nothing to find. The first line of the table is what is studied, the
# other four are nulls.
#
# | name | what is compared |
# |---|---|
# | trained | a narrow dictionary with a wide one, both trained |
# | wide untrained | with a wide dictionary before its first training step |
# | narrow untrained | the other way round |
# | same token | both trained, but every activation of the wide one is moved to another place with the same token, drawn at random |
# | other model | with a wide dictionary of the model with shuffled weights, on the same text |
#
# The fourth keeps what the token alone explains and destroys the context. The function moves all latents by one permutation of the places:


# %%
def same_token(fired, tokens, generator):
    flat = tokens.flatten()
    drawn = torch.randperm(len(flat), generator=generator)  # all places in random order
    to = torch.empty_like(flat)
    to[flat.argsort(stable=True)] = drawn[flat[drawn].argsort(stable=True)]  # both sorted by token: partners
    return to[fired.context * tokens.shape[1] + fired.position], to


places, to = same_token(wide, tokens, run.generator(0, "moved"))
assert (tokens.flatten()[to] == tokens.flatten()).all()  # the token is the same,
assert (to.sort().values == torch.arange(len(to))).all()  # and each place is used once
packaged = splitting.moved(wide, tokens, run.generator(0, "moved"))
assert torch.equal(places.sort().values, (packaged.context * T + packaged.position).sort().values)

# %% [markdown]
# Now all pairs of latents, for each of these and for five pairs of dictionaries. We count a wide latent as a *child* of a narrow one at every threshold
# that its cosine reaches, and note each wide latent's largest cosine, that with its best *parent*. Every other context is enough for this.

# %%
THRESHOLDS = np.linspace(0.3, 0.95, 14)
KINDS = ("trained", "wide untrained", "narrow untrained", "same token", "other model")


@dataclass(frozen=True)
class Pair:
    narrow: DictionaryConfig
    wide: DictionaryConfig
    other: DictionaryConfig
    kinds: tuple[str, ...]
    least: int
    near: int


def every_other(fired):
    some = fired.chosen(fired.context % 2 == 0)
    return Firings(some.context // 2, some.position, some.value, some.counts)


def codes_of(pair, kind):
    """The two sets of activations that are compared under this name."""
    low = every_other(fired_by(pair.narrow, "untrained" if kind == "narrow untrained" else "averaged"))
    config = pair.other if kind == "other model" else pair.wide
    high = every_other(fired_by(config, "untrained" if kind == "wide untrained" else "averaged"))
    if kind == "same token":
        high = splitting.moved(high, labelled(pair.narrow)[0][::2], run.generator(pair.wide.seed, "moved"))
    return low, high


# %% [markdown]
# The null must have the same density, since the cosine that chance reaches depends on it: the line in the second figure below shows how. (The example
# above is one way to a large cosine. Another is that a dense latent shares many tokens with any other dense one.) So for each trained latent we take
# the latents of the untrained wide dictionary of about its density (the nearest in rank), and from them the cosine that 95 % of them stay below. This
# cosine is the trained latent's *bar*, and the latent *has a parent* if its own best cosine is above the bar. By construction about 5 % of untrained
# latents have one. Some trained latents are rarer or denser than nearly all untrained ones. They have no *match* in the null, and do not count where
# trained latents are compared with it.


# %%
def quantile_at(counts, null_counts, null, near, q=0.95):
    """The q-quantile of `null` among the `near` null latents nearest in rank of density, for one latent."""
    order = null_counts.argsort(stable=True)
    at = int(torch.searchsorted(null_counts[order].contiguous(), counts)) - near // 2
    at = min(max(at, 0), len(order) - near)
    return null[order[at : at + near]].quantile(q)


def parents_of(best, counts, pair):
    """By kind: the bar, which latents are above it, and which have null latents of their density."""
    null, null_counts = best["wide untrained"], counts["wide untrained"]
    enough = null_counts >= pair.least
    found = {}
    for kind, own in best.items():
        alike = splitting.matched(counts[kind], null_counts[enough], null[enough], pair.near)
        bar = alike.quantile(0.95, dim=1)
        found[kind] = bar, own >= bar, splitting.has_match(counts[kind], null_counts[enough], pair.near)
    return found


# %% [markdown]
# The last thing to know is whether the children together make up the parent. Their *coverage* is the share of the parent's activation that lies on
# tokens where at least one child is active; 0 for a latent without children. As controls: children moved to other places of the same token; for each
# child another wide latent of the same density; and as many latents of the untrained dictionary, those with the largest cosines.


# %%
def covered(pair, cosines, joined, shape):
    (low, high), counts = codes_of(pair, "trained"), joined.sum(1)
    random = run.generator(pair.wide.seed, "children")
    swapped = torch.zeros_like(joined)
    swapped[:, automata.exchanged(high.counts, random)] = joined
    rank = cosines["wide untrained"].argsort(1, descending=True).argsort(1)
    as_many = rank < counts[:, None]
    cases = {"trained": (high, joined), "other latents": (high, swapped)}
    cases["same token"] = codes_of(pair, "same token")[1], joined
    cases["nearest untrained"] = codes_of(pair, "wide untrained")[1], as_many
    return {name: splitting.coverage(low, *case, shape).nanmedian() for name, case in cases.items()}


def compared(pair: Pair):
    shape = (len(labelled(pair.narrow)[0][::2]), T)
    cosines, best, counts, made = {}, {}, {}, {}
    for kind in pair.kinds:
        low, high = codes_of(pair, kind)
        found, counts[kind] = features.masked_cosine(low, high, shape), high.counts
        best[kind] = found.amax(0)
        edges = torch.stack([(found >= at).sum(0).float() for at in THRESHOLDS.tolist()])  # (thresholds, M)
        made |= {f"edges/{kind}": edges, f"best/{kind}": best[kind], f"counts/{kind}": high.counts}
        if kind in ("trained", "wide untrained"):
            cosines[kind] = found
    for kind, (bar, above, matched) in parents_of(best, counts, pair).items():
        made[f"share/{kind}"] = (above & matched).sum() / matched.sum().clamp_min(1)
        made |= {"bar": bar, "matched": matched} if kind == "trained" else {}
    joined = (cosines["trained"] >= made["bar"]) & (counts["trained"] >= pair.least)
    made["joined"] = joined.sum(1)
    return made | {f"covered/{name}": value for name, value in covered(pair, cosines, joined, shape).items()}


# %% [markdown]
# The paper draws an edge at a masked cosine of about .4. Guess before you look: from which threshold on does a trained dictionary differ from the
# controls? The paper's dictionaries are trained on about ten thousand times as many tokens, and with a penalty in place of TopK, so its threshold need
# not be ours.

# %%
SHARED = dict(other=cfg.other, kinds=KINDS, least=cfg.least, near=cfg.near)
wides = (*cfg.wide[1:], cfg.wide[0])  # never of the same seed
pairs = [memo.memo(compared, Pair(*each, **SHARED)) for each in zip(cfg.narrow, wides, strict=True)]


def over_seeds(name):
    return np.array([float(made[name]) for made in pairs])


first_pair = pairs[0]
often = first_pair["counts/wide untrained"] >= cfg.least
null = first_pair["counts/wide untrained"][often], first_pair["best/wide untrained"][often]
for latent in (0, len(wide.counts) // 2):
    by_hand = quantile_at(first_pair["counts/trained"][latent], *null, cfg.near)
    assert torch.isclose(by_hand, first_pair["bar"][latent])

# %% [markdown]
# Now the children, by the threshold. The two dictionaries must be of the same density here too: among untrained wide latents there are fewer rare ones, and
# rare latents have fewer large cosines. So for each trained wide latent we take the mean number of edges that untrained latents of its density have.


# %%
def children(made, kind):
    """Edges per narrow latent at each threshold, of the wide latents that have a match in the null."""
    edges, counts = made[f"edges/{kind}"], made["counts/trained"]
    if kind == "wide untrained":  # in place of each trained latent: the mean over those of its density
        null = made[f"counts/{kind}"]
        enough = null >= cfg.least
        rows = [splitting.matched(counts, null[enough], row[enough], cfg.near).mean(1) for row in edges]
        edges = torch.stack(rows)
    return (edges[:, made["matched"]].sum(1) / len(narrow.counts)).numpy()


every_count = {kind: np.stack([children(made, kind) for made in pairs]) for kind in KINDS[:4]}
counted = {kind: each.mean(0) for kind, each in every_count.items()}
sizes = f"n = {len(narrow.counts)} and {len(wide.counts):,}, k = {narrow_config.train.k}"
page.save_figure(
    plots.children(THRESHOLDS, counted, 0.4),
    "children_by_threshold",
    {"thresholds": THRESHOLDS} | counted,
    f"Children of a narrow latent, by the threshold on the masked cosine ({sizes}, mean of {len(pairs)} "
    "pairs of dictionaries; wide latents with null latents of their density). Look at the paper's threshold "
    "first: how far are the controls below the trained dictionaries there? And from which threshold on do "
    "the curves part? The paper has no such figure.",
)

# %% [markdown]
# The first claim says it in a number: at .4, the edges of untrained wide latents of the same densities, as a share of those of the trained ones. With a
# half or more, at least half as many edges are there without any training of the wide dictionary. The control is the same ratio at .8, where it should be
# small if that threshold is a good one. The last line printed says what the ratio would be if all latents of the two dictionaries were compared, whatever
# their density.

# %%
at_paper, at_high = (int(np.abs(THRESHOLDS - at).argmin()) for at in (0.4, 0.8))


def untrained_share(at):
    return every_count["wide untrained"][:, at] / every_count["trained"][:, at]


page.check(
    "split.threshold-too-low",
    untrained_share(at_paper),
    control={"the same at .8": untrained_share(at_high)},
)


def all_edges(kind):
    kept = [made[f"edges/{kind}"][at_paper][made[f"counts/{kind}"] >= cfg.least] for made in pairs]
    return sum(float(each.sum()) for each in kept)


print(f"whatever the density: {all_edges('wide untrained') / all_edges('trained'):.2f}")

# %% [markdown]
# The larger this share, the less an edge at .4 says about what the wide dictionary has learned. Matching the density lowers the share somewhat, since
# untrained latents are less often rare; most edges at .4 are there without training all the same. So the threshold has to come from the null.
# With the density-matched bar: on the left each point is a trained wide latent, on the right an untrained one; the line is the bar, drawn where the null
# has latents on both sides.

# %%
made = pairs[0]
enough, matched = made["counts/trained"] >= cfg.least, made["matched"]
alike = made["counts/wide untrained"] >= cfg.least
spot = tokens[::2].numel()
order = made["counts/trained"][matched].argsort()


def curve(x, y):
    return (x / spot).numpy(), y.numpy()


page.save_figure(
    plots.parents(
        curve(made["counts/trained"][enough], made["best/trained"][enough]),
        curve(made["counts/wide untrained"][alike], made["best/wide untrained"][alike]),
        curve(made["counts/trained"][matched][order], made["bar"][matched][order]),
    ),
    "best_parents",
    {"bar": made["bar"][matched][order], "counts": made["counts/trained"][matched][order]},
    f"The masked cosine of each wide latent with its best parent, by density ({sizes}). Look at how many "
    f"points lie above the line: on the left {float(made['share/trained']):.0%} of those in its range, on "
    f"the right 5 % by construction. {int(enough.sum() - (enough & matched).sum())} of {int(enough.sum()):,} "
    "trained latents are rarer or denser than the line reaches: too few null latents are like them, so they "
    "are drawn but not counted. The paper has no such figure.",
)

# %% [markdown]
# If most wide latents are parts of narrow ones, more than half of those with a match in the null should be above the bar. The controls: only the wide
# dictionary has learned something; only the tokens agree; or the wide dictionary is of a model whose weights were shuffled. (The remaining case, in which
# only the narrow dictionary has learned, is the null itself: about 5 %.)

# %%
page.check(
    "split.parents",
    over_seeds("share/trained"),
    control={
        "wide latents moved to other places of the same token": over_seeds("share/same token"),
        "narrow dictionary untrained": over_seeds("share/narrow untrained"),
        "wide dictionary of the model with shuffled weights": over_seeds("share/other model"),
    },
)
for kind in KINDS:
    print(f"{kind:17} above the bar: {np.mean(over_seeds(f'share/{kind}')):.0%}")

# %% [markdown]
# Read the table from its last line up. In the dictionary of the shuffled model and where only the token agrees, many latents are above the bar too, far
# more than the 5 % of the null. So a part of what looks like parents and children comes from the tokens alone, and no more than the distance from these
# lines to the first can come from learned contexts. For a latent below the bar, the best parent is no nearer than chance would give. Where the share
# is little above a half, nearly as many latents are of this second kind.
#
# The next question is how much of a parent its children account for. If splitting is all that happens, it should be more than half. As a positive
# example, for which this must hold, we cut each narrow latent into four parts, dealing its active tokens at random, and look for its children among
# these with the same bar.


# %%
def cut_in_four(pair, made):
    """Coverage of narrow latents by children that are their parts."""
    low, _ = codes_of(pair, "trained")
    part = torch.randint(4, low.latent.shape, generator=run.generator(pair.wide.seed, "parts"))
    latent = 4 * low.latent + part
    order = latent.argsort(stable=True)
    counts = torch.bincount(latent, minlength=4 * len(low.counts))
    high = Firings(low.context[order], low.position[order], low.value[order], counts)
    cosines = features.masked_cosine(low, high, (len(tokens[::2]), T))
    null, often = made["best/wide untrained"], made["counts/wide untrained"]
    enough = often >= pair.least
    bar = splitting.matched(counts, often[enough], null[enough], pair.near).quantile(0.95, dim=1)
    return splitting.coverage(low, high, cosines >= bar, (len(tokens[::2]), T)).nanmedian().item()


planted = cut_in_four(Pair(cfg.narrow[0], wides[0], **SHARED), pairs[0])
print(f"parts of the latents themselves cover {planted:.0%}")

# %% [markdown]
# And now the wide dictionary's latents. The hardest control is the third: as many untrained latents, chosen by their cosine.

# %%
page.check(
    "split.children-cover",
    over_seeds("covered/trained"),
    control={
        "children moved to other places of the same token": over_seeds("covered/same token"),
        "other wide latents of the same density": over_seeds("covered/other latents"),
        "as many untrained latents, the nearest": over_seeds("covered/nearest untrained"),
    },
    witness=planted,
)
children = torch.cat([made["joined"] for made in pairs]).float()
alone = (children == 0).float().mean()
print(f"children of a narrow latent: mean {children.mean():.1f}; none at all: {alone:.0%}")

# %% [markdown]
# Read two things on the card. If the median lies below a half, more than half of a typical latent's activation lies on tokens where none of its
# children is active; then splitting into children is not all that happens, at this bar (a lower bar gives more children and more coverage). And the
# distance to the third control says what training adds: where as many untrained latents cover nearly as much, coverage is no evidence of splitting.
#
# A mean number of children above 1 is no evidence of splitting either: with four times as many latents on one side it must be 1 or more as soon as a
# quarter of them has a parent. We go one step further, from the wide dictionary to the widest, where again each could be a child. Is the share above the
# bar as large as before? (The widest is trained on as many tokens, so that each of its latents has seen fewer on which it is active.)

# %%
further = Pair(wide_config, cfg.widest, cfg.other, KINDS[:2], cfg.least, cfg.near)
step = memo.memo(compared, further)
share = float(step["share/trained"])
print(f"{cfg.widest.train.n:,} latents, of which {share:.0%} have a parent above the bar")

# %% [markdown]
# <a id="roles"></a>
# ## 3 One token, several roles
# The paper's finest examples of splitting are of one and the same token in different contexts, such as "the" in mathematical prose. Such cases
# have an advantage: the token is fixed, so a latent that tells two of them apart has read the context. Python has tokens of this kind, and here
# the true role of each is known: `=` passes a keyword argument or gives a default; a dot follows `self`, joins other names, or ends a
# sentence of a docstring; a colon opens a block or belongs to a dict; a line break ends a statement, or stands within brackets. We write the roles as
# masks of labels; where two hold the earlier one counts.

# %%
ROLES = {
    "=": ("keyword", "default"),
    ".": ("self", "attribute", "docstring", "comment", "string"),
    ":": ("dict", "if", "for", "except", "block", "prose"),
    "\n": ("end of statement", "in brackets", "blank line", "docstring"),
}


def masks(sign, known):
    """The roles of a sign, in the order of `ROLES`: (R, N, T)."""

    def label(name):
        return known.values[..., labels.COLUMN[name]]

    before = torch.nn.functional.pad(label("self")[:, :-1], (1, 0))  # the token before is self
    dot, colon, line = label("dot"), label("colon"), label("other newline")
    found = {
        "=": [label("keyword ="), label("default =")],
        ".": [dot & before, dot, label("docstring"), label("comment"), label("string")],
        ":": [colon & label(name) for name in ("in {}", "if line", "for line", "except line")],
        "\n": [label("end of statement"), line & label("in brackets"), line, label("docstring")],
    }
    found[":"] += [colon & ~label("in brackets"), label("string") | label("comment")]
    return torch.stack(found[sign]) & known.known


# %% [markdown]
# A sign has several tokens: ` =` with a space in front is nearly always an assignment, `=` without one seldom. We take the token that has the most
# occurrences outside of its commonest role, so that there is something to tell apart.


# %%
def roles_of(sign, tokens, known):
    """The token of a sign with the most mixed roles; at each place its role, -1 where it has none."""
    table, every = masks(sign, known), [subject.tokenizer.decode([token]) for token in range(V)]
    number = torch.where(table.any(0), table.int().argmax(0), -1)  # the first that holds
    spread = []
    for token in (token for token in range(V) if sign in every[token] and every[token].strip(" ") == sign):
        counts = torch.bincount(number[(tokens == token) & (number >= 0)], minlength=len(table))
        spread.append((int(counts.sum() - counts.max()), token))
    token = max(spread)[1]
    return token, torch.where(tokens == token, number, -1)


found_roles = {sign: roles_of(sign, tokens, known) for sign in ROLES}
for sign, (token, number) in found_roles.items():
    counts = torch.bincount(number[number >= 0], minlength=len(ROLES[sign])).tolist()
    print(f"{word(token):6}", ", ".join(f"{n} {name}" for name, n in zip(ROLES[sign], counts, strict=True)))

# %% [markdown]
# When does a role have a latent of its own? Take the tokens on which a latent is *strongly* active: at half of its largest activation or more. We ask
# three things: at least half of them are the one token; of these, at least nine in ten have the role; and those with the role are ten or more. A latent
# is chosen by this on the first half of the contexts, and must pass again on the second half.


# %%
def tells(latent, token, number, role, inside):
    """Whether a latent of the wide dictionary is one of this role, on the contexts `inside`."""
    own = features.own(wide, latent)
    bar = own.value[own.context < half].max() / 2
    strong = (own.value >= bar) & inside[own.context]
    place = own.context[strong], own.position[strong]
    on_token = (tokens[place] == token) & (number[place] >= 0)
    in_role = number[place] == role
    return bool(on_token.sum() >= strong.sum() / 2 and in_role.sum() >= max(10, 0.9 * on_token.sum()))


def own_latents(fired, sign):
    token, number = found_roles[sign]
    return splitting.specialists(fired, tokens, token, number, len(ROLES[sign]))


by_sign = {sign: own_latents(wide, sign) for sign in ROLES}
early = torch.arange(len(tokens)) < half
for sign, found in by_sign.items():
    token, number = found_roles[sign]
    for role, chosen in enumerate(found.latents):
        for latent in chosen[:2].tolist():
            assert all(tells(latent, token, number, role, inside) for inside in (early, ~early))
        names = ", ".join(f"{latent} (also {top_tokens(wide, latent, 3)})" for latent in chosen[:2].tolist())
        recall = f"{len(chosen)} latents, recall {found.recall[role]:4.0%}"
        print(f"{word(token):6} {ROLES[sign][role]:17} {recall}  {names}")

# %% [markdown]
# The recall is the share of the role's tokens in the second half on which one of its latents is strongly active. A role that has a latent of its own is
# *told apart*. How many are, for each width and seed? Finer latents should tell more of them apart. But more latents are also more chances that one of
# them does, and there are two controls with as many chances: a dictionary of the same width that was never trained, and four narrow dictionaries of
# other random seeds taken together. These have learned, and have as many latents as the wide one, but no finer ones.


# %%
def roles_with_latents(fired):
    """The roles that have a latent of their own."""
    chosen = {sign: own_latents(fired, sign).latents for sign in ROLES}
    return {(sign, role) for sign, found in chosen.items() for role, own in enumerate(found) if len(own)}


by_narrow = [roles_with_latents(fired_by(each)) for each in cfg.narrow]


def together(config):
    """Roles told apart by narrow dictionaries of other seeds: as many as make up the width, if there are."""
    many = config.train.n // cfg.narrow[0].train.n
    others = [by_narrow[(config.seed + step) % len(by_narrow)] for step in range(1, len(by_narrow))]
    return len(set().union(*others[:many])) if many > 1 else len(by_narrow[config.seed])


def told_apart(config):
    trained, untrained = (roles_with_latents(fired_by(config, which)) for which in ("averaged", "untrained"))
    joined = np.nan if config == cfg.widest else together(config)
    return {"trained": len(trained), "untrained": len(untrained), "narrow ones together": joined}


# %% [markdown]
# For all sizes and seeds; of the largest size there is one dictionary. At the smallest size "narrow ones together" is the one narrow dictionary itself,
# so in the figure its point lies on that of the trained ones.

# %%
by_size = (cfg.narrow, cfg.wide, (cfg.widest,))
told = [[told_apart(each) for each in size] for size in by_size]
widths = np.array([size[0].train.n for size in by_size], dtype=float)
curves = {name: np.full((len(cfg.narrow), 3), np.nan) for name in told[0][0]}
for column, size in enumerate(told):
    for row, counts in enumerate(size):
        for name, value in counts.items():
            curves[name][row, column] = value

# %%
most = sum(map(len, ROLES.values()))
page.save_figure(
    plots.roles(widths, curves, most),
    "roles_by_width",
    {"widths": widths} | curves,
    f"Roles of `=`, `.`, `:` and the newline that have a latent of their own, of {most}, by the number of "
    f"latents (k = {narrow_config.train.k}; {len(cfg.narrow)} seeds of the two smaller sizes, one of the "
    "largest). Look at how far the blue line lies above the controls of the same number of latents: never "
    "trained, and several narrow dictionaries together. The paper shows such cases "
    "singly, for instance for the token “the”.",
)

# %% [markdown]
# The claim is on the middle width, which has all seeds: wide dictionaries tell more roles apart than narrow ones, than four narrow ones together, and
# than untrained ones of their own width. Look whether each of the five numbers lies above all three controls and in the band. The band begins half-way
# between a wide dictionary and the best control, both of seeds that no claim uses.

# %%
page.check(
    "split.roles",
    curves["trained"][:, 1],
    control={
        "narrow dictionaries": curves["trained"][:, 0],
        "four narrow dictionaries together": curves["narrow ones together"][:, 1],
        "untrained dictionaries of the same width": curves["untrained"][:, 1],
    },
)

# %% [markdown]
# Compare the two controls of as many latents. Where four narrow dictionaries together tell hardly more roles apart than one of them, they have found the
# same few, and the number of latents alone is not the reason for what the wide ones tell. An untrained dictionary shows how many roles random directions
# tell. The seeds of one width are far apart. Where a value lies below the band, that wide dictionary tells hardly more roles apart than the best control,
# so that the sentence does not hold for every dictionary. Of the largest width there is one, so the last part of the line is a single case.
#
# Even the largest dictionary leaves most roles without a latent of their own. One condition deserves a look: that most of the strong activations are on
# the one token. Exercise 2 drops it and counts again, in a trained and in an untrained dictionary.
# [Page 14f](14f_map_and_automata.ipynb) puts the directions of all these latents on a map.
#
# <a id="explore"></a>
# ## 4 Explore
# Choose a latent of the narrow dictionary and a threshold; the table shows the wide latents whose masked cosine reaches it. The latents are measured on
# a part of the text, so that the page stays quick, and those that are active on fewer than ten of its tokens are left out: two latents with one
# token in common have a cosine of one. Try a threshold at which two to four children are left, and see at the bar of
# section 2 whether they are more than chance.

# %%
some_places = slice(None, None, max(1, len(tokens) // cfg.shown))
part_of = (tokens[some_places], labels.ContextLabels(known.values[some_places], known.known[some_places]))
wide_sae = dictionaries.dictionary(wide_config)
look = dict(tokens=part_of[0], known=part_of[1])
narrow_sae, others = dictionaries.dictionary(narrow_config), {"the wide dictionary": wide_sae}
narrow_view = views.look(subject, narrow_sae, site, others=others, **look)
wide_view = views.look(subject, wide_sae, site, **look)


def children_of(latent, threshold):
    return live.children(narrow_view, latent, "the wide dictionary", wide_view, threshold)


explorer.live(children_of, latent=explorer.Number(parent), threshold=explorer.Slider(0.3, 1.0, 0.8))

# %% [markdown]
# <a id="your-turn"></a>
# ## 5 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* Compare a narrow dictionary with the wide one of its own seed, both untrained. What is the best masked cosine of the first latents, and
#    what of the rest? Why does this page pair different seeds?
#    <details><summary>Hint</summary>`fired_by(config, "untrained")` and `features.masked_cosine`; the first rows of the wide one are those of the narrow
#    one.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    low, high = (fired_by(each[0], "untrained") for each in (cfg.narrow, cfg.wide))
#    best = features.masked_cosine(low, high, tokens.shape).amax(0)
#    count = len(low.counts)
#    print(f"first {count}: {best[:count].median():.2f}, the rest: {best[count:].median():.2f}")
#    assert best[:count].median() > best[count:].median()
#    ```
#
#    The first latents find themselves again, without any training.
#    </details>
# 2. *(5 minutes)* Drop the condition that most strong activations of a latent are on the one token. Which dictionary then has more latents that tell the
#    roles of a line break apart, the trained or the untrained one?
#    <details><summary>Hint</summary>Remove every activation outside of the token before you call `splitting.specialists`: `fired.chosen(mask)`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    token, number = found_roles["\n"]
#    counts = {}
#    for which in ("averaged", "untrained"):
#        fired = fired_by(wide_config, which)
#        on_token = fired.chosen((tokens == token)[fired.context, fired.position])
#        chosen = splitting.specialists(on_token, tokens, token, number, len(ROLES["\n"])).latents
#        counts[which] = sum(map(len, chosen)), sum(map(len, own_latents(fired, "\n").latents))
#        print(f"{which:9} without the condition {counts[which][0]}, with it {counts[which][1]}")
#    assert all(without >= with_it for without, with_it in counts.values())
#    ```
#
#    Compare the two first counts. A random direction has a preference among the contexts of a token too; the condition makes it a latent *of* this token.
#    </details>
# 3. *(5 minutes)* Two latents are active on the same 200 tokens, with independent amounts that are uniform between 0 and 1. What is their masked cosine?
#    <details><summary>Hint</summary>The cosine is $\mathbb{E}[fg] / \mathbb{E}[f^2]$, with $\mathbb{E} f = 1/2$ and $\mathbb{E} f^2 = 1/3$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    random = run.generator(0, "uniform")
#    f, g = torch.rand(2, 2000, generator=random)
#    print(f"{masked_cosine(f, g):.3f}")
#    assert abs(masked_cosine(f, g) - 3 / 4) < 0.03
#    ```
#
#    Three quarters, although nothing but the place of their activity is shared. So .4 is passed by latents that share half of their tokens.
#    </details>
# 4. *(10 minutes)* Moved to other places of the same token, the latents of a trained wide dictionary lose a part of their best cosine: is that part, which
#    must come from the context, a sign of learning? Measure it for an untrained wide dictionary too.
#    <details><summary>Hint</summary>`splitting.moved(fired, tokens, generator)`; take the median of the difference over latents that are not
#    rare.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    lost = {}
#    for which in ("averaged", "untrained"):
#        high, shape = every_other(fired_by(wide_config, which)), tokens[::2].shape
#        elsewhere = splitting.moved(high, tokens[::2], run.generator(0, "elsewhere"))
#        low, often = every_other(narrow), high.counts >= cfg.least
#        near, far = (features.masked_cosine(low, each, shape).amax(0)[often] for each in (high, elsewhere))
#        lost[which] = (near - far).median().item()
#    print({name: round(value, 3) for name, value in lost.items()})
#    assert min(lost.values()) > 0
#    ```
#
#    Compare the two numbers. The untrained latents lose something too, since the context moves all activations on a token together. So a loss by itself
#    is no sign of learning; only what the trained ones lose beyond it could be.
#    </details>
#
# <a id="limits"></a>
# ## 6 Limits
# - The dictionaries are trained on less than a million tokens, the paper's on eight billion; and they are TopK, with the same number of active latents at
#   every width, where the paper's have a penalty. Both can change how latents split.
# - The bar is a quantile of untrained latents of the same density. Other nulls give other bars, and that of the same token gives a higher one. What is
#   left above it is no evidence of learning either (exercise 4): activations on the same token vary together in any two dictionaries.
# - The null is matched by the density of the wide latent alone. Where the coverage is measured, a child without null latents of its density is held to
#   the bar of the nearest density.
# - A second model (model B of [page 7](07_language_model.ipynb#training)) would be another null, and would cost more time than this page has;
#   [page 14b](14b_population.ipynb) compares the two models.
# - The coverage depends on the bar: it says what children above this bar account for, not into how many parts a latent has split. A latent that is
#   active on very many tokens covers much whatever it stands for; only the controls take account of that.
# - That a wide latent has a parent above the bar says that the two are near, not that one has split from the other. Two dictionaries of the *same* width
#   and other seeds would also have latents near each other, and are not compared here. The step to the widest dictionary is one pair.
# - Roles are few and some have little text, so that one role more or less can decide whether a seed lies in the band. A role without a latent of its
#   own can still be told by several latents together.
#
# <a id="checked"></a>
# ## 7 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
