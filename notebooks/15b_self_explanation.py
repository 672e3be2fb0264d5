# %% [markdown]
# # 15b. A model that explains its own features
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/15b_self_explanation.ipynb)
#
# **Pages** [← 15. Steering: text that is written while a latent is held](15_steering.ipynb) · [Start here](00_start_here.ipynb) · [16. Why a training step is fast: operations, bytes, and what a clock says →](16_speed.ipynb)
#
# What does a latent of a sparse autoencoder stand for? One idea: ask the model itself. Put the latent's direction in the place of a word, ask
# "what does this word mean?", and read the answer. The idea has a premise: that the model reads the meaning of a word *at the word*. On this page
# you train a model so small that this takes minutes, in a language whose every word has a known class, so that every answer can be marked right or
# wrong, and ask first: **where is a word read?** In most of these models it is not read at the word, and then the method cannot work.
#
# **You will** write the measures by which a scale is chosen, and test them on cases with known results · train a model that says the class of
# words it never saw defined · move streams between prompts to find out where a model reads a word · inject the directions of an SAE's latents and
# mark the answers · see which layers can be used at all, and why.
#
# **Needs** [page 7](07_language_model.ipynb#model) (the residual stream, blocks) and [page 8](08_sae_training.ipynb) (what an SAE is).
#
# **Takes** about six minutes at `laptop` on two cores, once; seconds afterwards ([start here](00_start_here.ipynb#profiles) has the other
# profiles).
#
# **Paper** *Self-explaining SAE features* (2024), by the measures in its authors' public code. To put a vector in the place of a word and ask what
# it means is the idea of SelfIE and Patchscopes (2024).
#
# **On this page** [1 A direction in the place of a word](#idea) · [2 Three measures of an answer](#measures) · [3 A language with known meanings](#language) · [4 Where is a word read?](#where) · [5 Directions in the place of the word](#asking) · [6 Choosing the scale without knowing the answer](#choosing) · [7 Where a direction can stand](#depth) · [8 A model of real text](#real) · [9 Your turn](#your-turn) · [10 Limits](#limits) · [11 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from companion import claims, dictionaries, memo, run
from companion.evals import features
from companion.evals import selfexplain as explain
from companion.lm import training
from companion.lm.sources import HubConfig
from companion.lm.subject import Subject
from companion.lm.training import TINY, SubjectConfig
from companion.plots import language as plots
from companion.plots import lines as curves
from companion.plots import style, widgets
from companion.sae import recipe
from companion.sae.recipe import TrainConfig
from companion.sae.stream import shuffled
from companion.sae.train import fit
from companion.sae.weights import Raw

claims.opening("15b_self_explanation")

# %% [markdown]
# The parameters: small models of a made-up language, the SAE trained on each, and how far the scale is swept. `real` is a model of real text
# for section 8.


# %%
@dataclass(frozen=True)
class Model:
    seed: int = 0
    permuted: bool = False  # definitions dealt out at random: the control
    layers: int = 3
    d: int = 64  # width of the residual stream
    context: int = 32
    contexts: int = 20_000  # of training text
    steps: int = 1800
    batch: int = 32  # contexts per step
    lr: float = 4e-3


@dataclass(frozen=True)
class Sae:
    model: Model
    train: TrainConfig
    layer: int  # of the stream after this block
    texts: int  # contexts that it is trained on


@dataclass(frozen=True)
class Real:
    dictionary: dictionaries.DictionaryConfig | dictionaries.PublishedConfig
    latents: int  # how many are asked about
    reach: float = 4.0


@dataclass(frozen=True)
class Config:
    models: tuple[Model, ...]
    controls: tuple[Model, ...]
    sae: TrainConfig
    real: Real
    layer: int = 0  # directions stand in the stream after this block
    scales: int = 33
    reach: float = 4.0  # largest scale, in mean lengths of the stream
    per_class: int = 3  # latents that are asked about
    texts: int = 4000  # contexts that the SAE is trained on
    heldout: int = 1200


# %% tags=["parameters"]
small = Model()
sae_recipe = TrainConfig(n=128, k=4, steps=400, batch=1024, lr=2e-3, space="scalar", dead_after_tokens=50_000)
code = dictionaries.offline_subject("python-stdlib-4l")
code_recipe = TrainConfig(n=512, k=16, steps=200, batch=1024, dead_after_tokens=20_000)
code_sae = dictionaries.DictionaryConfig(code, code_recipe, layer=0, contexts=1600)
brief = replace(small, d=16, contexts=200, steps=12)
brief_recipe = replace(sae_recipe, n=64, steps=30, batch=256)
tiny = replace(TINY, context=64, steps=60)  # long enough for the prompts of section 8
tiny_recipe = TrainConfig(n=128, k=4, steps=60, batch=512, lr=3e-3)
tiny_sae = dictionaries.DictionaryConfig(tiny, tiny_recipe, layer=0, contexts=300)
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
openai = dictionaries.PublishedConfig(gpt2, "v5_32k", layer=2)


def seeds(model, count, **own):
    return tuple(replace(model, seed=seed, **own) for seed in range(count))


cfg = run.choose(
    quick=Config(
        models=seeds(brief, 2), controls=seeds(brief, 1, permuted=True), sae=brief_recipe,
        real=Real(tiny_sae, latents=2), scales=9, texts=60, heldout=40,
    ),
    laptop=Config(
        models=seeds(small, 5), controls=seeds(small, 2, permuted=True), sae=sae_recipe,
        real=Real(code_sae, latents=5),
    ),
    published=Config(
        models=seeds(small, 5), controls=seeds(small, 2, permuted=True), sae=sae_recipe,
        real=Real(openai, latents=16),
    ),
    paper=Config(
        models=seeds(replace(small, layers=4, d=128, contexts=100_000, steps=6000), 5), sae=sae_recipe,
        controls=seeds(replace(small, layers=4, d=128, contexts=100_000, steps=6000), 5, permuted=True),
        real=Real(openai, latents=64), scales=65, layer=1,
    ),
)  # fmt: skip
page = claims.Page("15b_self_explanation", cfg)

# %% [markdown]
# <a id="idea"></a>
# ## 1 A direction in the place of a word
# A language model that follows instructions can be asked `What is the meaning of the word "X"?`, and its answer begun for it:
# `The meaning of the word "X" is "`. It goes on with what it takes `X` to mean. It knows this from the residual stream at the places where `X`
# stands. So one can *replace* the stream there, after one of the first blocks, by a vector of one's own choice,
#
# $$ h_X \leftarrow s \, d, $$
#
# with $d$ the decoder direction of a latent (of length 1) and $s$ a number, the *scale*. Then the model explains a word whose "meaning" is $d$.
# `X` is the *placeholder*; what is written there no longer matters. The authors use gemma-2b-it, put $s\,d$ in the place of the stream after
# block 2, try 64 scales from 0 to 200, and let the model write its answers. A second prompt asks it to repeat `X` four times.
#
# The trouble is the scale. If it is too small, nothing is said about $d$; if it is too large, the text falls apart; and the right one differs from latent
# to latent. Nobody can read all answers at 64 scales. So the scale should be chosen *without knowing the answer*, from numbers that the forward
# pass gives. Section 2 writes these down.
#
# Models of real text leave a second question open: who says that an answer is right? We build a language in which that is known (sections 3 to 6).
#
# <a id="measures"></a>
# ## 2 Three measures of an answer
# All are taken at the last token of the prompt, where the answer begins.
#
# - **Self-similarity**: the cosine of the stream there (after a block of one's choice) with $d$. Did $d$ arrive?
# - **Entropy** of the next token, $-\sum_v p_v \ln p_v$: is the answer certain? It should be *small* at a good scale.
# - **Cross-entropy**, $-\sum_v p_v \ln p^0_v$, where $p^0$ are the probabilities with a vector in the placeholder that says nothing, the mean
#   embedding. It takes the place of the entropy in a variant.
#
# From each, its value at scale 0 is subtracted. Here they are with their definitions.


