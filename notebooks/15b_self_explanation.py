# %% [markdown]
# # 15b. A model that explains its own features
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/15b_self_explanation.ipynb)
#
# **Pages** [← 15. Steering: text that is written while a latent is held](15_steering.ipynb) · [Start here](00_start_here.ipynb) · [16. Why a training step is fast: operations, bytes, and what a clock says →](16_speed.ipynb)
#
# What does a latent of a sparse autoencoder stand for? One idea: ask the model itself. Put the latent's direction in the place of a word, ask
# "what does this word mean?", and read the answer. On this page you train a model so small that this takes minutes, in a language whose every
# word has a known class, so that every answer can be marked right or wrong. Here it fails for most of the models, and a simple test shows why: a model
# need not read the meaning of a word at the place where you put the direction.
#
# **You will** write the measures by which a scale is chosen, and test them on cases with known results · train a model that says the class of
# words it never saw defined · inject the directions of an SAE's latents and mark the answers · find out where a model reads a word ·
# compare ways to choose the scale · see which layers can be used at all, and why.
#
# **Needs** [page 7](07_language_model.ipynb#model) (the residual stream, blocks) and [page 8](08_sae_training.ipynb) (what an SAE is).
#
# **Takes** about six minutes at `laptop` on two cores, once; seconds afterwards ([start here](00_start_here.ipynb#profiles) has the other
# profiles).
#
# **Paper** *Self-explaining SAE features* (2024), by the measures in its authors' public code. To put a vector in the place of a word and ask what
# it means is the idea of SelfIE and Patchscopes (2024).
#
# **On this page** [1 A direction in the place of a word](#idea) · [2 Three measures of an answer](#measures) · [3 A language with known meanings](#language) · [4 Directions in the place of the word](#asking) · [5 Choosing the scale without knowing the answer](#choosing) · [6 Where a direction can stand](#depth) · [7 A model of real text](#real) · [8 Your turn](#your-turn) · [9 Limits](#limits) · [10 What was checked](#checked)

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
# for section 7.


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
tiny = replace(TINY, context=64, steps=60)  # long enough for the prompts of section 7
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
# Models of real text leave a second question open: who says that an answer is right? We build a language in which that is known (sections 3 to 5).
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


def language(seed, permuted):
    """Words as pairs of syllables (W, 2), and the class that a definition says (W,)."""
    draw, said = run.generator(seed, "words"), TRUE.clone()
    pairs = torch.cartesian_prod(torch.arange(FIRST), torch.arange(FIRST))
    words = pairs[torch.randperm(len(pairs), generator=draw)[: len(TRUE)]]
    if permuted:
        said[DEFINED] = TRUE[DEFINED][torch.randperm(int(DEFINED.sum()), generator=draw)]
    return words, said


# %% [markdown]
# The text: three definitions to seven sentences, in random order. `permuted` is for the control, a language in which definitions are dealt out at random:
# they can be learned by heart, but they have nothing to do with use.


# %%
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
# <a id="asking"></a>
# ## 4 Directions in the place of the word
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
words_of = [language(model.seed, False)[0] for model in cfg.models]
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
# and all models. The measures of section 2 are kept for section 5; the self-similarity is that of the last block but one (the authors use block
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
# If the method works, the latents' lines rise above those of the controls. The class means say how high they could rise.

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
pairs = list(zip(subjects, (kinds["latents"].d for kinds in named), strict=True))
weights = [features.logit_weights(subject, site, d)[:, FIRST : FIRST + K] for subject, d in pairs]
by_lens = [(w.argmax(1) == label).float().mean().item() for w, label in zip(weights, labels, strict=True)]

# %% [markdown]
# The band begins half-way between the latents and the nearest control of a pilot with a seed that is not used here.
#
# Before the verdict, a test of the premise: *is the word read at all at the place where we inject*? Take the prompts of two defined words. Put the stream of
# the one, after the same block, into the prompt of the other: at both syllables, or at the last token, `means`. Where the answer follows, there the class is.
# The better of the two places is the positive example: the stream of a word of the class, put where it is read.


