# %% [markdown]
# # 15b. A model that explains its own features
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/15b_self_explanation.ipynb)
#
# **Pages** [← 15. Steering: text that is written while a latent is held](15_steering.ipynb) · [Start here](00_start_here.ipynb) · [16. Why a training step is fast: operations, bytes, and what a clock says →](16_speed.ipynb)
#
# What does a latent of a sparse autoencoder stand for? One idea: ask the model itself. Put the latent's direction in the place of a word, ask
# "what does this word mean?", and read the answer. The idea has a premise: that the model reads the meaning of a word *at the word*. On this page
# you train models so small that this takes minutes, in a language whose every word has a known class, so that every answer can be marked right or
# wrong. You compare two kinds of model. In one, attention may look back as far as it likes, and you test whether the answer still needs the stream at
# the word. In the other, attention sees only the token itself and the one before, so that the first syllable of a word can reach the answer through
# the second syllable alone. Then the method can be tested: **does the model name what its latents stand for, and does it matter at which scale?**
#
# **You will** write the measures by which a scale is chosen, and test them on cases with known results · train models that say the class of
# words they never saw defined · move parts of the residual stream between prompts to find out where a model reads a word · inject the directions of an SAE's latents and
# mark the answers · compare the answers with those for directions that were never trained · see when the choice of a scale matters.
#
# **Needs** [page 7](07_language_model.ipynb#model) (the residual stream, blocks) and [page 8](08_sae_training.ipynb) (what an SAE is).
#
# **Takes** about eight minutes at `laptop` on two cores, once; seconds afterwards ([start here](00_start_here.ipynb#profiles) has the other
# profiles).
#
# **Paper** *Self-explaining SAE features* (2024), by the measures in its authors' public code. To put a vector in the place of a word and ask what
# it means is the idea of SelfIE and Patchscopes (2024).
#
# **On this page** [1 A direction in the place of a word](#idea) · [2 Three measures of an answer](#measures) · [3 A language with known meanings](#language) · [4 Where is a word read?](#where) · [5 Directions in the place of the word](#asking) · [6 When can the scale matter?](#depth) · [7 Choosing the scale without knowing the answer](#choosing) · [8 A model of real text](#real) · [9 Your turn](#your-turn) · [10 Limits](#limits) · [11 What was checked](#checked)

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
# The parameters: small models of a made-up language, with and without a window, the SAE trained on each, and how far the scale is swept. `real` is
# a model of real text for section 8.


# %%
@dataclass(frozen=True)
class Model:
    seed: int = 0
    permuted: bool = False  # definitions dealt out at random: the control
    window: int = 0  # tokens that attention sees, the last one among them; 0: all
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
    full: tuple[Model, ...]
    windowed: tuple[Model, ...]
    controls: tuple[Model, ...]  # of both kinds
    sae: TrainConfig
    real: Real
    layer: int = 0  # directions stand in the stream after this block
    scales: int = 33
    reach: float = 4.0  # largest scale, in mean lengths of the stream
    per_class: int = 3  # latents that are asked about
    untrained: int = 40  # SAEs that are not trained, for comparison: half of them, and the other half
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


def models(model, full, windowed):
    """Models by seed; of each kind one more in which definitions are dealt out at random."""
    near = replace(model, window=2)
    return dict(
        full=tuple(replace(model, seed=seed) for seed in range(full)),
        windowed=tuple(replace(near, seed=seed) for seed in range(windowed)),
        controls=(replace(model, permuted=True), replace(near, permuted=True)),
    )


large = replace(small, layers=4, d=128, contexts=100_000, steps=6000)
cfg = run.choose(
    quick=Config(
        **models(brief, 2, 2), sae=brief_recipe, real=Real(tiny_sae, latents=2), scales=9, texts=60,
        heldout=40,
        untrained=2,
    ),
    laptop=Config(**models(small, 3, 5), sae=sae_recipe, real=Real(code_sae, latents=5)),
    published=Config(**models(small, 3, 5), sae=sae_recipe, real=Real(openai, latents=16)),
    paper=Config(**models(large, 5, 5), sae=sae_recipe, real=Real(openai, latents=64), scales=65),
)  # fmt: skip
page = claims.Page("15b_self_explanation", cfg)

# %% [markdown]
# <a id="idea"></a>
# ## 1 A direction in the place of a word
# A language model that follows instructions can be asked `What is the meaning of the word "X"?`, and its answer begun for it:
# `The meaning of the word "X" is "`. It goes on with what it takes `X` to mean, and it reads this from the residual stream at the places where `X`
# stands. That, at least, is what the method supposes; section 4 tests it for our models. If it is so, one can *replace* the stream there, after one of the first blocks, by a vector of one's own choice,
#
# $$ h_X \leftarrow s \, d, $$
#
# with $d$ the decoder direction of a latent (of length 1) and $s$ a number, the *scale*. Then the model explains a word whose "meaning" is $d$.
# `X` is the *placeholder*; what is written there no longer matters. The authors use gemma-2b-it, put $s\,d$ in the place of the stream after
# block 2, try 64 scales from 0 to 200, and let the model write its answers. A second prompt asks it to repeat `X` four times.
#
# The authors' difficulty is the scale. If it is too small, the answer says nothing about $d$; if it is too large, the text is no longer English; and
# the right scale differs from latent to latent. For thousands of latents nobody can read the answers at 64 scales. So the scale should be chosen *without knowing the answer*, from numbers that the forward
# pass gives. Section 2 writes these down.
#
# Models of real text leave a second question open: who says that an answer is right? We build a language in which that is known (sections 3 to 7).
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
# and the scale with the largest $C_a$ is chosen. Mind the minus sign: a *low* entropy is wanted, and a formula with
# "$+ (1-a)\,\text{entropy}$" chooses another scale. To see it we make up two curves for which the best scale is known, the *planted* scale: the
# self-similarity has its peak there, the entropy its lowest point.


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
# With the plus sign a scale is chosen at which the entropy is high, that is, where a model would be uncertain. The last assertion shows that units do not count:
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
# The model is a GPT-2 of three blocks, as built on [page 7](07_language_model.ipynb#model), of two kinds. With **full attention** a token sees all that stand
# before it. With a **window** (*sliding-window* or *local attention*, as in GPT-Neo and Mistral, where windows are some hundreds or thousands of tokens) it sees the
# last few, here two: itself and the one before. `look_back` puts a window on the attention of a block: a score of $-\infty$, or nearly so, takes a token out of the softmax.