# %%
def cosine(h, d):  # h (scales, d), d (d,)
    return (h @ d) / (h.norm(dim=-1) * d.norm())


def entropy(logits):  # (scales, V)
    p = logits.softmax(dim=-1)
    return -(p * p.log()).sum(dim=-1)


def cross_entropy(logits, base):  # base (V,)
    return -(logits.softmax(dim=-1) * base.softmax(dim=-1).log()).sum(dim=-1)


draw = run.generator(0, "closed forms")
some, h, d = (torch.randn(shape, generator=draw) for shape in ((9, 50), (9, 16), (16,)))
assert torch.allclose(cosine(h, d), explain.self_similarity(h, d), atol=1e-6)
assert torch.allclose(entropy(some), explain.entropy(some), atol=1e-5)
assert torch.allclose(cross_entropy(some, some[0]), explain.cross_entropy(some, some[0]), atol=1e-5)

# %% [markdown]
# Each has a case in which its value is known. A uniform distribution over $V$ tokens has the entropy $\ln V$, one that is certain has 0. The
# cross-entropy of $p^0$ with itself is its entropy. And if everything above the injection only carried $s\,d$ to the last token, and added it to the
# vector $h$ that is there, the self-similarity would go to 1 as the scale grows:

# %%
uniform, certain = torch.zeros(50), torch.full((50,), -torch.inf).index_fill(0, torch.tensor(7), 0.0)
assert math.isclose(explain.entropy(uniform), math.log(50), rel_tol=1e-6)
assert explain.entropy(certain) == 0
assert torch.isclose(explain.cross_entropy(some[0], some[0]), explain.entropy(some[0]))
growing = torch.tensor([0.0, 1.0, 10.0, 100.0, 1e4])
carried = explain.self_similarity(h[0] + growing[:, None] * d, d)
print("cosine at scales", growing.tolist(), "->", [round(value, 3) for value in carried.tolist()])
assert (carried.diff() > 0).all()
assert carried[-1] > 0.999

# %% [markdown]
# Two curves of different units must be joined. The authors bring each to the range 0 to 1 over the sweep and take
#
# $$ C_a(s) = a \,\mathrm{minmax}\big(\text{self-similarity}\big) - (1 - a)\, \mathrm{minmax}\big(\text{entropy}\big), $$
#
# and the scale with the largest $C_a$ is chosen. Notes on the method often write "$+ (1-a)\,\text{entropy}$" and leave it to the reader that a *low*
# entropy is wanted. The sign matters. We plant a scale: the self-similarity has its peak there, the entropy its lowest point.


# %%
def minmax(curve):
    return (curve - curve.min()) / (curve.max() - curve.min())


def composite(similarity, spread, a=0.5):
    return a * minmax(similarity) - (1 - a) * minmax(spread)


scale, planted = torch.linspace(0, 4, 41), 1.5
similarity = torch.exp(-((scale - planted) ** 2))  # highest at 1.5
spread = 3 - 2 * torch.exp(-((scale - planted) ** 2) / 0.1)  # lowest at 1.5, in nats
joined, added = composite(similarity, spread), composite(similarity, -spread)
assert torch.allclose(joined, explain.composite(similarity, spread))
assert math.isclose(scale[explain.best(joined, scale)], planted, abs_tol=1e-6)
assert torch.allclose(joined, composite(5 * similarity - 2, 0.1 * spread + 7), atol=1e-5)  # units drop out
print(f"planted {planted}; with minus {scale[joined.argmax()]:.1f}, with plus {scale[added.argmax()]:.1f}")

# %% [markdown]
# With the plus sign a scale is chosen at which the model does not know what to say. The last assertion shows that units do not count:
# each curve may be multiplied by a positive number and shifted. That is convenient, and it has a price: a curve that hardly moves counts as much as
# one that moves a lot.
#
# <a id="language"></a>
# ## 3 A language with known meanings
# Words have two syllables and belong to one of eight classes. The class decides where a word may stand: after a word of one class comes a word
# of the next class or of the third next. A *sentence* is four words. A *definition* says the class of a word: `bagi means animal .` A third of the
# words is **never defined**. What such a word means can only be learned from how it is used.
#
# Why two syllables? Each syllable occurs in words of several classes, so no token has a class of its own. The class exists only in the stream, at the
# second syllable, after a block that has seen both. So a direction that stands for a class is a feature that the model computes.

# %%
CLASSES = ("animal", "plant", "food", "tool", "place", "body", "colour", "weather")
SYLLABLES = tuple(consonant + vowel for consonant in "bdgklmnr" for vowel in "ai")
TOKENS = (*SYLLABLES, *CLASSES, "means", ".")
K, FIRST, MEANS, END = len(CLASSES), len(SYLLABLES), len(TOKENS) - 2, len(TOKENS) - 1
WORDS, UNDEFINED = 12, 4  # words of each class; those of them that are never defined
TRUE = torch.arange(K * WORDS) // WORDS  # class of each word
DEFINED = torch.arange(K * WORDS) % WORDS >= UNDEFINED


# %% [markdown]
# A language is the words and what their definitions say; its text is three definitions to seven sentences, in random order. `permuted` is for the
# control, a language in which definitions are dealt out at random:
# they can be learned by heart, but they have nothing to do with use.


# %%
def language(seed, permuted):
    """Words as pairs of syllables (W, 2), and the class that a definition says (W,)."""
    draw, said = run.generator(seed, "words"), TRUE.clone()
    pairs = torch.cartesian_prod(torch.arange(FIRST), torch.arange(FIRST))
    words = pairs[torch.randperm(len(pairs), generator=draw)[: len(TRUE)]]
    if permuted:
        said[DEFINED] = TRUE[DEFINED][torch.randperm(int(DEFINED.sum()), generator=draw)]
    return words, said