# %%
def follows(subject, words, places):
    """Share of defined words for which the answer is the class of the word whose stream was put there."""
    edge = torch.full((len(words), 1), END)
    prompts = torch.cat([edge, words, torch.full_like(edge, MEANS)], dim=1)[DEFINED]
    stream, true = subject.residual(prompts, cfg.layer), TRUE[DEFINED]
    other = torch.arange(len(true)).roll(len(true) // 2)  # a word of another class
    stream[:, places] = stream[other][:, places]
    said = subject.logits_from(stream, cfg.layer)[:, -1].argmax(dim=-1) - FIRST
    return (said == true[other]).float().mean().item()


pairs = list(zip(subjects, words_of, strict=True))
moved = [(follows(one, words, (1, 2)), follows(one, words, (3,))) for one, words in pairs]
for number, (word, last) in enumerate(moved):
    print(f"seed {number}: moved with both syllables {word:.0%}, with `means` {last:.0%}")
page.check(
    "selfexplain.latents-named",
    at_fixed["latents"],
    control={
        "untrained latents": at_fixed["untrained"],
        "random directions": at_fixed["random"],
        "another class": another,
        "logit lens": by_lens,
    },
    witness=[max(places) for places in moved],
)

# %% [markdown]
# Compare the two columns above. Where the answer moves with `means`, the model has gathered both syllables in its *first* block already, at the last
# token, and worked the class out there a second time. The class at the second syllable, which the SAE sees and which predicts the next word, is then not what
# the answer is read from, and no direction put there can change the answer. Where the answer moves with the syllables, the injection can work. Nothing in
# the language forbids the first way; which one a model learns depends on the seed. (The pilot's model had learned the second.)
#
# Two more questions to the same answers. They make sense only for models that read the word there. How much of the success does *choosing* explain? The untrained latents were picked, out of as many, by the
# same rule, and their labels come from the same text. If they too are named more often than random directions, a part of every such success belongs
# to the choice and not to training.
#
# And how much does the scale matter? Success in a narrow range of scales is reported for larger models. Our measure is the largest share of right
# answers over the scales above 0, less the smallest.


# %%
def span(rows):
    return rows[:, 1:].max(axis=1) - rows[:, 1:].min(axis=1)


page.check(
    "selfexplain.choice-alone",
    np.subtract(at_fixed["untrained"], at_fixed["random"]),
    control={"random directions, less chance": np.subtract(at_fixed["random"], 1 / K)},
)
page.check(
    "selfexplain.scale-matters",
    span(right["latents"]),
    control={"random directions": span(right["random"])},
)

# %% [markdown]
# Try it: choose a latent of the first model and a scale, and see the probabilities of the next token.

# %%
choices = tuple(f"{i}: {CLASSES[k]}" for i, k in enumerate(named[0]["latents"].label.tolist()))


def next_token(latent, scale, count=6):
    d = named[0]["latents"].d[int(latent.partition(":")[0])]
    p = injected(subjects[0], prompts[0], d, scale * length[0], cfg.layer).softmax(dim=-1)
    best = p.argsort(descending=True)[:count]
    shown = f"{written(prompts[0][:1].tolist())} X X means"
    return plots.guesses(shown, [TOKENS[token] for token in best.tolist()], p[best].numpy())


widgets.live(next_token, latent=choices, scale=widgets.Slider(0.0, cfg.reach, 1.0))

# %% [markdown]
# <a id="choosing"></a>
# ## 5 Choosing the scale without knowing the answer
# For a model of real text the right answers are not known, so the scale is chosen by the measures. Here is what they look like for one latent; the caption
# says at which scales its answer is right.

# %%
one = given["latents"][0]
shown = int((one.right.float().mean(dim=1) - 0.5).abs().argmin())  # right at about half of the scales
similarity, spread, good = one.similarity[shown], one.entropy[shown], one.right[shown]
joined = explain.composite(similarity, spread)
measures = {"self-similarity": similarity, "entropy (nats)": spread, "composite": joined}
panels = [
    curves.Panel(
        scales.numpy(), {name: curve.numpy()}, "scale", name, [dict(color=style.OURS)], legend=None,
        settings=dict(title=f"choice: {scales[at]:.2f}, {'right' if good[at] else 'wrong'}"),
    )
    for name, curve, at in zip(
        measures, measures.values(), (similarity.argmax(), spread.argmin(), joined.argmax()), strict=True
    )
]  # fmt: skip
page.save_figure(
    curves.lines(*panels, size=(3.0, 2.8)),
    "one_latent",
    {"scale": scales} | measures | {"right": good.float()},
    f"The measures of one latent ({CLASSES[named[0]['latents'].label[shown]]}) by scale, less their value at "
    f"scale 0. Its answer is right at {int(good.sum())} of {cfg.scales} scales"
    + (f", from {scales[good].min():.2f} to {scales[good].max():.2f}. " if good.any() else ". ")
    + "Above each panel: the scale that the measure chooses, and whether the answer there is right.",
)

# %% [markdown]
# Now all latents of all seeds. Each way to choose gives one scale per latent, and a share of right answers per seed. The first four
# are the authors'; then come three that show what the signs do. Scale 0 is not among the choices. Beside them stand what can be had without any
# measure: a random scale (the mean over all scales above 0), the fixed scale of
# section 4, and the best scale in hindsight: whether any scale gives a right answer. The last is no method, since it knows the answer.


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
# What we expected from the notes: the composite near the best in hindsight, and its other sign far below. The claim asks only that the composite be better than a
# random scale; the fixed scale is the positive example, which shows that a better choice exists.

# %%
gain = {name: share - ways["a random scale"] for name, share in ways.items()}
page.check(
    "selfexplain.composite-chooses",
    gain["composite"],
    control={"the other sign": gain["composite, other sign"]},
    witness=gain["fixed on other seeds"],
)
page.check(
    "selfexplain.fixed-scale",
    gain["fixed on other seeds"],
    control={"self-similarity": gain["self-similarity"], "entropy": gain["entropy"]},
)

# %% [markdown]
# If nothing here differs from a random scale, look back at section 4: where the answer does not depend on the direction, no choice of a scale can help, and
# the measures have not been put to the test.
#
# The cross-entropy has a sign that can be tested by itself. Where an answer has to do with the direction, it should be an answer that the empty
# placeholder does not give: *large* cross-entropy. The composite subtracts it, as the code that we read writes it down. How much hangs on this
# sign? For random directions, which have no right answer, it should make no difference.


# %%
def sign_matters(found):
    by = shares(found, fixed)
    return by["cross-entropy, other sign"] - by["cross-entropy"]


page.check(
    "selfexplain.sign-of-cross-entropy",
    sign_matters(given["latents"]),
    control={"random directions": sign_matters(given["random"])},
)

# %% [markdown]
# Last, the authors' filter: some directions cannot be explained at any scale, and those whose self-similarity never rises by more than 0.01 are
# dropped. Do they fail here? For every latent of every seed we have its largest self-similarity and whether its answer at the fixed scale is right. The table counts; an area under the ROC curve (AUROC) of one half means that the measure does not tell them apart.


# %%
def auroc(score, positive):
    """Chance that a positive has a higher score than a negative; ties count half."""
    above, below = score[positive][:, None], score[~positive]
    return ((above > below).float() + 0.5 * (above == below)).mean().nan_to_num(0.5).item()


largest = torch.cat([one.similarity.amax(dim=1) for one in given["latents"]])
drop = torch.cat([-one.entropy.amin(dim=1) for one in given["latents"]])
named_right = torch.cat([one.right[:, at] for one, at in zip(given["latents"], fixed, strict=True)])
dropped = torch.cat([explain.failed(one.similarity.T) for one in given["latents"]])
for name, group in {"kept": ~dropped, "dropped": dropped}.items():
    print(f"{name}: {group.sum()} latents, {named_right[group].sum()} of them named right")
areas = f"self-similarity {auroc(largest, named_right):.2f}, drop of entropy {auroc(drop, named_right):.2f}"
print("AUROC:", areas)

# %% [markdown]
# <a id="depth"></a>
# ## 6 Where a direction can stand
# Which blocks above the injection are needed? The vector stands at one place, and the answer is read at another. Only attention moves things between
# places, and a block's attention reads its input through a layer norm. Two consequences are exact, and need no training:
#
# - After the **last** block nothing can carry the vector on. A model of one block cannot explain anything in this way, since its only
#   block is its last: the answer does not change at all.
# - After the **last but one** the vector is read once, through the layer norm, which takes its length away: $\mathrm{LN}(s\,d) = \mathrm{LN}(d)$ for every
#   $s > 0$. **Every scale gives the same answer.**
#
# So a scale to be chosen exists only where at least two blocks follow. There the first of them *adds* something to $s\,d$, and the scale says how much of the
# sum is $d$.

# %%
top = len(subjects[0].blocks) - 1
single = Subject(fresh(replace(cfg.models[0], layers=1)).eval().requires_grad_(False), "one block")
some = torch.linspace(0.5, cfg.reach, 8) * length[0]
for subject, layer, over_zero in ((single, 0, True), (subjects[0], top, True), (subjects[0], top - 1, False)):
    logits = explain.sweep(subject, prompts[0], PLACE, mean[0], some, layer).logits
    assert torch.allclose(logits, logits[:1].expand_as(logits), atol=2e-2)
    if over_zero:
        assert torch.allclose(logits[0], subject.logits(prompts[0][None])[0, -1], atol=1e-4)

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
    curves.lines(curves.Panel(scales.numpy(), depths, across, up, **full), size=(6.4, 3.4), lw=1.2, alpha=0.85),
    "by_block",
    {"scale": scales} | depths,
    "Share of class means whose class is named, injected after each block; a line per seed. Look for flat "
    "lines: with one block above all scales above 0 give one answer; with none the vector does not arrive.",
)