# %%
def look_back(attention, window):
    """From now on each token's attention sees the last `window` tokens alone, itself among them."""

    def masked(_, positional, named):
        at = torch.arange(positional[0].shape[1])
        away = at[:, None] - at  # how far the token that is seen lies back
        mask = positional[0].new_zeros(away.shape)
        mask[(away < 0) | (away >= window)] = torch.finfo(mask.dtype).min
        return positional, named | {"attention_mask": mask[None, None]}

    attention.register_forward_pre_hook(masked, with_kwargs=True)


def fresh(config):
    start = run.generator(config.seed, "start").initial_seed() % 2**31
    sizes = dict(
        layers=config.layers, d_model=config.d, heads=4, context=config.context + 1, vocab=len(TOKENS)
    )  # fmt: skip
    model = training.new_model(SubjectConfig(**sizes, seed=start))
    for block in model.transformer.h if config.window else ():
        look_back(block.attn, config.window)
    return model


pair = torch.tensor([[0, 9, MEANS], [5, 9, MEANS]])
for window in (0, 2):
    model = fresh(replace(cfg.full[0], window=window)).eval().requires_grad_(False)
    one, two = Subject(model, "untrained").residual(pair, 0)
    assert torch.equal(one[-1], two[-1]) == (window == 2)  # two words that differ in their first syllable


# %% [markdown]
# The training loop is the usual one: predict the next token, AdamW, a rate that rises for 50 steps and then falls. Both kinds get the same text and the same
# start.


# %%
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


class Trained(NamedTuple):
    config: Model
    subject: Subject
    words: Tensor  # (W, 2)


def trained(config):
    model, weights = fresh(config).eval().requires_grad_(False), memo.memo(train, config)
    model.transformer.load_state_dict({name: weights[name] for name in model.transformer.state_dict()})
    return Trained(config, Subject(model, f"language-{config.seed}"), language(config.seed, False)[0])


models_of = {kind: [trained(config) for config in getattr(cfg, kind)] for kind in ("full", "windowed")}
for kind, found in models_of.items():
    shown = [f"{memo.memo(train, one.config)['loss']:.2f}" for one in found]
    print(f"{kind:8} loss of the last batch:", ", ".join(shown), "nats")

# %% [markdown]
# ### Before anything is injected
# The method asks the model what a word means. So first: can it say that at all? We write `. ba gi means` for every word that was never defined and
# look at the likeliest next token, of the whole vocabulary. A guess among eight classes is right in one case of eight.
#
# Two things could imitate an understanding of the word. A syllable may happen to be more frequent in one class: `a table of syllables`
# counts, over the *defined* words, which class each syllable occurs in, and guesses from both. And definitions might be learned in a way that spills over to
# other words without any help from use: in `definitions permuted` use and definition contradict each other. The claims, one for each kind of model, ask for three quarters
# of the undefined words in every seed.


# %%
def prompts_of(words):
    """`. <word> means` for each word, (W, 4)."""
    edge = torch.full((len(words), 1), END)
    return torch.cat([edge, words, torch.full_like(edge, MEANS)], dim=1)


def share_right(one):
    """Shares of undefined words of the right class, and of defined words as defined."""
    said = language(one.config.seed, one.config.permuted)[1]
    answers = one.subject.logits(prompts_of(one.words))[:, -1].argmax(dim=-1) - FIRST
    return (answers == TRUE)[~DEFINED].float().mean().item(), (answers == said)[DEFINED].float().mean().item()


def by_syllables(words):
    counts = torch.ones(2, FIRST, K)
    for place in (0, 1):
        counts[place].index_put_((words[DEFINED, place], TRUE[DEFINED]), torch.ones(()), accumulate=True)
    guess = (counts[0, words[:, 0]] * counts[1, words[:, 1]]).argmax(dim=-1)
    return (guess == TRUE)[~DEFINED].float().mean().item()


shares_right = {kind: [share_right(one) for one in found] for kind, found in models_of.items()}
shares_right |= {f"permuted, window {one.window}": [share_right(trained(one))] for one in cfg.controls}
for kind, found in shares_right.items():
    print(f"{kind:18}", ", ".join(f"{new:.0%} (defined words {old:.0%})" for new, old in found))
for kind, window in (("full", 0), ("windowed", 2)):
    page.check(
        f"selfexplain.{kind}.held-out-words",
        [new for new, _ in shares_right[kind]],
        control={
            "definitions permuted": [new for new, _ in shares_right[f"permuted, window {window}"]],
            "a table of syllables": [by_syllables(one.words) for one in models_of[kind]],
        },
        witness=[defined for _, defined in shares_right[kind]],
    )

# %% [markdown]
# A model that passes names classes of words that it only ever saw in sentences, never before `means`. So it has joined the use of these words with what
# `means` asks for. In the control, where the definitions contradict the use, the same training does not lead there: such a model can only learn the
# definitions one by one.
#
# The two kinds of model differ here already. All of them know the defined words by heart. With a window they also name every undefined word; with full attention
# they miss many. We suppose, and have not tested, that a model with full attention learns the definitions as pairs of syllables, without the
# class that it needs to predict the next word. The next section shows at least that it answers without the stream at the word.
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
# Nothing in the language decides between them for a model with full attention. For a model with a window of two the second way is closed, since `means`
# does not see `ba`. The assertion below `look_back` checked this: for two words with the same second syllable, the stream at `means` after the first block is
# the same. Whatever reaches `means` about `ba` in a later block comes through the stream at `gi`.
#
# Which way a model has learned can be tested without any SAE. Take the prompts of two defined words of different classes. Take the stream of the one,
# as it enters some block, and put it into the prompt of the other: at both syllables, at one of them, or at `means`. If the answer becomes that of the first
# word, we say that it *follows*: what the answer depends on was at the place that was moved.