def text(words, said, count, length, draw):
    """Contexts of a language, (count, length); each begins with a period."""
    most = count * (length // 5 + 1)
    first = torch.randint(K, (most, 1), generator=draw)
    onward = 1 + 2 * torch.randint(2, (most, 3), generator=draw)  # to the next class, or to the third next
    classes = torch.cat([first, onward], dim=1).cumsum(1) % K
    chosen = classes * WORDS + torch.randint(WORDS, (most, 4), generator=draw)
    known = DEFINED.nonzero()[:, 0]
    word = known[torch.randint(len(known), (most,), generator=draw)]
    means = torch.full((most, 1), MEANS)
    definitions = torch.cat([words[word], means, FIRST + said[word, None]], dim=1).tolist()
    defines = (torch.rand(most, generator=draw) < 0.3).tolist()
    pieces = zip(words[chosen].flatten(1).tolist(), definitions, defines, strict=True)
    contexts = []
    for _ in range(count):
        row = [END]
        while len(row) < length:
            sentence, definition, define = next(pieces)
            row += [*(definition if define else sentence), END]
        contexts.append(row[:length])
    return torch.tensor(contexts)


def written(tokens):
    return " ".join(TOKENS[token] for token in tokens)


words, said = language(0, permuted=False)
for row in text(words, said, 3, 24, run.generator(0, "look")).tolist():
    print(written(row))

# %% [markdown]
# The model is a GPT-2 of three blocks, as built on [page 7](07_language_model.ipynb#model). The loop is the usual one: predict the next token,
# AdamW, a rate that rises for 50 steps and then falls.


# %%
def fresh(config):
    start = run.generator(config.seed, "start").initial_seed() % 2**31
    sizes = dict(
        layers=config.layers, d_model=config.d, heads=4, context=config.context + 1, vocab=len(TOKENS)
    )  # fmt: skip
    return training.new_model(SubjectConfig(**sizes, seed=start))


def train(config):
    model, draw = fresh(config), run.generator(config.seed, "text")
    read = text(*language(config.seed, config.permuted), config.contexts, config.context + 1, draw)
    adam = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.1)
    rate = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: min(1, (step + 1) / 50) * (1 - 0.95 * step / config.steps)
    )  # fmt: skip
    for _ in range(config.steps):
        tokens = read[torch.randint(len(read), (config.batch,), generator=draw)]  # (B, C + 1)
        logits = model(tokens[:, :-1], use_cache=False).logits
        loss = F.cross_entropy(logits.mT, tokens[:, 1:])
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        rate.step()
    return {"loss": loss.item()} | model.transformer.state_dict()


def trained(config):
    model, weights = fresh(config).eval().requires_grad_(False), memo.memo(train, config)
    model.transformer.load_state_dict({name: weights[name] for name in model.transformer.state_dict()})
    return Subject(model, f"language-{config.seed}")


subjects = [trained(config) for config in cfg.models]
shown = [f"{memo.memo(train, config)['loss']:.2f}" for config in cfg.models]
print("loss of the last batch:", ", ".join(shown), "nats")

# %% [markdown]
# ### Before anything is injected
# The method asks the model what a word means. So first: can it say that at all? We write `. ba gi means` for every word that was never defined and
# look at the likeliest next token, of the whole vocabulary. A guess among eight classes is right in one case of eight.
#
# Two things could imitate an understanding of the word. A syllable may happen to be more frequent in one class: `a table of syllables`
# counts, over the *defined* words, which class each syllable occurs in, and guesses from both. And definitions might be learned in a way that spills over to
# other words without any help from use: in `definitions permuted` use and definition contradict each other.


# %%
def asked(subject, words):
    """Likeliest token after each `<word> means`."""
    edge = torch.full((len(words), 1), END)
    prompts = torch.cat([edge, words, torch.full_like(edge, MEANS)], dim=1)
    return subject.logits(prompts)[:, -1].argmax(dim=-1)


def share_right(config, subject):
    words, said = language(config.seed, config.permuted)
    answers = asked(subject, words) - FIRST
    return (answers == TRUE)[~DEFINED].float().mean().item(), (answers == said)[DEFINED].float().mean().item()


def by_syllables(config):
    words, _ = language(config.seed, permuted=False)
    counts = torch.ones(2, FIRST, K)
    for place in (0, 1):
        counts[place].index_put_((words[DEFINED, place], TRUE[DEFINED]), torch.ones(()), accumulate=True)
    guess = (counts[0, words[:, 0]] * counts[1, words[:, 1]]).argmax(dim=-1)
    return (guess == TRUE)[~DEFINED].float().mean().item()


never_defined, by_heart = zip(*map(share_right, cfg.models, subjects), strict=True)
permuted = [share_right(config, trained(config)) for config in cfg.controls]
print("undefined words right:", ", ".join(f"{share:.0%}" for share in never_defined))
print("defined words right:  ", ", ".join(f"{share:.0%}" for share in by_heart))
print("definitions permuted: ", ", ".join(f"{new:.0%} undefined, {old:.0%} defined" for new, old in permuted))

# %% [markdown]
# The claim asks for three quarters of the undefined words, in every seed. Neither control should come near.

# %%
page.check(
    "selfexplain.held-out-words",
    never_defined,
    control={
        "definitions permuted": [share for share, _ in permuted],
        "a table of syllables": [by_syllables(config) for config in cfg.models],
    },
)

# %% [markdown]
# Where the model passes, it has joined two kinds of text that it never saw together for these words: how they are used, and what `means` asks for. The
# control says that this comes from definitions and use being of one kind, since where they contradict each other the same training finds nothing
# of the sort.
#
# <a id="where"></a>
# ## 4 Where is a word read?
# The class of `bagi` can first be known at `gi`, where both syllables have been seen. The answer is given at `means`. So the model must bring the two
# together, and it has two ways.
#
# - **At the word.** A block joins the syllables into a class at `gi`, and a later block reads the class from there. This is the picture behind the method: a
#   vector at `gi` stands for a meaning.
# - **At the question.** The attention at `means` looks at `ba` and `gi` themselves and joins them there. The stream at `gi` is not needed for
#   the answer.
#
# Which of them a model has learned can be tested without any SAE. Take the prompts of two defined words of different classes. Put the stream of the one,
# as it enters some block, into the prompt of the other: at both syllables, or at `means`. If the answer follows, what it depends on is there.