# %% [markdown]
# <a id="real"></a>
# ## 7 A model of real text
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
# some do: with several tokens on each side, some agreement comes by chance. That is the difference to sections 3 to 5, where every answer is marked.
#
# <a id="your-turn"></a>
# ## 8 Your turn
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
#    assert (plus[0] - minus[0]).abs().max() > 3 * (minus[0] - minus[1]).abs().max()
#    print(TOKENS[plus[0].argmax()], "and", TOKENS[minus[0].argmax()])
#    ```
#
#    It does: a layer norm divides by a positive number, so $-d$ is another word. It need not mean "not an animal".
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
# <a id="limits"></a>
# ## 9 Limits
# - The language has eight classes and a few thousand possible sentences; an "explanation" is one word out of eight. The authors' model writes free text
#   about features that nobody has listed. What fails here may work there, and the other way round.
# - The labels come from the F1 of a latent with a class, and these F1 are modest. An answer that differs from the label may say something true of the latent.
# - Our model has two blocks above the injection; gemma-2b has fifteen. The measures have little room in so few blocks: the self-similarity is taken one block
#   above the injection.
# - In most of the models here the answer is not read at the place of the injection (section 4). What sections 4 and 5 say about scales and their choice then
#   concerns an answer that does not depend on the direction: it is no evidence for or against the measures. A language in which the class *must* be read
#   at the word would be needed to test them.
# - Five seeds give five languages and five models of one size. Other sizes, other places of injection and other prompts were not tried.
# - Section 7 marks nothing: for real text there is no key to the answers.
#
# <a id="checked"></a>
# ## 10 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