# %%
ORDER = torch.arange(int(DEFINED.sum()))
OTHER, THIRD = (ORDER.roll(len(ORDER) // part) for part in (2, 4))  # words of other classes than a word's own
PLACES = {"the word": (1, 2), "second syllable": (2,), "first syllable": (1,), "means": (3,), "period": (0,)}


def follows(one, place, block, toward=OTHER):
    """Share of answers that are the class of word `toward`, with the stream of word OTHER at the place."""
    prompts, at = prompts_of(one.words)[DEFINED], PLACES[place]
    stream = one.subject.activations(prompts, f"blocks.{block}.hook_resid_pre")  # (words, 4, d)
    stream[:, at] = stream[OTHER][:, at]
    said = one.subject.logits_from(stream, block - 1)[:, -1].argmax(dim=-1) - FIRST
    return (said == TRUE[DEFINED][toward]).float().mean().item()


# %% [markdown]
# The stream that enters block 0 holds the embeddings alone: with both syllables moved there, the prompt *is* that of the other word. So the lines of the
# word must begin at the share of defined words that are answered rightly, and those of `means` near zero. Look at block 1: it reads the stream
# after block 0, where the next sections put a direction. Do answers still follow the word there?

# %%
blocks, enters = np.arange(cfg.full[0].layers), cfg.layer + 1  # it reads the stream after block `layer`
read_at = {kind: {} for kind in models_of}
for kind, at in ((kind, at) for kind in models_of for at in PLACES):
    rows = [[follows(one, at, int(block)) for block in blocks] for one in models_of[kind]]
    read_at[kind][at] = np.array(rows)  # (models, blocks)


def moved(kind, title, legend):
    """A line per seed and place, each seed a little to the right of the one before."""
    rows = {f"at {place}": read_at[kind][place] for place in ("the word", "means")}
    drawn = {name: [(blocks + 0.04 * seed, row) for seed, row in enumerate(r)] for name, r in rows.items()}
    settings, up = dict(title=title, xticks=blocks, ylim=(-0.04, 1.04)), curves.Share("answers that follow")
    looks = [dict(color=style.OURS), dict(color=style.SECOND, ls="--")]
    across = "block that the moved stream enters"
    return curves.Panel(None, drawn, across, up, looks, settings=settings, legend=legend)


panels = moved("full", "full attention", "center right"), moved("windowed", "a window of two", None)
page.save_figure(
    curves.lines(*panels, size=(3.6, 3.0), marker="o", ms=4, lw=1.3),
    "where_read",
    {"block": blocks} | {f"{kind}, {at}": rows for kind, by in read_at.items() for at, rows in by.items()},
    "Where a word is read: share of defined words for which the answer follows the stream of another word, "
    "put in at both syllables or at the last token, by the block that this stream enters; a line per seed "
    f"({len(cfg.full)} left, {len(cfg.windowed)} right), shifted a little. Look at block {enters}: a model "
    "whose answer there follows the last token no longer needs the word.",
)

# %% [markdown]
# The claims ask for what the method needs: after the block where we shall inject, answers follow the word. For models with full attention we are generous and move both
# syllables; for those with a window the second one alone, where the direction will stand. The band asks for three quarters of the words, as in section 3.
# There are three controls: the stream at the first syllable is moved instead, or the one at the period before the word, or the answers are compared with
# the class of a *third* word. The positive example is the better of two places, the word and `means`: it shows that the test finds the place where
# an answer is read. With a window the outcome is nearly given by the construction, since the first syllable has no other way; there the claim mostly checks that
# the window does what it should.

# %%
either = {kind: np.maximum(at["the word"], at["means"])[:, enters] for kind, at in read_at.items()}
for kind, place in (("full", "the word"), ("windowed", "second syllable")):
    page.check(
        f"selfexplain.{kind}.read-where",
        read_at[kind][place][:, enters],
        control={
            "at the first syllable": read_at[kind]["first syllable"][:, enters],
            "at the period": read_at[kind]["period"][:, enters],
            "a third word": [follows(one, place, enters, THIRD) for one in models_of[kind]],
        },
        witness=either[kind],
    )

# %% [markdown]
# Where answers follow `means` in block 1, the *first* block has already brought both syllables to the last token. The answer is then not read from the
# stream at the second syllable after that block, and a direction put there can hardly change it. So in such a model the method should fail, however good its
# directions are. (The three models with full attention here are all of this kind. An earlier version of the page had five, and one of them did read at
# the word; hence the mixed verdict.) The window closes this way. It is a change to the model, made so that the method *can* work; whether it does is
# the next question. Both kinds of model are kept: those with full attention show what the answers look like where the premise fails.
#
# <a id="asking"></a>
# ## 5 Directions in the place of the word
# Now an SAE for each model. It is trained on the stream after the first block, at all places of some new text, as on [page 8](08_sae_training.ipynb): a TopK
# autoencoder. Its decoder rows are the directions. The text has labels: for each place, the word that ends there, and so its class.


# %%
def word_ends(tokens, words):
    """Number of the word that ends at each place, -1 where none does. (contexts, C)"""
    table = torch.full((len(TOKENS), len(TOKENS)), -1)
    table[words[:, 0], words[:, 1]] = torch.arange(len(words))
    place = torch.arange(tokens.shape[1]).expand_as(tokens)
    start = torch.where(tokens == END, place, 0).cummax(dim=1).values
    found = table[tokens.roll(1, dims=1), tokens]
    return torch.where((place > start) & ((place - start) % 2 == 0), found, -1)


def new_text(model, count, name):
    return text(*language(model.seed, False), count, model.context, run.generator(model.seed, name))


def fit_sae(config):
    """Weights of the SAE of one model."""
    model, start = config.model, run.generator(config.model.seed, "SAE")
    read = new_text(model, config.texts, "texts of the SAE")
    acts = trained(model).subject.residual(read, config.layer).flatten(0, 1)
    batches = shuffled(acts, config.train.batch, config.train.steps, run.generator(model.seed, "order"))
    sae = fit(batches, config.train, acts, start).sae
    return sae.sae.tensors() | {"factor": sae.factor}


class Read(NamedTuple):
    model: Trained
    sae: Raw
    untrained: list[Raw]
    stream: Tensor  # of held-out text, (contexts, C, d)
    word: Tensor  # number of the word that ends there, or -1. (contexts, C)
    unit: Tensor  # mean length of the stream where a word ends


def reading(model):
    made = memo.memo(fit_sae, Sae(model.config, cfg.sae, cfg.layer, cfg.texts))
    tensors, factor = {name: t for name, t in made.items() if name != "factor"}, made["factor"]
    sae = recipe.model_class(cfg.sae.kind).from_tensors(tensors, cfg.sae.k).requires_grad_(False)
    tokens = new_text(model.config, cfg.heldout, "held out")
    stream, word = model.subject.residual(tokens, cfg.layer), word_ends(tokens, model.words)
    draws = [run.generator(model.config.seed, f"untrained SAE {number}") for number in range(cfg.untrained)]
    sample, unit = stream.flatten(0, 1) * factor, stream[word >= 0].norm(dim=-1).mean()
    starts = [recipe.start(sample, cfg.sae, draw).requires_grad_(False) for draw in draws]
    untrained = [Raw(start, factor=factor) for start in starts]
    return Read(model, Raw(sae, factor=factor), untrained, stream, word, unit)


# %% [markdown]
# Which latents stand for a class? F1 compares the places where a latent is active with the places where a word of the class ends: 1 if they are the
# same. Each latent's *label* is the class with the highest F1, and of each class the three best latents are asked about. This choice uses the first
# half of the held-out text; the F1 that is printed is that of the second half.


# %%
def f1_of(sae, stream, word):
    """F1 of each latent for each class, (latents, K)."""
    code = sae.encode(stream)
    active = torch.zeros(*stream.shape[:2], sae.n)
    active = active.scatter_(2, code.indices, (code.values > 0).float()).flatten(0, 1)
    true = F.one_hot(torch.where(word < 0, K, word // WORDS).flatten(), K + 1)[:, :K].float()
    return 2 * active.T @ true / (active.sum(0)[:, None] + true.sum(0)).clamp_min(1)


def latents_of_classes(sae, r):
    """Numbers of the chosen latents, and their labels."""
    half = len(r.stream) // 2
    best, label = f1_of(sae, r.stream[:half], r.word[:half]).max(dim=1)
    order = best.argsort(descending=True)
    chosen = torch.cat([order[label[order] == k][: cfg.per_class] for k in range(K)])
    return chosen, label[chosen]


reads = {kind: [reading(model) for model in found] for kind, found in models_of.items()}
for kind, found in reads.items():
    for r in found:
        for name, sae in {"SAE": r.sae, "untrained": r.untrained[0]}.items():
            half, error = len(r.stream) // 2, dictionaries.error(sae, r.stream.flatten(0, 1))
            f1 = f1_of(sae, r.stream[half:], r.word[half:])[latents_of_classes(sae, r)].mean()
            seed = r.model.config.seed
            print(f"{kind:8} seed {seed} {name:9} normalised MSE {error:.3f}, mean F1 {f1:.2f}")

# %% [markdown]
# Compare the two F1 of each model. They are modest (a likely reason: a class is split over several latents, which also depend on the syllable or the
# place in the sentence). And the untrained dictionary is not far behind: among many random directions some happen to lean towards a class, that is, to have a
# positive cosine with it, and the rule picks these. So "chosen by F1" alone says little about training. Five sorts of directions are injected:
#
# - the decoder rows of the **latents**;
# - those of **untrained latents**, chosen by the same rule, of twenty dictionaries (and of twenty others, to see how much such a share varies);
# - the **class mean**: the mean of the stream at words of the class that were *never defined*. No such word ever stood before `means` in the training text, and
#   words of a class share nothing but their use, so a right answer here is about the use of a class;
# - **random** directions, each with a class dealt to it as its label;
# - **random, as near**: random in all but one respect: each has the same cosine with its class as one of the latents has. A direction's cosine *with its class* is
#   here its cosine with the class mean less the mean of all words.
#
# All have length 1 and are multiplied by the scale. We give the scale in mean lengths of the stream at the ends of words.


# %%
class Directions(NamedTuple):
    d: Tensor  # (N, d), of length 1
    label: Tensor  # (N,)


def class_means(r):
    never = (r.word >= 0) & ~DEFINED[r.word]
    return torch.stack([r.stream[never & (r.word // WORDS == k)].mean(dim=0) for k in range(K)])


def latents_of(saes, r):
    picks = [latents_of_classes(sae, r) for sae in saes]
    rows = torch.cat([sae.sae.W_dec[chosen] for sae, (chosen, _) in zip(saes, picks, strict=True)])
    return Directions(F.normalize(rows, dim=-1), torch.cat([label for _, label in picks]))


def directions_of(r):
    draw, half = run.generator(r.model.config.seed, "random directions"), cfg.untrained // 2
    leaning = F.normalize(class_means(r) - r.stream[r.word >= 0].mean(dim=0), dim=-1)
    latents = latents_of([r.sae] * 10, r)  # ten times, for ten random directions each
    near = explain.as_near(latents.d, leaning[latents.label], draw)
    random, dealt = torch.randn(100, near.shape[1], generator=draw), torch.randint(K, (100,), generator=draw)
    found = {
        "class means": Directions(F.normalize(class_means(r), dim=-1), torch.arange(K)),
        "latents": latents_of([r.sae], r),
        "random, as near": Directions(near, latents.label),
        "untrained latents": latents_of(r.untrained[:half], r),
        "other untrained latents": latents_of(r.untrained[half:], r),
        "random directions": Directions(F.normalize(random, dim=-1), dealt),
    }
    return found, {name: (d * leaning[label]).sum(dim=-1).mean().item() for name, (d, label) in found.items()}


named, cosines = {}, {}
for kind, found in reads.items():
    named[kind], cosines[kind] = zip(*map(directions_of, found), strict=True)
for name, (d, _) in named["windowed"][0].items():
    shown = ", ".join(f"{by[name]:.2f}" for by in cosines["windowed"])
    print(f"{name:23} {len(d):3} directions, mean cosine with their class: {shown}")

# %% [markdown]
# Untrained latents, chosen for their F1, do lean towards their class, less than the trained ones and far more than random directions. The claims below
# therefore compare the trained latents with them.
#
# The prompt has a made-up word, two syllables that are no word of the language: `. X X means`. The stream is replaced at its second syllable, where
# the class of a word would be. The function `injected` spells the injection out: take the stream of the prompt after the block, write $s\,d$ into one place, run the blocks above,
# read the last token. `explain.sweep` does this for all scales at once and keeps the stream after each block above.


# %%
def made_up(words):
    pairs = ([a, b] for a in range(FIRST) for b in range(FIRST))
    return torch.tensor([END, *next(pair for pair in pairs if pair not in words.tolist()), MEANS])


def injected(subject, prompt, d, scale, layer):
    stream = subject.residual(prompt[None], layer)  # (1, tokens, d)
    stream[0, 2] = scale * d
    return subject.logits_from(stream, layer)[0, -1]  # (V,)


PLACE, first = torch.tensor([2]), reads["windowed"][0]  # the place of the second syllable
reader, prompt = first.model.subject, made_up(first.model.words)
mean, some = named["windowed"][0]["class means"].d, torch.linspace(0.5, cfg.reach, 8) * first.unit
fast = explain.sweep(reader, prompt, PLACE, mean[0], some, cfg.layer)
assert torch.allclose(injected(reader, prompt, mean[0], some[-1], cfg.layer), fast.logits[-1], atol=1e-4)

# %% [markdown]
# An answer is **right** if the likeliest next token, of the whole vocabulary, is the name of the direction's class. Now for all directions, all scales
# and all models. The measures of section 2 are kept for section 7; the self-similarity is that of the last block but one (the authors use block
# 16 of 18), and the vector that says nothing is the mean embedding, of length 1, at scale 1.


# %%
def asked(r, directions, **how):
    prompt = made_up(r.model.words)
    return explain.answers(r.model.subject, prompt, PLACE, directions.d, scales * r.unit, cfg.layer, **how)


scales, given, right = torch.linspace(0, cfg.reach, cfg.scales), {}, {}
for kind, found in reads.items():  # by kind of model and sort of direction, an entry per seed
    for name in named[kind][0]:
        directions = [sorts[name] for sorts in named[kind]]
        given[kind, name] = [asked(r, of) for r, of in zip(found, directions, strict=True)]
        pairs = zip(given[kind, name], directions, strict=True)
        right[kind, name] = [one.token == FIRST + of.label[:, None] for one, of in pairs]  # (N, scales)
share = {key: np.stack([one.float().mean(dim=0) for one in rows]) for key, rows in right.items()}

# %% [markdown]
# If the method works, the latents' lines lie above those of the untrained latents and of random directions. The class means show how high they could
# lie. A model that does not read the word there should give flat lines near one in eight.

# %%
LOOKS = {
    "class means": dict(color=style.THEORY, ls="--"),
    "latents": dict(color=style.OURS),
    "untrained latents": dict(color=style.SECOND, ls="-."),
    "random directions": dict(color=style.CONTROL, ls=":"),
}
across, up = "scale (mean lengths of the stream)", curves.Share("answers that name the class")
panels = [
    curves.Panel(
        scales.numpy(), {name: share[kind, name] for name in LOOKS}, across, up, list(LOOKS.values()),
        settings=dict(ylim=(-0.03, 1.06), title=title), legend=legend,
    )
    for kind, title, legend in (
        ("full", "full attention", "upper left"), ("windowed", "a window of two", None),
    )
]  # fmt: skip
page.save_figure(
    curves.lines(*panels, size=(3.7, 3.6), lw=1.2, alpha=0.85), "by_scale",
    {"scale": scales.numpy()} | {f"{kind}, {name}": rows for (kind, name), rows in share.items()},
    f"Share of directions whose class, one of {K}, the model names, by the scale at which the direction "
    f"stands in the place of the word; a line per seed ({len(cfg.full)} left, {len(cfg.windowed)} right). "
    "Look at the latents first, then at the untrained latents, chosen by the same rule. "
    f"{cfg.full[0].layers} blocks, d = {cfg.full[0].d}, injected after block {cfg.layer}; SAE with "
    f"n = {cfg.sae.n}, k = {cfg.sae.k}. The authors have no such figure: for a model of real text nobody "
    "knows the right answers.",
)  # fmt: skip

# %% [markdown]
# At scale 0 all directions get the same answer, so at most one class in eight is right.
#
# The claims need one number per seed, at a scale that was not chosen on the same answers: the scale with the most right answers for the latents of
# the *other* seeds of the same kind. And since untrained latents are named far more often than by chance, what is claimed is how many *more* of the trained ones
# are named. The same difference is taken for four controls: twenty other untrained dictionaries, random directions, *another class* (the latents, with
# the class after the right one counted as right), and the *logit lens*, which reads the class off the direction without any prompt: the class name with the largest
# inner product with the direction. It asks whether the detour through the model is needed.


# %%
def best_elsewhere(rows, number):
    return 1 + int(np.delete(rows, number, axis=0).mean(axis=0)[1:].argmax())  # scale 0 is no choice


def lens(r, latents):
    weights = features.logit_weights(r.model.subject, f"blocks.{cfg.layer}.hook_resid_post", latents.d)
    return weights[:, FIRST : FIRST + K].argmax(dim=1) == latents.label


fixed, at_fixed = {}, {}
for kind, found in reads.items():
    fixed[kind] = at = [best_elsewhere(share[kind, "latents"], number) for number in range(len(found))]
    shares = {name: share[kind, name][range(len(found)), at] for name in named[kind][0]}
    latents = [sorts["latents"] for sorts in named[kind]]
    said = [one.token[:, best] - FIRST for one, best in zip(given[kind, "latents"], at, strict=True)]
    wrong = [one == (of.label + 1) % K for one, of in zip(said, latents, strict=True)]
    shares["another class"] = [one.float().mean() for one in wrong]
    shares["logit lens"] = [lens(r, of).float().mean() for r, of in zip(found, latents, strict=True)]
    at_fixed[kind] = {name: np.array(row, dtype=float) for name, row in shares.items()}
    for name, row in at_fixed[kind].items():
        print(f"{kind:8} {name:23}", ", ".join(f"{one:.0%}" for one in row))
for kind, shares in at_fixed.items():
    base, best = shares["untrained latents"], at_fixed["windowed"]
    controls = ("other untrained latents", "random directions", "another class", "logit lens")
    page.check(
        f"selfexplain.{kind}.latents-named",
        shares["latents"] - base,
        control={name: shares[name] - base for name in controls},
        witness=best["class means"] - best["untrained latents"],
    )

# %% [markdown]
# With full attention the lines stay close to where they are at scale 0, whatever is put in, as section 4 led us to expect. With a window the model names
# the class of most latents, and of every class mean. The logit lens does not name them: the answer is worked out by the blocks above. The class means come
# from words that were never defined, so that naming them takes what the model learned from use.
#
# But the claim asks for more: that the trained latents are named more often than untrained ones chosen by the same rule. Untrained latents are named in about
# half to two thirds of the cases, and in one seed of five the trained ones are hardly ahead of them. Hence the mixed verdict.
#
# What makes the difference where there is one? Trained latents lean more towards their class than untrained ones do. So the last comparison takes random
# directions that lean *as much as the trained latents do*. If these are named as often, then the cosine with the class is enough to explain the answers,
# and nothing else about the latent is needed. The band is wide, since a seed has few latents: a difference of a few latents would not show.

# %%
windowed = at_fixed["windowed"]
page.check(
    "selfexplain.windowed.lean",
    windowed["latents"] - windowed["random, as near"],
    control={"random directions": windowed["latents"] - windowed["random directions"]},
)

# %% [markdown]
# In four seeds of five the difference lies within the band. In one it lies just outside: there the latents are named more often than random directions
# with their cosines, and we do not know why. So the cosine with the class explains most of the answers here, and the claim that it explains all of them is not
# carried. An answer of this kind tells mostly which class a direction leans towards. It does not tell whether the direction is a feature that
# training found: to see that, one has to compare with directions that were never trained.
#
# Try it: choose a latent of the first model with a window, and a scale, and see the probabilities of the next token.

# %%
choices = tuple(f"{i}: {CLASSES[k]}" for i, k in enumerate(named["windowed"][0]["latents"].label.tolist()))


def next_token(latent, scale, count=6):
    d = named["windowed"][0]["latents"].d[int(latent.partition(":")[0])]
    p = injected(reader, prompt, d, scale * first.unit, cfg.layer).softmax(dim=-1)
    best = p.argsort(descending=True)[:count]
    return plots.guesses(". X X means", [TOKENS[token] for token in best.tolist()], p[best].numpy())


widgets.live(next_token, latent=choices, scale=widgets.Slider(0.0, cfg.reach, 1.0))

# %% [markdown]
# <a id="depth"></a>
# ## 6 When can the scale matter?
# The lines of section 5 are nearly flat: above scale 0 it hardly matters at which scale a direction is put in. There is a reason. The vector stands at one place, and
# the answer is read at another. Only attention moves things between places, and a block's attention reads its input through a layer norm. Two
# consequences are exact, and need no training:
#
# - After the **last** block nothing can carry the vector on. A model of one block cannot explain anything in this way, since its only
#   block is its last: the answer does not change at all.
# - After the **last but one** the vector is read once, through the layer norm, which takes its length away: $\mathrm{LN}(s\,d) = \mathrm{LN}(d)$ for every
#   $s > 0$. **Every scale gives the same answer.**
#
# So the scale can matter only where at least two blocks follow, and there only if the *second* or a later one reads the vector. By then the first of them has
# added something to $s\,d$, and the scale says how much of the sum is $d$. If only the first of them reads the vector, its length is lost at once. Our models
# with a window are close to this case: in section 4 the word, moved as it enters block 2, has no effect any more. (The norm divides by $\sqrt{\mathrm{var} + \varepsilon}$ with a small
# $\varepsilon$, so that the equality of scales holds up to a small error.)
#
# Does this hold for the answers of the trained models with a window? The claim compares the answer at the smallest scale above 0 with that at the
# largest, 32 times as long. The control is the nearest thing in which the length must count: $s\,d$ is not put in the place of the stream but *added* to it,
# so that the made-up word is still there and the scale says which of the two is larger. (A model that ignores the place altogether would give one answer at
# all scales too; section 5 has shown that these models do not ignore it. Adding is how models are steered,
# [page 15](15_steering.ipynb).)

# %%
top = len(reader.blocks) - 1
single = Subject(fresh(replace(cfg.windowed[0], layers=1)).eval().requires_grad_(False), "one block")
for of, layer, over_zero in ((single, 0, True), (reader, top, True), (reader, top - 1, False)):
    logits = explain.sweep(of, prompt, PLACE, mean[0], some, layer).logits
    assert torch.allclose(logits, logits[:1].expand_as(logits), atol=2e-2)
    if over_zero:
        assert torch.allclose(logits[0], of.logits(prompt[None])[0, -1], atol=1e-4)
after = explain.sweep(reader, prompt, PLACE, mean[0], some, 0).stream[:, 0]
assert torch.allclose(after, after[:1].expand_as(after), atol=2e-2)

# %% [markdown]
# The latents of section 5 once more, put in both ways:

# %%
latents = [sorts["latents"] for sorts in named["windowed"]]
ways_in = {
    "replaced": given["windowed", "latents"],
    "added": [asked(r, of, add=True) for r, of in zip(reads["windowed"], latents, strict=True)],
}
same = {how: [one.token[:, 1] == one.token[:, -1] for one in found] for how, found in ways_in.items()}
same = {how: [row.float().mean() for row in rows] for how, rows in same.items()}
page.check("selfexplain.windowed.any-scale", same["replaced"], control={"added": same["added"]})

# %% [markdown]
# <a id="choosing"></a>
# ## 7 Choosing the scale without knowing the answer
# Where the stream is replaced, there is next to nothing to choose in these models. So the measures are compared in both ways: **replaced**, as the authors do, and
# **added**, where there is something to choose, though it is not the authors' method.
#
# Each way to choose gives one scale per latent, and a share of right answers per seed. The first four
# are the authors'; then come the composite with the other sign, and the cross-entropy alone with either sign. Scale 0 is not among the choices. Beside them stand what can be had without any
# measure: the scales that the composite chose for *other* latents, a random scale (the mean over all scales above 0), a fixed scale, the best for the latents of the other
# seeds, and the best scale in hindsight: whether any scale gives a right answer. The last is no method, since it knows the answer.


# %%
def shares_by(found):
    """By way to choose, the share of latents whose class is named, a value per seed."""
    hits = [(one.token == FIRST + of.label[:, None]).float() for one, of in zip(found, latents, strict=True)]
    curve, rows = np.stack([hit.mean(dim=0) for hit in hits]), []
    for number, (one, hit) in enumerate(zip(found, hits, strict=True)):
        chosen = explain.chosen(one, scales)
        by = {name: hit.gather(1, scale[:, None]).mean() for name, scale in chosen.items()}
        turned = [hit.gather(1, chosen["composite"].roll(i)[:, None]).mean() for i in range(1, len(hit))]
        by |= {"composite of other latents": np.mean(turned), "a random scale": hit[:, 1:].mean()}
        by |= {"fixed on other seeds": curve[number, best_elsewhere(curve, number)]}
        rows.append(by | {"best in hindsight": hit[:, 1:].amax(dim=1).mean()})
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


ways = {how: shares_by(found) for how, found in ways_in.items()}
for how, by in ways.items():
    page.save_figure(
        plots.ladder(by, list(by)[:4], f"share of latents whose class is named ({how})"),
        f"ways_{how}",
        by,
        f"Ways to choose the scale of each latent where the stream at the word is {how}; "
        f"{len(latents[0].d)} latents per seed, dots are seeds. Blue: the authors' measures. Compare them "
        "with the bar of a random scale. The fixed scale is chosen on other seeds by known answers; the best "
        "in hindsight is a bound, not a method.",
    )

# %% [markdown]
# Where the stream is replaced, all bars are nearly the same: a measure that chooses well and one that chooses badly cannot be told apart. Whoever reports that a measure chooses well should therefore compare it with three
# things: a random scale, one fixed scale for all latents, and the scales that were chosen for other latents.
#
# Where it is added there is room between a random scale and the best in hindsight. The claim asks whether at the composite's scale more latents are named than at a random one. The controls are
# the scales that it chose for other latents, and the composite with the other sign; the positive example is the best in hindsight.

# %%
over_random = {name: share - ways["added"]["a random scale"] for name, share in ways["added"].items()}
page.check(
    "selfexplain.windowed.composite",
    over_random["composite"],
    control={name: over_random[name] for name in ("composite of other latents", "composite, other sign")},
    witness=over_random["best in hindsight"],
)
for name in ("self-similarity", "entropy", "composite"):
    means = [scales[explain.chosen(one, scales)[name]].mean() for one in ways_in["added"]]
    print(f"{name:15} chooses on average scale", ", ".join(f"{mean:.1f}" for mean in means))

# %% [markdown]
# The composite is far below a random scale in four seeds of five, and no better in the fifth. The scales that it chose for other latents do about as well as its own,
# so its choice has little to do with the latent; and with the other sign it does as badly in the mean, so here the sign does not decide. The printed lines suggest why:
# the self-similarity is largest at small scales, where the made-up word still counts for much of the answer, and the composite's choice is nearly as small. The
# entropy alone does about as well as a random scale. One fixed scale, for which a few answers must be known, comes near to the
# best in hindsight.
#
# Last, the authors' filter: a direction whose self-similarity never rises by more than 0.01 counts as one that cannot be explained, and is dropped. Does it drop the right ones?
# The claim takes the latents that are *dropped and yet named* (replaced, at the fixed scale of section 5), as a share of all latents: it should be no more than chance would give. The
# control is the class means, which are nearly all named where the word is read at its place. The positive example is the models with full attention, where hardly
# any latent is named, so that hardly any can be dropped wrongly.


# %%
def dropped_and_named(kind, name):
    found = zip(given[kind, name], right[kind, name], fixed[kind], strict=True)
    return [(explain.failed(one.similarity.T) & hit[:, at]).float().mean() for one, hit, at in found]


for kind in reads:
    counts = [int(explain.failed(one.similarity.T).sum()) for one in given[kind, "latents"]]
    print(f"{kind:8} latents dropped, of {len(named[kind][0]['latents'].d)}:", counts)
page.check(
    "selfexplain.windowed.filter",
    dropped_and_named("windowed", "latents"),
    control={"class means": dropped_and_named("windowed", "class means")},
    witness=dropped_and_named("full", "latents"),
)

# %% [markdown]
# The filter drops most latents of either kind of model. With full attention that costs little, since few of them are named. With a window most of the latents
# that it drops are named. Since it drops nearly all, the value on the card is close to the share of latents that are named: a filter that drops everything would give
# nearly the same. So here the filter does not tell the two kinds of model apart.
#
# The self-similarity asks whether the *same* direction arrives at the last token. It need not, for an answer to be right: attention turns what
# it moves, by its matrices $W_V$ and $W_O$. In a deep model, whose blocks may leave a direction as it is, the measure may say more. Here a low self-similarity
# does not say that a direction is not understood.
#
# <a id="real"></a>
# ## 8 A model of real text
# The same functions with the authors' two prompts. The placeholder is every token `X` of the prompt; the scale is in mean lengths of the stream, and the composite
# chooses it. Scale 0 is among the choices here. Where it is chosen, nothing of the latent is put in, and the answer is the same for every latent. In the offline profiles the model is a small one of Python code: it was never taught to answer a question, and **nothing should be expected of
# its answers**. The cell shows how it is done. The profiles `published` and `paper` ask GPT-2 small about latents of a published SAE; it does not
# follow instructions either, but it can go on with a sentence. To ask a model that follows instructions, put it and an SAE of its stream
# into `Real`.

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
    joined = explain.composite(similarity, explain.from_zero(explain.entropy(logits)))
    at = explain.best(joined, scales, least=scales[1])
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
# some do: with several tokens on each side, some agreement comes by chance. That is the difference to sections 3 to 7, where every answer is marked.
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
#    plus, minus = (explain.sweep(reader, prompt, PLACE, mean[0], sign * lengths, top - 1).logits for sign in (1, -1))
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
# 3. *(5 minutes)* Which half of the composite decides in section 7? Where the direction is added, count the latents for which the composite chooses the
#    same scale as the self-similarity alone, and as the entropy alone.
#    <details><summary>Hint</summary>`explain.chosen(one, scales)` gives the numbers of the scales for each measure.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    for one in ways_in["added"]:
#        picks = explain.chosen(one, scales)
#        agree = {name: (picks["composite"] == picks[name]).float().mean().item() for name in ("self-similarity", "entropy")}
#        print({name: f"{part:.0%}" for name, part in agree.items()})
#        at_one = [explain.best(explain.composite(*row, 1.0), scales, least=scales[1]) for row in zip(one.similarity, one.entropy)]
#        assert at_one == picks["self-similarity"].tolist()
#    ```
#
#    The assertion checks the one case that is known: at $a = 1$ the composite is the self-similarity. Whether the same holds at one half differs
#    from latent to latent.
#    </details>
# 4. *(10 minutes)* Mark answers more kindly: compare the probabilities of the eight class names alone. Can the share of right answers become
#    smaller?
#    <details><summary>Hint</summary>If the likeliest of all tokens is the right name, what is the likeliest of the eight?</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    strict_right, kindly = right["windowed", "latents"][0], []
#    for direction, true in zip(*latents[0], strict=True):
#        found = explain.sweep(reader, prompt, PLACE, direction, scales * first.unit, cfg.layer).logits
#        kindly.append(found[:, FIRST : FIRST + K].argmax(dim=-1) == true)
#    kindly = torch.stack(kindly)
#    print(f"{strict_right.float().mean():.0%} of all answers, {kindly.float().mean():.0%} with eight names to choose from")
#    assert kindly.float().mean() >= strict_right.float().mean()
#    ```
#
#    No. If it hardly grows, the model nearly always answers with some class: it takes any vector for a word.
#    </details>
#
# 5. *(10 minutes)* How far back does a prediction of a model with a window of two reach, with three blocks? Change one token of a context
#    at a time and compare the logits at the last place.
#    <details><summary>Hint</summary>Each block can carry something one token further.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    context = torch.arange(10)[None]
#    reached = []
#    for back in range(8):
#        other = context.clone()
#        other[0, -1 - back] = 12
#        change = reader.logits(other)[0, -1] - reader.logits(context)[0, -1]
#        reached.append(change.abs().max().item() > 1e-6)
#    print("tokens back that count:", [back for back, counts in enumerate(reached) if counts])
#    assert not any(reached[len(reader.blocks) + 1 :])
#    ```
#
#    Not more than three tokens, and the token itself. That is why the model can use a prompt `. ba gi means` and nothing before it. The reach grows with the
#    number of blocks, which is how models with windows see more than a window.
#    </details>
#
# <a id="limits"></a>
# ## 10 Limits
# - The language has eight classes and sentences of one form; an "explanation" is one word out of eight. The authors' model writes free text
#   about features that nobody has listed. What fails here may work there, and the other way round.
# - The labels come from the F1 of a latent with a class, and these F1 are modest. An answer that differs from the label may say something true of the latent.
# - The window is our own addition. It makes the stream at the word the only way to the answer, so that the method can be tested where its premise holds by construction; that answers follow the word there is no finding. Large
#   models have no such narrow window, and the premise has to be tested for each of them (section 4 shows how).
# - Whether the cosine with the class explains the answers is tested with few latents per seed and a wide band. A smaller part that a latent adds would not show.
# - Our models have two blocks above the injection; gemma-2b has fifteen. The word is read in the first of the two, where its length is lost. So the page says little about the
#   choice of a scale in a deep model, whose blocks work on the vector at its place before it is read. In a pilot with windows of two, one and two tokens, where the word must be
#   read one block later, the lines were as flat; in one with a window in the first block alone the scale mattered, and the composite named fewer latents than a random
#   scale did. One seed each is no result, and no claim rests on them.
# - Where the measures are compared with room to choose, the direction is added to a made-up word, and the authors replace. A measure that fails there may do well in the authors' setting.
# - The test of section 4 moves the whole stream. That an answer follows says that what it depends on is there, not that one direction carries it.
# - Five seeds with a window and three without give as many languages and models of one size. Other sizes, other places of injection and other prompts were not tried.
# - Section 8 marks nothing: for real text there is no key to the answers.
#
# <a id="checked"></a>
# ## 11 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
