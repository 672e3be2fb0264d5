# %% [markdown]
# # 14c. Explaining all latents, and rating them blind
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/14c_interpretability.ipynb)
#
# **Pages** [← 14b. All latents at once: would another model have them?](14b_population.ipynb) · [Start here](00_start_here.ipynb) · [14d. Recipes, density, and how much of the loss is recovered →](14d_density_and_recipes.ipynb)
#
# Are the latents of a sparse autoencoder (SAE, also called a dictionary) easier to understand than the neurons that it reads? The paper answers with
# three scores: a person who rates both without knowing which is which, and a language model that explains both and predicts from its explanations where
# they are active and which tokens they raise. On this page a program with the true labels of the text explains them, and you are the person. The same
# scores for a model whose weights are random, and for neurons that were made as rare as latents, say what the scores are worth.
#
# **You will** explain one latent by hand · let a program explain hundreds and predict with its explanations · find out how much of a score is
# rarity · take the model's training away · rate latents and neurons yourself, without knowing what they are.
#
# **Needs** to know what an SAE and a latent are ([page 8](08_sae_training.ipynb#model)); [page 14b](14b_population.ipynb#measure) introduces the two
# halves of the text and neurons as a dictionary. **Takes** about eight minutes at `laptop` on two cores, three once the dictionaries are trained
# ([start here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html): the sections on
# human and automated interpretability, and the appendix on the random model.
#
# **On this page** [1 Text with true labels](#measure) · [2 A program explains where a latent is active](#scores) · [3 Explaining which tokens a latent raises](#logits) · [4 A model with random weights](#random) · [5 Rate them yourself](#game) · [6 Your turn](#your-turn) · [7 Limits](#limits) · [8 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from IPython.display import HTML, display
from scipy.stats import spearmanr

from companion import claims, dictionaries, run
from companion.evals import autointerp, browser, features, game, population
from companion.evals.views import visible
from companion.lm import labels, training
from companion.lm.training import TINY
from companion.plots import explanations, explorer
from companion.plots import population as plots
from companion.plots.lines import Log, Panel, Share, lines
from companion.plots.style import CONTROLS, OURS
from companion.sae.models import Code
from companion.sae.recipe import TrainConfig

claims.opening("14c_interpretability")

# %% [markdown]
# The parameters, one entry per profile. The model is model A of [page 14b](14b_population.ipynb#measure); its dictionaries read its neurons.


# %%
@dataclass(frozen=True)
class Config:
    a: tuple[dictionaries.DictionaryConfig, ...]  # dictionaries of model A, one per random seed
    random: tuple[dictionaries.DictionaryConfig, ...]  # of model A with random weights, a shuffle per seed
    contexts: int  # held-out contexts for every measurement
    scored: int  # latents of each dictionary that are explained, and all neurons
    traced: int = 128  # neurons and directions at each density of the second picture
    played: int = 5  # latents, and neurons, in the game
    least: int = 20  # tokens of each half on which a latent must be active to be counted
    held: int = 50  # tokens of each half on which a label must hold to be counted
    used: int = 10  # places at which a token of the vocabulary must occur to be counted


def seeds(base, count):
    return tuple(dictionaries.variant(base, seed=seed) for seed in range(count))