# %%
ORDER = torch.arange(int(DEFINED.sum()))
OTHER, THIRD = (ORDER.roll(len(ORDER) // part) for part in (2, 4))  # words of other classes than a word's own


def follows(subject, words, places, block, toward=OTHER):
    """Share of answers that are the class of word `toward`, with the stream of word OTHER at the places."""
    edge = torch.full((len(words), 1), END)
    prompts = torch.cat([edge, words, torch.full_like(edge, MEANS)], dim=1)[DEFINED]
    stream = subject.activations(prompts, f"blocks.{block}.hook_resid_pre")  # (words, 4, d)
    stream[:, places] = stream[OTHER][:, places]
    said = subject.logits_from(stream, block - 1)[:, -1].argmax(dim=-1) - FIRST
    return (said == TRUE[DEFINED][toward]).float().mean().item()


# %% [markdown]
# The stream that enters block 0 is the word itself: with both syllables moved there, the prompt *is* that of the other word. So the left panel must begin at
# the share of defined words that are answered rightly, and the right one near zero. The question is what is left after block 0, where the
# next sections put a direction.


# %%
words_of = [language(model.seed, False)[0] for model in cfg.models]
pairs = list(zip(subjects, words_of, strict=True))
blocks = np.arange(cfg.models[0].layers)
PLACES = {"the word": (1, 2), "its second syllable": (2,), "means": (3,)}
read_at = {}  # by place, (models, blocks)
for name, places in PLACES.items():
    read_at[name] = np.array([[follows(*pair, places, int(block)) for block in blocks] for pair in pairs])
enters = cfg.layer + 1  # the block that reads the stream after block `layer`
for name, found in read_at.items():
    print(f"entering block {enters}, at {name:19}", ", ".join(f"{share:.0%}" for share in found[:, enters]))


def by_seed(place):  # a curve per seed, each a little to the right of the one before
    rows = zip(cfg.models, read_at[place], strict=True)
    return {f"seed {model.seed}": [(blocks + 0.04 * model.seed, row)] for model, row in rows}


across, common = "block that the moved stream enters", dict(xticks=blocks, ylim=(-0.04, 1.04))
beside = dict(loc="upper left", bbox_to_anchor=(1.0, 1.0))
panels = [
    curves.Panel(
        None, by_seed(place), across, curves.Share(up), legend=legend,
        settings=common | dict(title=f"moved at {name}"),
    )
    for place, name, up, legend in (
        ("the word", "the word", "answers that follow", None), ("means", '"means"', "", beside)
    )
]  # fmt: skip
page.save_figure(
    curves.lines(*panels, size=(3.2, 3.0), marker="o", ms=4, lw=1.3),
    "where_read",
    {"block": blocks} | read_at,
    "Where a word is read: share of defined words for which the answer follows the stream of another word, "
    "put in at both syllables (left) or at the last token (right), by the block that this stream enters; a "
    f"line per seed ({len(subjects)}), shifted a little. Look at block {enters}: a line that is low on the "
    "left and high on the right is a model that no longer needs the word.",
)

# %% [markdown]
# The claim says what the method needs: after the block where we shall inject, answers follow the word. The band is that of a word that is known: three
# quarters. Two controls: the stream at the period before the word is moved instead, and answers are compared with the class of a *third* word. The
# positive example is the better of the two places: wherever it is read, the test can show it.

# %%
either = np.maximum(read_at["the word"], read_at["means"])[:, enters]
page.check(
    "selfexplain.read-where",
    read_at["the word"][:, enters],
    control={
        "at the period": [follows(*pair, (0,), enters) for pair in pairs],
        "a third word": [follows(*pair, (1, 2), enters, THIRD) for pair in pairs],
    },
    witness=either,
)
reader = int(read_at["the word"][:, enters].argmax())
print(f"seed {cfg.models[reader].seed} reads at the word most")

# %% [markdown]
# Where the answer moves with `means`, the model has gathered both syllables in its *first* block already, at the last token, and worked the class out there
# a second time. The class at the second syllable, which predicts the next word, is then not what the answer is read from, and no direction put there can
# change it. Nothing in the language forbids this; which way a model learns depends on the seed.
#
# So in such a model the method must fail, however good its directions are. We go on with all models, and look with more care at the *reader*, the one that
# reads at the word most. Even there both syllables count: moved at the second alone, where we shall put a direction, the stream has less effect.
#
# <a id="asking"></a>
# ## 5 Directions in the place of the word
# Now an SAE. It is trained on the stream after the first block, at all places of some new text, as on [page 8](08_sae_training.ipynb): a TopK
# autoencoder. Its decoder rows are the directions. The text has labels: for each place, the class of the word that ends there.


# %%
def word_ends(tokens, words):
    """Class of the word that ends at each place, K where none does. (contexts, C)"""
    table = torch.full((len(TOKENS), len(TOKENS)), K)
    table[words[:, 0], words[:, 1]] = TRUE
    place = torch.arange(tokens.shape[1]).expand_as(tokens)
    start = torch.where(tokens == END, place, 0).cummax(dim=1).values
    found = table[tokens.roll(1, dims=1), tokens]
    return torch.where((place > start) & ((place - start) % 2 == 0), found, K)


def new_text(model, count, name):
    return text(*language(model.seed, False), count, model.context, run.generator(model.seed, name))


def fit_sae(config):
    """The SAE of one model, and the same before training."""
    model, start = config.model, run.generator(config.model.seed, "SAE")
    read = new_text(model, config.texts, "texts of the SAE")
    acts = trained(model).residual(read, config.layer).flatten(0, 1)
    order = run.generator(model.seed, "order")
    batches = shuffled(acts, config.train.batch, config.train.steps, order)
    sae = fit(batches, config.train, acts, start).sae
    before = recipe.start(acts * sae.factor, config.train, run.generator(model.seed, "SAE"))
    both = {"trained": sae.sae, "untrained": before}
    parts = {f"{name}.{part}": t for name, of in both.items() for part, t in of.tensors().items()}
    return parts | {"factor": sae.factor}


def saes_of(model):
    made = memo.memo(fit_sae, Sae(model, cfg.sae, cfg.layer, cfg.texts))
    found = {}
    for name in ("trained", "untrained"):
        tensors = {part.split(".")[1]: t for part, t in made.items() if part.startswith(f"{name}.")}
        sae = recipe.model_class(cfg.sae.kind).from_tensors(tensors, cfg.sae.k).requires_grad_(False)
        found[name] = Raw(sae, factor=made["factor"])
    return found


saes = [saes_of(model) for model in cfg.models]
heldout = [new_text(model, cfg.heldout, "held out") for model in cfg.models]
ends = [word_ends(tokens, words) for tokens, words in zip(heldout, words_of, strict=True)]
streams = [subject.residual(tokens, cfg.layer) for subject, tokens in zip(subjects, heldout, strict=True)]
print([(TOKENS[token], (*CLASSES, "-")[k]) for token, k in zip(heldout[0][0, :9], ends[0][0], strict=False)])
for number, (sae, stream) in enumerate(zip(saes, streams, strict=True)):
    flat = stream.flatten(0, 1)
    errors = {name: dictionaries.error(of, flat) for name, of in sae.items()}
    print(f"seed {number}: normalised MSE {errors['trained']:.3f}, untrained {errors['untrained']:.2f}")

# %% [markdown]
# Which latents stand for a class? F1 compares the places where a latent is active with the places where a word of the class ends: 1 if they are the
# same. Each latent's *label* is the class with the highest F1, and of each class the three best latents are asked about. This choice uses the first
# half of the held-out text; the F1 that is printed is that of the second half.


# %%
def f1_of(sae, stream, ends):
    """F1 of each latent for each class, (latents, K)."""
    code = sae.encode(stream)
    active = torch.zeros(*stream.shape[:2], sae.n)
    active = active.scatter_(2, code.indices, (code.values > 0).float()).flatten(0, 1)
    true = F.one_hot(ends.flatten(), K + 1)[:, :K].float()
    return 2 * active.T @ true / (active.sum(0)[:, None] + true.sum(0)).clamp_min(1)


def latents_of_classes(sae, stream, ends):
    """Numbers of the chosen latents, their labels, and their F1 on the other half of the text."""
    half = len(stream) // 2
    first, second = f1_of(sae, stream[:half], ends[:half]), f1_of(sae, stream[half:], ends[half:])
    best, label = first.max(dim=1)
    order = best.argsort(descending=True)
    chosen = torch.cat([order[label[order] == k][: cfg.per_class] for k in range(K)])
    return chosen, label[chosen], second[chosen, label[chosen]]


both = zip(saes, streams, ends, strict=True)
picked = [{name: latents_of_classes(of, *text) for name, of in sae.items()} for sae, *text in both]
for name in ("trained", "untrained"):
    means = [pick[name][2].mean().item() for pick in picked]
    print(f"{name:9} latents: mean F1 by seed", ", ".join(f"{mean:.2f}" for mean in means))

# %% [markdown]
# The F1 is modest: a class is split over several latents, which also care for the syllable or the place in the sentence. And the untrained dictionary is
# not far behind: among many random directions some happen to lean towards a class. It is the control to watch.
#
# Four sorts of directions are injected:
#
# - the decoder rows of the **latents**;
# - those of **untrained** latents, chosen by the same rule;
# - the **class mean**, the mean of the stream where a word of the class ends: about the best that one vector per class can be;
# - **random** directions, each with a class dealt to it as its label.
#
# All have length 1 and are multiplied by the scale. We give the scale in mean lengths of the stream at the ends of words. The prompt has a made-up word, two
# syllables that are no word of the language: `. X X means`. The stream is replaced at its second syllable, where the class of a word would be.


# %%
class Directions(NamedTuple):
    d: Tensor  # (N, d), of length 1
    label: Tensor  # (N,)


def made_up(words):
    known = set(map(tuple, words.tolist()))
    pair = next((a, b) for a in range(FIRST) for b in range(FIRST) if (a, b) not in known)
    return torch.tensor([END, *pair, MEANS])


def class_means(stream, ends):
    return Directions(torch.stack([stream[ends == k].mean(dim=0) for k in range(K)]), torch.arange(K))


def directions_of(number):
    stream, ends_here, pick = streams[number], ends[number], picked[number]
    found = {}
    for name, which in (("latents", "trained"), ("untrained", "untrained")):
        chosen, label, _ = pick[which]
        found[name] = Directions(saes[number][which].sae.W_dec[chosen], label)
    draw, many = run.generator(cfg.models[number].seed, "random directions"), len(found["latents"].d)
    found["class means"] = class_means(stream, ends_here)
    random = torch.randn(many, stream.shape[-1], generator=draw)
    found["random"] = Directions(random, torch.randint(K, (many,), generator=draw))
    return {name: Directions(F.normalize(d, dim=-1), label) for name, (d, label) in found.items()}


named = [directions_of(number) for number in range(len(subjects))]
length = [stream[here < K].norm(dim=-1).mean() for stream, here in zip(streams, ends, strict=True)]
scales = torch.linspace(0, cfg.reach, cfg.scales)
print({name: len(found.d) for name, found in named[0].items()}, "directions")
print("mean length of the stream:", ", ".join(f"{unit:.1f}" for unit in length))

# %% [markdown]
# The injection itself, in the open: take the stream of the prompt after the block, write $s\,d$ into one place, run the blocks above, read the last token.
# `explain.sweep` does this for all scales at once and keeps the stream after each block above.


# %%
def injected(subject, prompt, d, scale, layer):
    stream = subject.residual(prompt[None], layer)  # (1, tokens, d)
    stream[0, 2] = scale * d
    return subject.logits_from(stream, layer)[0, -1]  # (V,)


PLACE = torch.tensor([2])  # of the made-up word's second syllable
prompt, mean = made_up(words_of[0]), named[0]["class means"].d
fast = explain.sweep(subjects[0], prompt, PLACE, mean[0], scales * length[0], cfg.layer)
by_hand = injected(subjects[0], prompt, mean[0], scales[-1] * length[0], cfg.layer)
assert torch.allclose(by_hand, fast.logits[-1], atol=1e-4)
print(f"{written(prompt.tolist())}, with the mean of {CLASSES[0]} in the place of {TOKENS[prompt[2]]}:")
for at in range(0, cfg.scales, max(1, cfg.scales // 8)):
    print(f"  scale {scales[at]:4.1f}: {TOKENS[fast.logits[at].argmax()]}")

# %% [markdown]
# An answer is **right** if the likeliest next token, of the whole vocabulary, is the name of the direction's class. Now for all directions, all scales
# and all models. The measures of section 2 are kept for section 6; the self-similarity is that of the last block but one (the authors use block
# 16 of 18), and the vector that says nothing is the mean embedding, of length 1, at scale 1.


# %%
class Answers(NamedTuple):
    token: Tensor  # (N, scales): likeliest next token
    right: Tensor  # (N, scales)
    similarity: Tensor  # these three less their value at scale 0, (N, scales)
    entropy: Tensor
    cross: Tensor


def answers(subject, prompt, directions, unit):
    nothing = F.normalize(subject.unembedding().mean(dim=0), dim=0)
    base = explain.sweep(subject, prompt, PLACE, nothing, torch.ones(1), cfg.layer).logits[0]
    rows = []
    for d, label in zip(*directions, strict=True):
        logits, stream = explain.sweep(subject, prompt, PLACE, d, scales * unit, cfg.layer)
        said = logits.argmax(dim=-1)
        similarity = explain.self_similarity(stream[:, -2], d)
        measured = similarity, explain.entropy(logits), explain.cross_entropy(logits, base)
        rows.append((said, said == FIRST + label, *map(explain.from_zero, measured)))
    return Answers(*map(torch.stack, zip(*rows, strict=True)))


prompts = [made_up(words) for words in words_of]
asked_with = list(zip(subjects, prompts, named, length, strict=True))
given = {
    name: [answers(subject, prompt, kinds[name], unit) for subject, prompt, kinds, unit in asked_with]
    for name in ("class means", "latents", "untrained", "random")
}
right = {name: np.stack([one.right.float().mean(dim=0) for one in found]) for name, found in given.items()}

# %% [markdown]
# If the method works, the latents' lines rise above those of the controls. The class means say how high they could rise. A model that does not read the
# word there gives flat lines.

# %%
looks = [dict(color=style.THEORY, ls="--"), dict(color=style.OURS), dict(color=style.SECOND, ls="-.")]
across, up = "scale (mean lengths of the stream)", curves.Share("answers that name the class")
full = dict(settings=dict(ylim=(0, 1.03)), legend="upper right")
panel = curves.Panel(scales.numpy(), right, across, up, [*looks, dict(color=style.CONTROL, ls=":")], **full)
page.save_figure(
    curves.lines(panel, size=(6.4, 3.6), lw=1.2, alpha=0.85), "by_scale", {"scale": scales.numpy()} | right,
    f"Share of directions whose class, one of {K}, the model names, by the scale at which the direction "
    f"stands in the place of the word; a line per seed ({len(subjects)}). Look at the latents first, then at "
    f"the untrained latents, chosen by the same rule. {cfg.models[0].layers} blocks, d = {cfg.models[0].d}, "
    f"injected after block {cfg.layer}; SAE with n = {cfg.sae.n}, k = {cfg.sae.k}. The authors have no such "
    "figure: for a model of real text nobody knows the right answers.",
)  # fmt: skip

# %% [markdown]
# At scale 0 all directions get the same answer, so at most one class in eight is right.
#
# The claim needs one number per seed, at a scale that was not chosen on the same answers: the scale with the most right answers for the latents of
# the *other* seeds. Three controls get the same treatment: the untrained dictionary, random directions, and *another class*: the share of
# answers that name the class after the right one. A fourth asks whether the detour is needed. The *logit lens* reads the class off the
# direction without any prompt: the inner product of the direction with the unembedding of each class name.


# %%
def best_elsewhere(number):
    return int(np.delete(right["latents"], number, axis=0).mean(axis=0).argmax())


fixed = [best_elsewhere(number) for number in range(len(subjects))]
at_fixed = {name: [row[at] for row, at in zip(rows, fixed, strict=True)] for name, rows in right.items()}
labels = [kinds["latents"].label for kinds in named]
said = [one.token[:, at] - FIRST for one, at in zip(given["latents"], fixed, strict=True)]
another = [(one == (label + 1) % K).float().mean().item() for one, label in zip(said, labels, strict=True)]
site = f"blocks.{cfg.layer}.hook_resid_post"
lenses = zip(subjects, (kinds["latents"].d for kinds in named), strict=True)
weights = [features.logit_weights(subject, site, d)[:, FIRST : FIRST + K] for subject, d in lenses]
by_lens = [(w.argmax(1) == label).float().mean().item() for w, label in zip(weights, labels, strict=True)]

# %% [markdown]
# The band begins half-way between the latents and the nearest control of a pilot with a seed that is not used here; the pilot's model read at the word. The
# positive example is the test of section 4: the whole stream of a word of the class, put where it is read, is named.

# %%
page.check(
    "selfexplain.latents-named",
    at_fixed["latents"],
    control={
        "untrained latents": at_fixed["untrained"],
        "random directions": at_fixed["random"],
        "another class": another,
        "logit lens": by_lens,
    },
    witness=either,
)
for name, rows in right.items():
    others = np.delete(rows[:, 1:].max(axis=1), reader)
    listed = ", ".join(f"{share:.0%}" for share in others)
    print(f"{name:11} at the best scale: the reader {rows[reader, 1:].max():.0%}, others {listed}")

# %% [markdown]
# The last lines give each model its best scale in hindsight, so they flatter all directions alike. Compare the reader with the others: where the word is not
# read, even the class mean does about as badly as a random direction. And compare the reader's class means with section 4: a direction replaces the second
# syllable *alone*, and what the whole stream of another word does there bounds what a direction can do.
#
# Try it: choose a latent of the reader and a scale, and see the probabilities of the next token.

# %%
choices = tuple(f"{i}: {CLASSES[k]}" for i, k in enumerate(named[reader]["latents"].label.tolist()))


def next_token(latent, scale, count=6):
    d = named[reader]["latents"].d[int(latent.partition(":")[0])]
    p = injected(subjects[reader], prompts[reader], d, scale * length[reader], cfg.layer).softmax(dim=-1)
    best = p.argsort(descending=True)[:count]
    shown = f"{written(prompts[reader][:1].tolist())} X X means"
    return plots.guesses(shown, [TOKENS[token] for token in best.tolist()], p[best].numpy())


widgets.live(next_token, latent=choices, scale=widgets.Slider(0.0, cfg.reach, 1.0))

# %% [markdown]
# <a id="choosing"></a>
# ## 6 Choosing the scale without knowing the answer
# For a model of real text the right answers are not known, so the scale is chosen by the measures. Here is what they look like for one latent of the
# reader; the caption says at which scales its answer is right.

# %%
one = given["latents"][reader]
shown = int((one.right.float().mean(dim=1) - 0.5).abs().argmin())  # right at about half of the scales
similarity, spread, good = one.similarity[shown], one.entropy[shown], one.right[shown]
joined = explain.composite(similarity, spread)
chosen = [explain.best(score, scales, least=scales[1]) for score in (similarity, -spread, joined)]
measures = {"self-similarity": similarity, "entropy (nats)": spread, "composite": joined}
panels = [
    curves.Panel(
        scales.numpy(), {name: curve.numpy()}, "scale", name, [dict(color=style.OURS)], legend=None,
        settings=dict(title=f"choice: {scales[at]:.2f}, {'right' if good[at] else 'wrong'}"),
    )
    for name, curve, at in zip(measures, measures.values(), chosen, strict=True)
]  # fmt: skip
page.save_figure(
    curves.lines(*panels, size=(3.0, 2.8)),
    "one_latent",
    {"scale": scales} | measures | {"right": good.float()},
    f"The measures of one latent ({CLASSES[named[reader]['latents'].label[shown]]}) by scale, less their "
    f"value at scale 0. Its answer is right at {int(good.sum())} of {cfg.scales} scales"
    + (f", from {scales[good].min():.2f} to {scales[good].max():.2f}. " if good.any() else ". ")
    + "Above each panel: the scale that the measure chooses, and whether the answer there is right.",
)

# %% [markdown]
# The self-similarity is a step: zero at scale 0, and one value above. That is no accident. The first block above reads the vector through a layer norm, which
# takes the scale away (section 7), and with two blocks above, the stream before the last has seen no more than that. In a model this shallow the composite has
# only the entropy to choose by.
#
# Now all latents of all seeds. Each way to choose gives one scale per latent, and a share of right answers per seed. The first four
# are the authors'; then come three that show what the signs do. Scale 0 is not among the choices. Beside them stand what can be had without any
# measure: a random scale (the mean over all scales above 0), the fixed scale of
# section 5, and the best scale in hindsight: whether any scale gives a right answer. The last is no method, since it knows the answer.


# %%
def chosen_by(one):
    """The scale that each measure chooses, as numbers (N,)."""

    def pick(scores):
        return torch.tensor([explain.best(score, scales, least=scales[1]) for score in scores])

    def joined(first, second):
        return pick([explain.composite(*row) for row in zip(first, second, strict=True)])

    return {
        "self-similarity": pick(one.similarity),
        "entropy": pick(-one.entropy),
        "composite": joined(one.similarity, one.entropy),
        "composite with cross-entropy": joined(one.similarity, one.cross),
        "composite, other sign": joined(one.similarity, -one.entropy),
        "cross-entropy": pick(-one.cross),
        "cross-entropy, other sign": pick(one.cross),
    }


def shares(found, fixed):
    rows = []
    for one, at in zip(found, fixed, strict=True):
        hit = one.right.float()
        by = {name: hit.gather(1, scale[:, None]).mean().item() for name, scale in chosen_by(one).items()}
        by |= {"a random scale": hit[:, 1:].mean().item(), "fixed on other seeds": hit[:, at].mean().item()}
        rows.append(by | {"best in hindsight": hit.amax(dim=1).mean().item()})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


ways = shares(given["latents"], fixed)
page.save_figure(
    plots.ladder(ways, list(ways)[:4], "share of latents whose class is named"),
    "ways_to_choose",
    ways,
    f"Ways to choose the scale of each latent, {len(named[0]['latents'].d)} latents per seed; dots are "
    "seeds. Blue: the authors' measures. Compare them with the bar of a random scale. The fixed scale is "
    "chosen on other seeds by known answers; the best in hindsight is a bound, not a method.",
)

# %% [markdown]
# There is no claim about these bars. In a model whose answer does not depend on the direction no choice of a scale can help, and that holds for most of the
# dots; so this figure is **no evidence for or against the measures**. It shows how they would be compared, with three things to compare with that a
# published success should be held against: a random scale, a single scale for all latents, and the other sign.
#
# Last, the authors' filter: a direction whose self-similarity never rises by more than 0.01 counts as one that cannot be explained, and is dropped. Would it
# have told us in which models the word is not read?

# %%
for number, one in enumerate(given["latents"]):
    count, hit = int(explain.failed(one.similarity.T).sum()), one.right[:, fixed[number]].float().mean()
    here = "the reader" if number == reader else "not"
    print(f"seed {cfg.models[number].seed} ({here}): {count} of {len(one.right)} dropped, {hit:.0%} named")

# %% [markdown]
# The filter is right to drop nearly all latents of a model that does not read the word, as far as it does so. Look whether it spares those of the reader: if it drops
# most of them too, it does not tell the two kinds of model apart. Moving streams (section 4) does.
#
# <a id="depth"></a>
# ## 7 Where a direction can stand
# Which blocks above the injection are needed? The vector stands at one place, and the answer is read at another. Only attention moves things between
# places, and a block's attention reads its input through a layer norm. Two consequences are exact, and need no training:
#
# - After the **last** block nothing can carry the vector on. A model of one block cannot explain anything in this way, since its only
#   block is its last: the answer does not change at all.
# - After the **last but one** the vector is read once, through the layer norm, which takes its length away: $\mathrm{LN}(s\,d) = \mathrm{LN}(d)$ for every
#   $s > 0$. **Every scale gives the same answer.**
#
# So a scale to be chosen exists only where at least two blocks follow. There the first of them *adds* something to $s\,d$, and the scale says how much of the
# sum is $d$. And for the same reason the stream at the last token *after the first block above* is the same at every scale: the step in section 6.

# %%
top = len(subjects[0].blocks) - 1
single = Subject(fresh(replace(cfg.models[0], layers=1)).eval().requires_grad_(False), "one block")
some = torch.linspace(0.5, cfg.reach, 8) * length[0]
for subject, layer, over_zero in ((single, 0, True), (subjects[0], top, True), (subjects[0], top - 1, False)):
    logits = explain.sweep(subject, prompts[0], PLACE, mean[0], some, layer).logits
    assert torch.allclose(logits, logits[:1].expand_as(logits), atol=2e-2)
    if over_zero:
        assert torch.allclose(logits[0], subject.logits(prompts[0][None])[0, -1], atol=1e-4)
after = explain.sweep(subjects[0], prompts[0], PLACE, mean[0], some, 0).stream[:, 0]
assert torch.allclose(after, after[:1].expand_as(after), atol=2e-2)

# %% [markdown]
# (The norm divides by $\sqrt{\mathrm{var} + \varepsilon}$ with a small $\varepsilon$, so that the equality of scales holds up to a small error.)
#
# Now the trained models, with the class means of the stream after each block in the place of the word. After the first block scales can
# matter; after the second they cannot; after the last all answers are the one that the model gives to the made-up word.


# %%
def right_after(layer):
    found = []
    for subject, read, here, prompt in zip(subjects, heldout, ends, prompts, strict=True):
        stream = subject.residual(read, layer)
        d, label = class_means(stream, here)
        by = scales * stream[here < K].norm(dim=-1).mean()
        rows = [explain.sweep(subject, prompt, PLACE, v, by, layer) for v in F.normalize(d, dim=-1)]
        said = torch.stack([row.logits.argmax(dim=-1) for row in rows])
        found.append((said == FIRST + label[:, None]).float().mean(dim=0).numpy())
    return np.stack(found)


depths = {f"after block {layer}": right_after(layer) for layer in range(top + 1)}
across, up = "scale (mean lengths of the stream there)", curves.Share("class means that are named")
page.save_figure(
    curves.lines(curves.Panel(scales.numpy(), depths, across, up, **full), size=(6.4, 3.4), lw=1.2),
    "by_block",
    {"scale": scales} | depths,
    "Share of class means whose class is named, injected after each block; a line per seed. Look for flat "
    "lines: with one block above all scales above 0 give one answer; with none the vector does not arrive.",
)

# %% [markdown]
# <a id="real"></a>
# ## 8 A model of real text
# The same functions with the authors' two prompts. The placeholder is every token `X` of the prompt; the scale is in mean lengths of the stream, and the composite
# chooses it. In the offline profiles the model is a small one of Python code: it was never taught to answer a question, and **nothing should be expected of
# its answers**. The cell shows how it is done. The profiles `published` and `paper` ask GPT-2 small about latents of a published SAE; it does not
# follow instructions either, but it can go on with a sentence. A model that follows instructions has the same place in `Real`: a model of the hub and an SAE
# of its stream.

# %%
QUESTIONS = {
    "meaning": 'What is the meaning of the word "X"? The meaning of the word "X" is "',
    "repeat": 'Repeat "X" four times exactly as it is written: "X" "X" "X" "',
}


def question(tokenizer, asked, placeholder="X"):
    """Tokens of a prompt, after an end of text, and the places of the placeholder."""
    tokens = [tokenizer.eos_token_id, *tokenizer(asked)["input_ids"]]
    places = [at for at, token in enumerate(tokens) if tokenizer.decode([token]).strip() == placeholder]
    return torch.tensor(tokens), torch.tensor(places)


def explained(subject, asked, d, scales, layer, count=4):
    """The scale that the composite chooses, and the likeliest next tokens there."""
    tokens, places = question(subject.tokenizer, asked)
    logits, stream = explain.sweep(subject, tokens, places, d, scales, layer)
    similarity = explain.from_zero(explain.self_similarity(stream[:, -min(2, stream.shape[1])], d.cpu()))
    at = explain.best(explain.composite(similarity, explain.from_zero(explain.entropy(logits))), scales)
    return scales[at].item(), [subject.tokenizer.decode([token]) for token in logits[at].topk(count).indices]


asking = cfg.real.dictionary
subject, tokens, stream, _ = dictionaries.heldout(asking)
sae = dictionaries.dictionary(asking)
active = features.fired(subject, sae, asking.site, tokens[:96])
alive = (active.counts >= 10).nonzero()[:, 0]
some = alive[torch.linspace(0, len(alive) - 1, cfg.real.latents).long()]
unit = stream[:, 1:].norm(dim=-1).mean().item()
steps = unit * torch.linspace(0, cfg.real.reach, cfg.scales)
for latent, d in zip(some, features.directions(sae, some, stream.flatten(0, 1)[1]), strict=True):
    mine = features.examples(active, int(latent), run.generator(0, "examples"), top=4, intervals=1, each=0)
    seen = [subject.tokenizer.decode([token]) for token in tokens[mine.context, mine.position]]
    print(f"latent {int(latent)}, most active on {seen}")
    for name, asked in QUESTIONS.items():
        at, best = explained(subject, asked, F.normalize(d, dim=0), steps, asking.layer)
        print(f"    {name:8} at scale {at / unit:.1f}: {best}")

# %% [markdown]
# Compare the tokens on which a latent is most active with the answers. For the model of code we see no reason why they should agree, and read nothing into it if
# some do: with several tokens on each side, some agreement comes by chance. That is the difference to sections 3 to 6, where every answer is marked.
#
# <a id="your-turn"></a>
# ## 9 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* With one block above the injection, the length of the vector does not count. Does its sign? Inject $-s\,d$ for several $s$.
#    <details><summary>Hint</summary>`explain.sweep` takes negative scales. Use large ones, so that the small number in the layer norm does not count.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    lengths = torch.tensor([50.0, 100.0, 200.0])
#    below = top - 1
#    plus, minus = (
#        explain.sweep(subjects[0], prompts[0], PLACE, mean[0], sign * lengths, below).logits for sign in (1, -1)
#    )
#    assert torch.allclose(minus, minus[:1].expand_as(minus), atol=1e-2)
#    assert (plus[0] - minus[0]).abs().max() + 1e-2 >= (minus[0] - minus[1]).abs().max()
#    print(TOKENS[plus[0].argmax()], "and", TOKENS[minus[0].argmax()])
#    ```
#
#    It does, as far as the model reads this place at all: a layer norm divides by a positive number, so $-d$ is another word. It need not mean "not an
#    animal".
#    </details>
# 2. *(5 minutes)* The composite brings each curve to the range 0 to 1. Take a self-similarity that is nothing but noise a millionth high, beside the planted
#    entropy of section 2. How often is the planted scale still chosen?
#    <details><summary>Hint</summary>Draw the noise many times. Compare with noise a million times as high.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    planted_spread = 3 - 2 * torch.exp(-((scale - planted) ** 2) / 0.1)
#    noise = torch.randn(500, len(scale), dtype=torch.float64, generator=run.generator(0, "noise"))
#    low, high = (
#        [explain.best(explain.composite(size * row, planted_spread.double()), scale) for row in noise]
#        for size in (1e-6, 1.0)
#    )
#    assert low == high
#    hits = np.mean([abs(scale[at] - planted) < 0.05 for at in low])
#    print(f"the planted scale is chosen in {hits:.0%} of the draws")
#    assert hits < 0.6
#    ```
#
#    As often as with noise of any other size. A curve that says nothing counts as much as one that says everything.
#    </details>
# 3. *(5 minutes)* What does the composite choose at $a = 1$, and at $a = 0$?
#    <details><summary>Hint</summary>One of its two terms is gone.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    for similarity_, spread_ in zip(given["latents"][0].similarity, given["latents"][0].entropy, strict=True):
#        first, last = (explain.best(explain.composite(similarity_, spread_, a), scales) for a in (1, 0))
#        assert torch.isclose(similarity_[first], similarity_.max(), atol=1e-5)
#        assert torch.isclose(spread_[last], spread_.min(), atol=1e-5)
#    ```
#
#    The largest self-similarity, and the lowest entropy.
#    </details>
# 4. *(10 minutes)* Mark answers more kindly: compare the probabilities of the eight class names alone. Can the share of right answers become
#    smaller?
#    <details><summary>Hint</summary>If the likeliest of all tokens is the right name, what is the likeliest of the eight?</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    kind, strict_right = named[0]["latents"], given["latents"][0].right
#    kindly = []
#    for direction, true in zip(*kind, strict=True):
#        found = explain.sweep(subjects[0], prompts[0], PLACE, direction, scales * length[0], cfg.layer).logits
#        kindly.append(found[:, FIRST : FIRST + K].argmax(dim=-1) == true)
#    kindly = torch.stack(kindly)
#    print(f"{strict_right.float().mean():.0%} of all answers, {kindly.float().mean():.0%} with eight names to choose from")
#    assert kindly.float().mean() >= strict_right.float().mean()
#    ```
#
#    No. If it hardly grows, the model nearly always answers with some class: it takes any vector for a word.
#    </details>
#
# 5. *(10 minutes)* Force the model to read at the word. Let every block attend only to a token itself and to the one before
#    it. Check that the first syllable can then no longer reach `means` in the first block.
#    <details><summary>Hint</summary>A forward pre-hook on a block's `attn` can replace its `attention_mask`: 0 where it may look, a very negative number
#    elsewhere. Compare the streams after block 0 of two prompts that differ in the first syllable.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    def window(attention, size=2):
#        def local(_, positional, named):
#            count = positional[0].shape[1]
#            away = torch.arange(count)[:, None] - torch.arange(count)
#            hidden = torch.zeros(count, count)
#            hidden[(away < 0) | (away >= size)] = torch.finfo(torch.float32).min
#            return positional, named | {"attention_mask": hidden[None, None]}
#
#        attention.register_forward_pre_hook(local, with_kwargs=True)
#
#    def reaches_means(model):
#        subject = Subject(model, "a model")
#        one, two = (subject.residual(torch.tensor([[END, first, 1, MEANS]]), 0) for first in (0, 2))
#        return (one - two)[0, -1].abs().max().item()
#
#    usual, short = (fresh(cfg.models[0]).eval().requires_grad_(False) for _ in range(2))
#    for block in short.transformer.h:
#        window(block.attn)
#    print("change after block 0 at `means`:", reaches_means(usual), "with all in view,", reaches_means(short), "with a window")
#    assert reaches_means(short) == 0 < reaches_means(usual)
#    ```
#
#    To train such a model, call `window` for its blocks in `train` and in `trained`, right after `fresh`. Then repeat sections 4 and 5 with it: does the answer
#    follow the second syllable now, and are latents named?
#    </details>
#
# <a id="limits"></a>
# ## 10 Limits
# - The language has eight classes and a few thousand possible sentences; an "explanation" is one word out of eight. The authors' model writes free text
#   about features that nobody has listed. What fails here may work there, and the other way round.
# - The labels come from the F1 of a latent with a class, and these F1 are modest. An answer that differs from the label may say something true of the latent.
# - Our model has two blocks above the injection; gemma-2b has fifteen. The measures have little room in so few blocks: the self-similarity is taken one block
#   above the injection, where it cannot depend on the scale.
# - In most of the models here the answer is not read at the place of the injection (section 4). So the page says when the method cannot work, and next to nothing
#   about how well it works where it can. That would need models in which the class *must* be read at the word, for instance with an attention window
#   that lets each block see one token back (exercise 5). Two pilots with a seed that no claim uses, one with the window in every block and
#   one in the first alone, did read at the word and named latents more often than the controls; one seed is no result, and no claim rests on it.
# - The test of section 4 moves the whole stream. That an answer follows says that what it depends on is there, not that one direction carries it.
# - Five seeds give five languages and five models of one size. Other sizes, other places of injection and other prompts were not tried.
# - Section 8 marks nothing: for real text there is no key to the answers.
#
# <a id="checked"></a>
# ## 11 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