# %% tags=["parameters"]
KEEP = ("averaged", "untrained")
SITE = dict(layer=0, hook="mlp.hook_post", keep=KEEP)
tiny = replace(TINY, layers=1, steps=100)
quick_recipe = TrainConfig(n=64, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
small = dictionaries.DictionaryConfig(tiny, quick_recipe, contexts=1000, heldout=64, **SITE)
one = dictionaries.offline_subject("python-stdlib-1l")
recipe = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
usual = dictionaries.DictionaryConfig(one, recipe, contexts=6000, heldout=1024, **SITE)
longer = replace(training.OFFLINE["python-stdlib-1l"], steps=20_000, batch=64)
wide = TrainConfig(n=2**14, k=16, steps=20_000, batch=8192, space="scalar")
large = dictionaries.DictionaryConfig(longer, wide, contexts=48_000, heldout=1024, **SITE)


def row(base, count, **sizes):
    return Config(seeds(base, count), seeds(replace(base, shuffled=True), count), **sizes)


cfg = run.choose(
    quick=row(small, 2, contexts=160, scored=8, traced=8, played=2, least=4, held=5, used=3),
    laptop=row(usual, 5, contexts=512, scored=300),
    paper=row(large, 5, contexts=1024, scored=1000, traced=512),
)
page = claims.Page("14c_interpretability", cfg)
print(f"{len(cfg.a)} dictionaries with n = {cfg.a[0].train.n:,} latents, k = {cfg.a[0].train.k}")

# %% [markdown]
# <a id="measure"></a>
# ## 1 Text with true labels
# Explanations are written on one half of a held-out text and scored on the other. The model reads Python code, so every token has true labels, from
# Python's own tokenizer and parser: it is a keyword, it is inside a string, it is the name of a parameter.

# %%
site = cfg.a[0].site
model = dictionaries.subject_of(cfg.a[0])
everything = model.tokens("heldout")
every_label = labels.of_contexts(everything, model.tokenizer.backend_tokenizer)
tokens, *spread = (dictionaries.spread(part, cfg.contexts) for part in (everything, *every_label))
middle = len(tokens) // 2
shape = (middle, tokens.shape[1])  # contexts and tokens of a half
halves = slice(0, middle), slice(middle, 2 * middle)
texts = [tokens[half] for half in halves]
known = [labels.ContextLabels(*(part[half] for part in spread)) for half in halves]
names = list(labels.LABELS)
print(f"{texts[0].numel():,} tokens in each half, {len(names)} labels")

# %% [markdown]
# Then the activations of everything that will be explained. *Never trained* are the dictionaries' random starts. Of the model with *random weights*
# the entries of each weight matrix were shuffled, and dictionaries were trained on it as on the other. Neurons are a dictionary, too, whose
# directions are the axes.


# %%
def firings(config, dictionary):
    """The activations above 0 of every latent, on each half of the text."""
    every = features.fired(dictionaries.subject_of(config), dictionary, site, tokens)
    return [population.part(every, half) for half in halves]


def of(configs, which="averaged"):
    return [firings(each, dictionaries.dictionary(each, which)) for each in configs]


trained, random_weights = of(cfg.a), of(cfg.random)
never = of(cfg.a[-2:], "untrained")
neurons_as_dictionary = population.Neurons(model.activations(tokens[:1], site).shape[-1])
neurons = firings(cfg.a[0], neurons_as_dictionary)

# %% [markdown]
# Latents are active on few tokens and neurons on many. To know what that alone does to a score, we make *rare neurons*: from each neuron a threshold is
# subtracted, chosen on the first half so that it is active as often as a latent drawn at random, and what lies above is kept. So the densities of rare
# neurons are spread as those of the latents that are active often enough to be counted.


# %%
def often(fired):
    """Latents that are active often enough in both halves."""
    return ((fired[0].counts >= cfg.least) & (fired[1].counts >= cfg.least)).nonzero().flatten()


def rarer(fired, counts):
    """At most so often active: a threshold, chosen on the first half, is subtracted."""
    threshold = population.thresholds(fired[0], torch.as_tensor(counts).expand_as(fired[0].counts))
    return [population.above(half, threshold) for half in fired]


def as_rare_as(others, fired):  # each as one of the others, drawn at random
    counts = others[0].counts[often(others)]
    draw = torch.randint(len(counts), fired[0].counts.shape, generator=run.generator(0, "as rare"))
    return rarer(fired, counts[draw])


rare = as_rare_as(trained[0], neurons)
for name, fired in {"latents": trained[0], "neurons": neurons, "rare neurons": rare}.items():
    print(f"{name:13} active on {(fired[1].counts / texts[1].numel()).median():.2%} of the tokens (median)")

# %% [markdown]
# <a id="scores"></a>
# ## 2 A program explains where a latent is active
# The paper lets a language model read examples of a latent and write an explanation. A second call predicts activations in other examples from that
# explanation alone. The score is Spearman's rank correlation of the predictions with the truth, and a constant prediction scores 0. Our explainer knows
# three kinds of sentence: *active where label X holds*, *where X and Y hold*, and *active on these tokens, by so much*.
#
# It sees what the paper's saw, in the first half of the text: windows of nine tokens around the ten largest activations, two of each of twelve
# intervals of activation, five random places, and ten other places of the same tokens. Activations are told in whole numbers from 0 to 9. By hand,
# for one latent: which single label predicts best, and does a second one help?

# %%
words = list(map(visible, model.tokenizer.batch_decode([[i] for i in range(len(model.unembedding()))])))
latent = often(trained[0])[len(often(trained[0])) // 2].item()
draw = run.generator(0, "one latent")
seen = autointerp.windows(trained[0][0], latent, texts[0], draw, drawn=5, same=10)
where = seen.context, seen.position
levels, true = seen.levels.flatten().numpy(), known[0].values[where].flatten(0, 1)  # (F,), (F, labels)
changing = [y for y in range(len(names)) if 0 < true[:, y].sum() < len(true)]
by_label = {y: spearmanr(levels, true[:, y].numpy())[0] for y in changing}
alone = max(by_label, key=by_label.get)

a, b = autointerp.best_labels(levels, true)  # of all pairs at once
together = autointerp.spearman(levels, (true[:, a] & true[:, b]).numpy())
assert together >= by_label[alone] - 1e-9
print(f"alone: {names[alone]} ({by_label[alone]:.2f}); two at once: {names[a]}, {names[b]} ({together:.2f})")

# %% [markdown]
# The third kind of sentence is a list of tokens, with the mean level of each. With thousands of pairs of labels and hundreds of tokens to choose
# from, either fits the examples too well. So both are made from every second example and compared on the others, and the better kind is made again from
# all examples. Then come sixty windows of the *second* half, and the score.

# %%
rule = autointerp.explain(seen, texts[0], known[0])
asked = autointerp.windows(trained[0][1], latent, texts[1], draw, drawn=26, total=60)
at = asked.context, asked.position
predicted = rule.predict(texts[1][at].flatten(), known[1].values[at].flatten(0, 1))
score = autointerp.score(rule, asked, texts[1], known[1])
if predicted.any():  # of a constant SciPy's correlation is not a number
    assert np.isclose(score, spearmanr(predicted, asked.levels.flatten())[0])

strongest = sorted(rule.tokens, key=rule.tokens.get, reverse=True)[:6]
print("active on", [names[y] for y in rule.labels] if rule.labels else [words[token] for token in strongest])
print(f"{len(predicted)} tokens, {(asked.levels > 0).float().mean():.0%} of them active: score {score:.2f}")


# %% [markdown]
# Now hundreds, drawn at random from those that are active often enough, and all neurons. Each set of explanations is scored a second time *for other
# latents*; that should give about zero. And eight planted detectors, each active exactly where one rare label holds, should score high, since the
# explainer could find them.


# %%
class Scored(NamedTuple):
    which: torch.Tensor  # the numbers of the latents
    rules: list
    own: np.ndarray
    swapped: np.ndarray  # each explanation for the next latent


def drawn(fired, seed, count):  # all, without a count
    enough = often(fired)
    return enough[torch.randperm(len(enough), generator=run.generator(seed, "scored"))[:count]].sort().values


def scored(fired, which, seed=0):
    draw = run.generator(seed, "windows")
    first, second = (features.only(half, which) for half in fired)
    seen = [autointerp.windows(first, i, texts[0], draw, 5, 10) for i in range(len(which))]
    rules = [autointerp.explain(each, texts[0], known[0]) for each in seen]
    asked = [autointerp.windows(second, i, texts[1], draw, 26, total=60) for i in range(len(which))]

    def all_of(rules):
        pairs = zip(rules, asked, strict=True)
        return np.array([autointerp.score(*each, texts[1], known[1]) for each in pairs])

    return Scored(which, rules, all_of(rules), all_of(rules[1:] + rules[:1]))


# %% [markdown]
# What do you expect: which of these are easier to explain than neurons? The numbers under the picture have the standard error over latents (or neurons):
# differences of a few of these say nothing. The dots have one random draw of latents each.

# %%
held = torch.stack([(half.values & half.known[..., None]).sum(dim=(0, 1)) for half in known]).amin(dim=0)
rare_labels = [y for y in held.argsort().tolist() if held[y] >= cfg.least][:8]
planted = [population.planted(half.values[..., rare_labels].float()) for half in known]
explained = {
    "latents": trained, "neurons": [neurons], "rare neurons": [rare], "never trained": never,
    "random weights": random_weights, "planted labels": [planted],
}  # fmt: skip
scores = {}
for name, found in explained.items():
    count = None if "neurons" in name else cfg.scored
    scores[name] = [scored(each, drawn(each, seed, count), seed) for seed, each in enumerate(found)]
means = {name: np.array([each.own.mean() for each in found]) for name, found in scores.items()}
wrong = np.array([each.swapped.mean() for each in scores["latents"]])
page.save_figure(
    plots.by_what("mean Spearman correlation", means | {"explanations of others": wrong}, ["latents"]),
    "scores",
    {"means": means, "explanations of others": wrong},
    "How well explanations by label or token predict activations on text that they were not made from: "
    "compare latents with neurons, and with neurons made as rare. Bars are means, a dot per seed with "
    f"{cfg.scored} latents each, and all {len(neurons[0].counts)} neurons; n = {cfg.a[0].train.n:,}, "
    f"k = {cfg.a[0].train.k}. The paper's figure has distributions, with latents clearly above neurons.",
)
for name, found in scores.items():
    values = np.concatenate([each.own for each in found])
    print(f"{name:15} {values.mean():.3f} ± {values.std() / len(values) ** 0.5:.3f} ({len(values)} scored)")
by_labels = np.mean([rule.labels is not None for each in scores["latents"] for rule in each.rules])
print(f"of the explanations of latents {by_labels:.0%} are labels, the others lists of tokens")

# %% [markdown]
# In the paper latents score clearly above neurons. Compare these two first, and then look at rare neurons. Rarity alone may help: the windows of
# something rare hold mostly zeros, and to tell a few strong activations from zeros is perhaps easier than to order many amounts. Then *anything* should
# gain by being made rarer: latents as well, and directions among the neurons that are drawn at random. Here are such directions, with a bias that lets
# each reach above zero on thirty percent of the tokens, before they are made as rare as the others.


# %%
class Directions:
    """Random directions as a dictionary: how far activations reach along each, beyond a bias."""

    def __init__(self, acts, n, generator):  # (tokens, neurons)
        self.n = n
        self.d = torch.randn(n, acts.shape[1], generator=generator)
        self.bias = (acts @ self.d.T).quantile(0.7, dim=0)

    def encode(self, acts):  # (..., neurons)
        reach = acts @ self.d.T - self.bias
        return Code(torch.arange(self.n).expand(reach.shape), reach)


some_acts = model.activations(tokens[: middle // 4], site).flatten(0, 1)
directions = firings(cfg.a[0], Directions(some_acts, min(256, cfg.scored), run.generator(0, "directions")))
at_neurons, at_latents = (as_rare_as(each, directions) for each in (neurons, trained[0]))
at_both = [scored(each, often(each)).own for each in (at_neurons, at_latents)]
quarters = [rarer(each, each[0].counts // 4) for each in trained[:2]]
gained = []
for of, few in zip(scores["latents"], quarters, strict=False):
    still = torch.isin(of.which, often(few))
    gained.append(scored(few, of.which[still]).own - of.own[still.numpy()])
gained = np.concatenate(gained)


def told(values):
    return f"{np.mean(values):.3f} ± {np.std(values) / len(values) ** 0.5:.3f}"


print("random directions, as often active as neurons", told(at_both[0]), "and as latents", told(at_both[1]))
print("latents gain", told(gained), "from being active a quarter as often")

# %% [markdown]
# Compare the gains with that of neurons from being made rare: the difference of the bars of rare neurons and of neurons. If they are about as large,
# rarity raises the score of anything. The claim therefore asks for more than the paper's sentence: a lead over neurons of the same rarity. The positive
# example is the planted detectors.

# %%
base, rare_mean = means["neurons"][0], means["rare neurons"][0]
page.check(
    "interpretability.scores",
    means["latents"] - rare_mean,
    control={"explanations of other latents": wrong - rare_mean},
    witness=means["planted labels"] - rare_mean,
)
lead = means["latents"].mean() - base
print(f"lead of latents over neurons {lead:.3f}; neurons made rare gain {rare_mean - base:.3f}")

# %% [markdown]
# The same in a picture. Neurons and random directions are made rarer step by step; of dictionaries there are latents of all densities already, here in
# seven groups. At equal density, which lines lie above which?


# %%
def density_of(fired):
    return fired[1].counts / texts[1].numel()


def by_density(name, fired, groups=7):  # the latents that were scored
    pairs = zip(fired, scores[name], strict=True)
    density = np.concatenate([density_of(each)[of.which] for each, of in pairs])
    own = np.concatenate([of.own for of in scores[name]])
    parts = np.array_split(density.argsort(), groups)
    return tuple(np.array([[np.mean(values[part]) for part in parts] for values in (density, own)]))


def thinned(fired, shares):  # the same ones, step by step
    few = [features.only(half, torch.arange(len(fired[0].counts))[: cfg.traced]) for half in fired]
    steps = [few, *(rarer(few, torch.tensor(round(share * texts[0].numel()))) for share in shares)]
    kept = [each for each in steps if len(often(each))]
    return np.array([(density_of(each).median(), scored(each, often(each)).own.mean()) for each in kept]).T


of_dictionaries = ("latents", "never trained", "random weights")
curves = {name: [by_density(name, explained[name])] for name in of_dictionaries}
steps = (0.05, 0.02, 0.008, 0.003, 0.0013)
curves |= {"neurons": [thinned(neurons, steps)], "random directions": [thinned(at_neurons, steps)]}
greys = zip((CONTROLS[2], CONTROLS[1], CONTROLS[0], CONTROLS[0]), ("--", "-.", "-", ":"), strict=True)
looks = [dict(color=OURS)] + [dict(color=colour, ls=dash) for colour, dash in greys]
up, across = "mean Spearman correlation", Log("density", every=(1,))
panel = Panel(None, curves, across, up, looks, settings=dict(ylim=(0, 1)))
page.save_figure(
    lines(panel, size=(5.2, 3.4), marker="o", ms=3),
    "by_density",
    {"density, mean score": curves},
    "The score of explanations by how often something is active. Dictionaries: their own latents in seven "
    "groups by density, all seeds. Neurons and random directions: the same ones, made rarer step by step "
    "from right to left. Compare the lines at equal density. The paper has no such figure.",
)

# %% [markdown]
# At `laptop` latents score higher than neurons, as in the paper, by many standard errors. Of this lead hardly anything remains over neurons of the same
# rarity: it is positive for each dictionary, in the mean at most about two standard errors of rare neurons (which are the same ones for all
# dictionaries), and the card is MIXED, since the values lie too near to zero. And a higher threshold on the same unit raises the score of anything:
# random directions gain much of what neurons gain, and so do latents when they are active a quarter as often. So on this page most
# of the lead of latents over neurons is a matter of density.
#
# Look at the picture for how far this goes. The lines of latents and of neurons cross: where both are rarest neurons lead, and at middle densities latents
# do. Random directions and dictionaries that were never trained lie clearly below both, at the same density; and among the latents that were never
# trained the rare ones do not score higher. So the score tells a trained dictionary from arbitrary directions. It hardly tells latents from neurons
# that were made rare, and the line of the model with random weights lies with that of the latents (section 4).
#
# <a id="logits"></a>
# ## 3 Explaining which tokens a latent raises
# The paper scores the logits as well. Given an explanation, which of 100 tokens does the latent raise? Fifty are of ranks 10 to 60 by logit weight,
# fifty are random, so that guessing scores one half. Our explainer sees the ten tokens of the highest weights and ten random ones, and picks a label
# that tells them apart: a token counts as having a label if it has it at a large enough share of its places. What logit weights are stands on [page
# 14b](14b_population.ipynb#logits).


# %%
def weights_of(config, dictionary):
    at = dictionaries.subject_of(config).activations(tokens[:1], site)[0, -1]
    d = features.directions(dictionary, torch.arange(dictionary.n), at)
    return features.logit_weights(dictionaries.subject_of(config), site, d)


shares, counts = autointerp.label_shares(everything, every_label, len(words))  # (V, labels), (V,)
used = (counts >= cfg.used).nonzero().flatten()
print(f"{len(used)} of {len(words)} tokens are used often enough")

# %% [markdown]
# The latent from above, by hand: of the ten tokens that it raises most and ten random ones, how many does each label get right? The package also
# tries other shares than one half.

# %%
weights = weights_of(cfg.a[0], dictionaries.dictionary(cfg.a[0]))[latent]  # (V,)
test = autointerp.logit_test(weights, used, draw)
has = shares[test.shown] > 0.5  # ten that it raises, then ten random ones
right = has[:10].sum(0) + (~has[10:]).sum(0)  # per label
label, cut = autointerp.logit_rule(test, shares)  # other shares than one half, too
assert ((shares[test.shown, label] > cut) == (torch.arange(20) < 10)).sum() >= right.max()
print("shown:", [words[token] for token in test.shown[:10]])
answer = autointerp.logit_score((label, cut), test, shares)
print(f"rule: {names[label]} at more than {cut:.0%} of its places; {answer:.0%} right")

# %% [markdown]
# Again for many, with the rules of other latents as a control, and with planted logit weights, which are a label's shares with noise, as the positive
# example.


# %%
def logits_scored(weights, seed):  # (latents, 2)
    draw = run.generator(seed, "logits")
    drawn = weights[torch.randperm(len(weights), generator=draw)[: max(cfg.scored, neurons_as_dictionary.n)]]
    tests = [autointerp.logit_test(each, used, draw) for each in drawn]
    rules = [autointerp.logit_rule(each, shares) for each in tests]
    both = [zip(each, tests, strict=True) for each in (rules, rules[1:] + rules[:1])]
    return np.array([[autointerp.logit_score(*pair, shares) for pair in pairs] for pairs in both]).T


# %% [markdown]
# Each is asked for its hundred tokens, with its own rule and with that of the next latent: all neurons, and as many latents of each dictionary.

# %%
mine = [weights_of(each, dictionaries.dictionary(each)) for each in cfg.a]
theirs = weights_of(cfg.a[0], neurons_as_dictionary)
starts = [weights_of(each, dictionaries.dictionary(each, "untrained")) for each in cfg.a[-2:]]
of_random = [weights_of(each, dictionaries.dictionary(each)) for each in cfg.random]
common = [y for y in range(len(names)) if (shares[used, y] > 0.5).sum() >= 70]
noise = torch.rand(len(common), len(words), generator=run.generator(0, "noise"))
by_what = {
    "latents": mine, "neurons": [theirs], "never trained": starts, "random weights": of_random,
    "planted labels": [shares[:, common].T + 0.1 * noise],
}  # fmt: skip
answers = {
    name: [logits_scored(each, seed) for seed, each in enumerate(found)]  # (latents, 2) each
    for name, found in by_what.items()
}
right = {name: np.array([each[:, 0].mean() for each in found]) for name, found in answers.items()}
swapped = np.array([each[:, 1].mean() for each in answers["latents"]])
page.save_figure(
    plots.by_what("mean share of right answers", right | {"rules of others": swapped}, ["latents"], 0.5, 1),
    "logit_scores",
    {"means": right, "rules of others": swapped},
    "How well a label tells which of 100 tokens are raised: see how far the bars reach from one half. Means "
    "of latents, a dot per seed. The paper's Claude 2 has .74 for latents and .58 for neurons.",
)
for name, found in answers.items():
    values = np.concatenate(found)[:, 0]
    print(f"{name:15} {values.mean():.3f} ± {values.std() / len(values) ** 0.5:.3f} ({len(values)} asked)")

# %% [markdown]
# The claim is the paper's: more right answers for latents than for neurons. Look also at the bar of dictionaries that were never trained. If it comes
# close to the others, the answers have more to do with the model's output weights than with what a dictionary has learned.

# %%
page.check(
    "interpretability.logits",
    right["latents"] - right["neurons"],
    control={"explanations of other latents": swapped - right["neurons"]},
    witness=right["planted labels"] - right["neurons"],
)

# %% [markdown]
# At `laptop` latents get more right answers than neurons in none of the five dictionaries (with other random seeds in one of five; therefore the card
# is MIXED). Dictionaries that were never trained go most of the way from guessing to both. With planted logit weights the same explainer does well,
# so the test could have passed. A possible reason, not tested here: a label is a poor word for what comes next. *After an opening bracket* is a
# property of the place, and what follows are tokens of many kinds. The paper's explainer is a language model, which can use more words.
#
# <a id="random"></a>
# ## 4 A model with random weights
# Could a dictionary look good on a model that has learned nothing? The paper shuffles the entries of each weight matrix and repeats everything. The
# shuffled model still has a vector for every token and layers that mix them, so latents of single tokens are to be expected, and latents of anything
# that needs the text before are not.
#
# First by label. For each label the best latent is found on the first half; its correlation with the label is taken on the second.


# %%
def best_by_label(fired):
    by_half = [  # (latents, labels) each
        features.correlation(half, true.values, shape, true.known).nan_to_num(0.0)  # of what never changes: 0
        for half, true in zip(fired, known, strict=True)
    ]
    chosen = by_half[0].argmax(dim=0)
    return by_half[1].gather(0, chosen[None])[0].numpy()[counted]


# %% [markdown]
# Labels count that hold on enough tokens. Beside the best latents stand the best neurons, and what a table of all tokens says of each label without
# any model.

# %%
counted = (held >= cfg.held).numpy()
found = {"trained": trained, "random weights": random_weights, "neurons": [neurons]}
best = {name: np.array([best_by_label(each) for each in of_kind]) for name, of_kind in found.items()}
middles = {name: np.median(each, axis=1) for name, each in best.items()}
token_alone = features.token_identity(texts[1], known[1]).numpy()[counted]
for name, values in middles.items():
    candidates = np.mean([len(often(each)) for each in found[name]])
    print(f"{name:15} median {values.mean():.2f} over {counted.sum()} labels; {candidates:.0f} candidates")
print(f"{'token alone':15} median {np.nanmedian(token_alone):.2f}")

# %% [markdown]
# Many labels of Python are nearly a matter of the current token, so that the table is hard to beat for a single latent. Compare latents with neurons as
# well: the claim below is about the training of the *model*, and says nothing of what a dictionary adds to neurons. In the picture a dot is a label; on
# the diagonal the training of the model has made no difference. Are there dots below the diagonal?

# %%
before, after = (best[name].mean(axis=0).clip(0, 1) for name in ("random weights", "trained"))
of_label = [name for name, counts in zip(names, counted, strict=True) if counts]
gained = {int(i): of_label[i] for i in np.argsort(before - after)[:6]}
page.save_figure(
    explanations.beside(before, after, "best latent, random weights", "best latent, trained model", gained),
    "labels",
    {"random weights": before, "trained": after, "labels": of_label},
    "Correlation of each label with its best latent, chosen on one half of the text and taken on the other: "
    f"the trained model against the model with random weights, means over {len(cfg.a)} seeds. Named are the "
    "labels for which training the model helps most. The paper has no labels.",
)

# %% [markdown]
# The claim is about the medians over all labels. Two models with random weights must not differ by as much; this control shows the size of chance
# differences, and no more. A larger choice of latents is not the reason: the candidates printed above are more numerous for the model with random
# weights.

# %%
without = middles["random weights"]
page.check(
    "interpretability.random-labels",
    middles["trained"] - without,
    control={"another model with random weights": np.roll(without, 1) - without},
)

# %% [markdown]
# At `laptop` training the model helps for most labels. Among those it helps most are some that need the text before, such as the name that a `def`
# defines or a subscript's index, and some that can be read off the spelling, such as names in capitals. For a minority the random model has the
# better latent: the two dots far below the diagonal are *within curly brackets* and *within a dict*. So the medians hide exceptions, and single labels
# should be compared before anything is said of one of them.
#
# In the score of section 2 the paper found the opposite order: latents of the random model scored *higher* on activations than those of the trained
# model. If that holds here, too, the score rewards what is simple and not what the model has learned. Look at whether all seeds have the same sign.

# %%
latents_mean = means["latents"].mean()
page.check(
    "interpretability.random-scores",
    means["random weights"] - means["latents"],
    control={
        "latents of dictionaries that were never trained": means["never trained"] - latents_mean,
        "neurons": means["neurons"] - latents_mean,
    },
    witness=means["planted labels"] - latents_mean,
)

# %% [markdown]
# At `laptop` the verdict is MIXED: the sign changes with the seed, and the differences are of the size of their standard errors. So this page finds
# neither the paper's order nor the opposite one. What it does find: this score does not separate a model that has learned something from one that has
# not. (The control, latents never trained, scores far lower, so that it could hardly have failed.) The answers about logits do tell the two apart
# (section 3): there the random model is at one half, where guessing is. But its output weights were shuffled as well, and this may show no more.
#
# The reason that the paper gives for its order: many of the random model's latents are *single-token*. Take the twenty contexts with a latent's
# largest activations, and in each the token of the largest. If all twenty are the same, the latent is single-token. By hand for one latent, and then
# for all.

# %%
own = features.own(trained[0][1], latent)
token_of = {}
for i in own.value.argsort(descending=True, stable=True).tolist():
    token_of.setdefault(own.context[i].item(), texts[1][own.context[i], own.position[i]].item())
top = list(token_of.values())[:20]
share = population.single_token(features.only(trained[0][1], [latent]), texts[1]).item()
assert len(top) < 20 or np.isclose(max(map(top.count, top)) / 20, share)  # fewer contexts: not a number
print([words[token] for token in top])

# %% [markdown]
# And of all latents that are active in twenty contexts.


# %%
def one_token(fired):
    found = population.single_token(features.only(fired[1], often(fired)), texts[1])
    return found[~found.isnan()].numpy()  # not a number: active in fewer than twenty contexts


common = texts[1].flatten().bincount().topk(20).indices
amounts = torch.rand(shape, generator=run.generator(0, "amounts"))
detectors = population.planted((texts[1][..., None] == common) * amounts[..., None])
planted_tops = population.single_token(detectors, texts[1])
found = {"trained": trained, "random weights": random_weights, "never trained": never}
tops = {name: [one_token(each) for each in of_kind] for name, of_kind in found.items()}
single = {name: np.array([(each == 1).mean() for each in of_kind]) for name, of_kind in tops.items()}
for name, values in single.items():
    print(f"{name:15} single-token: {values.mean():.1%}")

# %% [markdown]
# The curves end on the right at the share of single-token latents.

# %%
at = np.arange(0.05, 1.001, 0.05)


def reaching(each):
    return at, (each[:, None] >= at - 1e-6).mean(axis=0)


reach = {name: list(map(reaching, of_kind)) for name, of_kind in tops.items()}
across = Share("share of the twenty contexts that have the commonest token")
of_three = [looks[0], looks[2], looks[1]]
page.save_figure(
    lines(Panel(None, reach, across, Share("latents that reach it"), of_three), size=(5.2, 3.4)),
    "single_token",
    {"share": at, "latents": {name: [curve for _, curve in of_kind] for name, of_kind in reach.items()}},
    "Of the twenty contexts with a latent's largest activations, the share that has the commonest token "
    "there, and how many latents reach it; at the right end are the single-token latents. A line per seed, "
    f"n = {cfg.a[0].train.n:,}. The paper says that many latents of the random model are single-token.",
)

# %% [markdown]
# The claim is ours: more single-token latents with random weights than with trained ones. If single-token latents are a mark of random weights, the
# difference must be above zero. The positive example is planted detectors of one token each.

# %%
base_share = single["trained"].mean()
page.check(
    "interpretability.single-token",
    single["random weights"] - single["trained"],
    control={"never trained dictionaries of the trained model": single["never trained"] - base_share},
    witness=(planted_tops[~planted_tops.isnan()] == 1).float().mean() - base_share,
)

# %% [markdown]
# Does the paper's sentence hold? As it stands, it does: many latents of the random model are single-token. The card is NOT HERE because they are no
# mark of random weights: of the trained model's latents no fewer are. (One possible reason: in Python many tokens, such as `self` or a bracket, do
# stand for one thing.)
#
# <a id="game"></a>
# ## 5 Rate them yourself
# In the paper a person rated 162 latents and neurons without being told which was which. The rubric has 14 points: how sure you are of your
# interpretation (*confidence*, 0 to 3), how well the strong activations fit it (*consistency*, 0 to 5), how well the raised tokens fit (*logits*, 0
# to 3), and whether weak activations fit as well (*specificity*, 0 to 3). If the raised tokens do not all fit, a point is given where those that do
# stand apart (*separation*). The median neuron got 0 points, the median interval of a latent 12. (An interval is a
# range of a latent's activation; the paper's rater saw examples from one range at a time.)
#
# Below are some of each, in random order. Activations are told as shares of the largest, so that their units give nothing away. Move the sliders and
# press the button, and the next card comes; after the last card you see what they were.

# %%
players = {"latent": (trained[0], mine[0]), "neuron": (neurons, theirs)}


def shown_card(card):
    fired, logits = players[card.kind][0][0], players[card.kind][1][card.number]
    draw = run.generator(card.number, "card")
    found = features.examples(fired, card.number, draw, top=4, intervals=11, each=1)
    amounts = features.matrix(features.only(fired, [card.number]), shape).toarray().reshape(shape)
    amounts = (amounts / amounts.max()).round(2)
    groups = {"Strongest": [], "From strong to weak": []}
    for context, position, _, interval in zip(*(part.tolist() for part in found), strict=True):
        start = max(0, position - 10)
        some = [words[token] for token in texts[0][context, start : position + 4]]
        line = browser.line(some, amounts[context, start : position + 4].tolist(), 1.0, position - start)
        groups["Strongest" if interval < 0 else "From strong to weak"].append(line)
    return game.blind_card(list(groups.items()), [words[token] for token in logits.topk(10).indices])


pick = run.generator(0, "game")
enough = {kind: often(fired) for kind, (fired, _) in players.items()}
cards = {
    kind: each[torch.randperm(len(each), generator=pick)[: cfg.played]].tolist()  # numbers of latents
    for kind, each in enough.items()
}
dealt = game.deal(cards, seed=int(torch.randint(1000, (1,), generator=pick)))
explorer.rated(game.Sitting(dealt, shown_card).turn, game.RUBRIC)

# %% [markdown]
# Without a running notebook there is only the first card. To show how a game ends, here a program plays one. It fills the rubric from the numbers of
# this page: the score of section 2 stands for confidence and specificity, the share of the commonest token for consistency, the answers of section 3
# for the logits. It is a poor reader; compare its medians with yours.


# %%
def rating_of(card):
    fired, logits = players[card.kind]
    first, second = (features.only(half, [card.number]) for half in fired)
    rule = autointerp.explain(autointerp.windows(first, 0, texts[0], pick, 5, 10), texts[0], known[0])
    asked = autointerp.windows(second, 0, texts[1], pick, 26, total=60)
    score = max(0.0, autointerp.score(rule, asked, texts[1], known[1]))
    test = autointerp.logit_test(logits[card.number], used, pick)
    answer = autointerp.logit_score(autointerp.logit_rule(test, shares), test, shares)
    common = population.single_token(first, texts[0]).nan_to_num(0.0).item()
    points = {"confidence": 3 * score, "consistency": 5 * common, "logits": 6 * max(0.0, answer - 0.5)}
    points |= {"separation": 0, "specificity": 3 * score}
    return {name: round(value) for name, value in points.items()}


played = game.deal(cards, seed=3)
for place, card in enumerate(played.cards):
    played = game.record(played, place, rating_of(card))
display(HTML(game.as_html(played)))

# %% [markdown]
# <a id="your-turn"></a>
# ## 6 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(10 minutes)* Explanations by tokens give each token its mean level. Does a plain list without levels (a token is in it or not) predict much
#    worse?
#    <details><summary>Hint</summary>Replace the levels of a rule's `tokens` by 1 where they are at least 1, and by 0 elsewhere; compare the
#    scores of some latents.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    differences = []
#    for which in often(trained[0])[:12].tolist():
#        seen = autointerp.windows(trained[0][0], which, texts[0], draw, 5, 10)
#        asked = autointerp.windows(trained[0][1], which, texts[1], draw, 26, total=60)
#        of_seen = texts[0][seen.context, seen.position].flatten()
#        graded = autointerp.Rule(None, autointerp.token_means(seen.levels.flatten().numpy(), of_seen))
#        plain = autointerp.Rule(None, {token: float(level >= 1) for token, level in graded.tokens.items()})
#        both = [autointerp.score(rule, asked, texts[1], known[1]) for rule in (graded, plain)]
#        differences.append(both[0] - both[1])
#    print(f"graded less plain: {np.mean(differences):+.3f}")
#    assert abs(np.mean(differences)) < 0.3
#    ```
#
#    Compare the difference with the scores themselves (section 2). If it is small beside them, an explanation has to say mostly which tokens, and
#    hardly how much. Twelve latents give a rough answer only.
#    </details>
# 2. *(5 minutes)* Twenty contexts is a strict test of single-token latents. How many pass with five?
#    <details><summary>Hint</summary>`population.single_token(..., top=5)`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    shares_of = {}
#    for top in (5, 20):
#        found = population.single_token(trained[0][1], texts[1], top=top)
#        shares_of[top] = (found[~found.isnan()] == 1).float().mean().item()
#    print(shares_of)
#    assert shares_of[5] >= shares_of[20] - 0.05
#    ```
#
#    More, as a rule: five contexts with one token are easier to have than twenty. (Fewer latents have twenty contexts than five, so the two
#    shares are of different latents.)
#    </details>
# 3. *(5 minutes)* In how many ways can a rating that is full in everything but the logits reach 14 points?
#    <details><summary>Hint</summary>Go through all points for the logits and for separation; `game.total` raises a ValueError for what is not
#    allowed.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    totals = []
#    for rating in [game.RUBRIC | {"logits": logits, "separation": point} for logits in range(4) for point in (0, 1)]:
#        try:
#            totals.append(game.total(rating))
#        except ValueError as error:
#            print(rating, error)
#    assert totals.count(14) == 2 and min(totals) == 11 and len(totals) == 7
#    ```
#
#    In two: with all three points for the logits, or with two of them and the point for separation.
#    </details>
#
# <a id="limits"></a>
# ## 7 Limits
# - One small model and one size of dictionary; the paper's was trained on more than ten thousand times as many tokens. The seeds are of dictionaries
#   and of shuffled weights: there is only one trained model.
# - A difference of less than two of the printed standard errors is no finding in either direction. They are over latents or neurons, and say nothing of
#   other models or other texts.
# - Scores at equal density are compared by their means only. Windows are drawn by activation, so the score weighs large activations more than a score
#   over all of the text would.
# - The explainer knows Python's labels and single tokens. What needs words (*a number in an error message*) is out of its reach, so a low score says
#   that the explanation was not found, not that there is none.
# - A neuron made rare is one way to take rarity away. That it scores like a latent says something about the score, not that neurons do as well as
#   latents: the model also uses what lies below the threshold.
# - The comparison with random weights by label is of medians. It does not show that a given label needs a trained model, nor that latents beat neurons.
# - The paper does not say what exactly makes the logits inconsistent; here separation counts wherever they got less than all of their points.
#
# <a id="checked"></a>
# ## 8 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
