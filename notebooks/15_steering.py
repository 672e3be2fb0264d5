# %% [markdown]
# # 15. Steering: text that is written while a latent is held
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/15_steering.ipynb)
#
# **Pages** [← 14f. A map of latents, and automata](14f_map_and_automata.ipynb) · [Start here](00_start_here.ipynb) · [15b. A model that explains its own features →](15b_self_explanation.ipynb)
#
# If a latent stands for "digits come next", then a model in which this latent is held at a large value should write digits, whatever text it is given to
# continue. On this page you hold latents at chosen values and let a small model of Python code write. You measure which latents steer it, which do not,
# and what the steering costs; then you build a steering direction without any dictionary and put the two side by side.
#
# **You will** *clamp* a latent (hold it at a value) by hand and check four identities · compare clamping with adding · measure how the text changes with the strength, beside
# three controls and what a line of arithmetic predicts · see what a push does to everything else · test whether a latent that recognises attributes makes the model write attributes · build a direction from pairs of contexts ·
# steer the model live.
#
# **Needs** to know what a dictionary and a latent are ([page 8](08_sae_training.ipynb#model)) and the one-layer model that is studied
# ([page 7](07_language_model.ipynb#model)). **Takes** about eight minutes at `laptop` on two cores, about one once it has run ([start
# here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html) (pinned sampling);
# Templeton et al. 2024, [*Scaling Monosemanticity*](https://transformer-circuits.pub/2024/scaling-monosemanticity/index.html) (clamping); Rimsky et al.
# 2023, [*Steering Llama 2 via Contrastive Activation Addition*](https://arxiv.org/abs/2312.06681).
#
# **On this page** [1 Clamping a latent by hand](#clamp) · [2 Adding is not clamping](#add) · [3 Pinned sampling](#sampling) · [4 What a latent reads and what it writes](#reads) · [5 Steering without a dictionary](#contrast) · [6 Steer it yourself](#live) · [7 Your turn](#your-turn) · [8 Limits](#limits) · [9 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import functools
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr

from companion import claims, dictionaries, memo, run
from companion.evals import contrast, features, live, steering, views
from companion.evals.contrast import Rows
from companion.evals.following import Remembered, next_labels, selective
from companion.evals.setting import Setting, Sizes
from companion.lm import labels
from companion.lm.sources import HubConfig
from companion.lm.training import TINY
from companion.plots import explorer
from companion.plots import steering as plots
from companion.plots.widgets import Slider
from companion.sae.recipe import TrainConfig

claims.opening("15_steering")

# %% [markdown]
# The parameters, one line per profile. At `laptop` the model is *model A* of [page 7](07_language_model.ipynb#training): one layer, trained on the
# source code of Python's library. The dictionaries are of its 512 neurons after the ReLU. At `paper` the model is GPT-2 small.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    dictionaries: tuple[dictionaries.DictionaryConfig, ...]  # one per random seed
    contexts: int  # labelled held-out contexts: the first half chooses latents, the second measures losses
    often: int  # a latent must be active on so many tokens of the first half to be chosen
    measured: int  # contexts of the second half on which losses are measured
    new: int  # tokens that are written after a prompt
    each: int  # texts per prompt while a latent is held
    drawn: int  # texts per prompt for controls: each has its own random direction or latent


def seeds(base, count):
    return tuple(dictionaries.variant(base, seed=seed) for seed in range(count))


one = dictionaries.offline_subject("python-stdlib-1l")
recipe = TrainConfig(n=2048, k=16, steps=400, batch=2048, space="scalar", dead_after_tokens=100_000)
AT = dict(layer=0, hook="mlp.hook_post", keep=("averaged", "untrained"))
neurons = dictionaries.DictionaryConfig(one, recipe, contexts=6000, heldout=1024, **AT)
few = TrainConfig(n=128, k=8, steps=100, batch=512, lr=3e-3, space="scalar")
tiny = dictionaries.DictionaryConfig(replace(TINY, layers=1, steps=100), few, contexts=1000, heldout=64, **AT)
gpt2 = HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
wide = TrainConfig(n=2**14, k=32, steps=20_000, batch=8192, space="scalar")
large = dictionaries.DictionaryConfig(gpt2, wide, contexts=48_000, heldout=2048, **AT | dict(layer=8))
cfg = run.choose(
    quick=Config(seeds(tiny, 2), contexts=128, often=5, measured=16, new=8, each=2, drawn=1),
    laptop=Config(seeds(neurons, 5), contexts=1024, often=20, measured=32, new=32, each=4, drawn=4),
    paper=Config(seeds(large, 1), contexts=1024, often=20, measured=32, new=48, each=12, drawn=8),
)
page = claims.Page("15_steering", cfg)

# %% [markdown]
# <a id="clamp"></a>
# ## 1 Clamping a latent by hand
# The text is Python that was held out from training, with true labels for every token ("attribute", "docstring", ...) from Python's own parser. We
# split it: whatever is chosen is chosen on the first half, and reported on the second.


# %%
class Text(NamedTuple):
    subject: Any
    site: str
    tokens: torch.Tensor  # (N, T)
    known: labels.ContextLabels  # true labels: (N, T, labels)


def text_of(config):
    first = config.dictionaries[0]
    subject = dictionaries.subject_of(first)
    setting = Setting(subject, first.layer, sizes=Sizes(labelled=config.contexts))
    return Text(subject, first.site, *setting.labelled)


text = text_of(cfg)
subject, site = text.subject, text.site

# %% [markdown]
# At every token the dictionary writes the activation as $x = \mathrm{SAE}(x) + \mathrm{error}(x)$: a part that is made of latents, and the error that
# it leaves. *Scaling Monosemanticity* changes one latent in the first part and adds the error back unchanged. The function below does this step by step.
# Three things must hold. Clamping to the latent's own value changes nothing. After two clamps of one latent only the second shows (tested below, with
# the package). And since decoding is linear in the latents, the whole change is one line, with $f_i(x)$ the latent's own activation, $v$ the value at which it is held, and
# $d_i$ its decoder direction:
#
# $$ x \;\to\; x + (v - f_i(x))\, d_i . $$


# %%
def half(text, which):
    part = slice(which * len(text.tokens) // 2, (which + 1) * len(text.tokens) // 2)
    return text.tokens[part], labels.ContextLabels(*(held[part] for held in text.known))


(chosen_on, chosen_labels), (reported_on, reported_labels) = half(text, 0), half(text, 1)
sae = dictionaries.dictionary(cfg.dictionaries[0])
print(f"{len(chosen_on)} contexts to choose on, {len(reported_on)} to report; {sae.n} latents at {site}")


def clamp(x, latent, v):
    """SAE(x) with one latent held at v, plus the error that the dictionary makes without that."""
    code = sae.encode(x)  # the active latents of each token (indices), and how active each is (values)
    error = x - sae.decode(code, x)
    others = code.values.masked_fill(code.indices == latent, 0.0)
    own = torch.full_like(others[..., :1], 1.0)
    values = torch.cat([others, v * own], dim=-1)
    indices = torch.cat([code.indices, torch.full_like(code.indices[..., :1], latent)], dim=-1)
    return sae.decode(code._replace(indices=indices, values=values), x) + error


def activation(x, latent):  # f_i(x), one number per token
    code = sae.encode(x)
    return (code.values * (code.indices == latent)).sum(-1, keepdim=True)


x = features.read(subject, site, reported_on[:8])  # (8, T, D)
fired = features.fired(subject, sae, site, chosen_on)
latent = int(fired.counts.argmax())
d = features.directions(sae, torch.tensor([latent]), x[0, 0])[0]  # (D,)
f, v = activation(x, latent), 2 * float(features.largest(fired)[latent])
assert torch.allclose(clamp(x, latent, f), x, atol=1e-4)  # its own value: the identity
assert torch.allclose(clamp(x, latent, v), x + (v - f) * d, atol=1e-3)  # the closed form

# %% [markdown]
# To steer the model, the changed activation takes the place of the model's own at every token, and the forward pass goes on from there. A PyTorch hook does it. The fourth
# identity is about the logits: with the error kept, clamping to $f_i(x)$ gives the model's own logits. With the error *dropped* the logits change even
# though no latent was touched, by what the dictionary fails to reconstruct; this is why the error is kept. The package does the same with
# `Subject.spliced(..., error_term=True)`: inside of the `with` block, `spliced.set` holds a latent in every pass of the model.


# %%
@torch.no_grad()
def logits_with(change, tokens):
    module, side, _ = subject.locate(site)
    assert side == "out"  # the site is what this module gives
    hook = module.register_forward_hook(lambda module, inputs, x: change(x))
    try:
        return subject.model(tokens).logits
    finally:
        hook.remove()


tokens = reported_on[:8].to(subject.device)
clean = subject.logits(tokens)
kept = logits_with(lambda x: clamp(x, latent, activation(x, latent)), tokens)
dropped = logits_with(lambda x: sae.decode(sae.encode(x), x), tokens)
assert torch.allclose(kept, clean, atol=1e-2)
changes = [float((logits - clean).abs().max()) for logits in (kept, dropped)]
print(f"largest change of a logit: error kept {changes[0]:.1g}, error dropped {changes[1]:.2f}")
assert changes[1] > 10 * changes[0]

with subject.spliced({site: sae}, error_term=True) as spliced:
    spliced.set(site, latent, 1.0)
    spliced.set(site, latent, v)  # a second clamp: the first one must not show
    packaged = spliced.logits(tokens)
assert torch.allclose(logits_with(lambda x: clamp(x, latent, v), tokens), packaged, atol=1e-2)

# %% [markdown]
# <a id="add"></a>
# ## 2 Adding is not clamping
# The tutorial of SAELens, a library for dictionaries, steers in another way: it adds a multiple of the direction, $x + a\,d_i$, whatever the latent
# does by itself. Where the latent is silent the two agree. Where it is active, the addition comes on top of the latent's own activation, and a second addition on top of both.
# Clamping replaces the latent's own activation, and the last clamp replaces the ones before. What would you expect of the latent's part in the activation, the factor of $d_i$, after
# each, at the tokens where it was active?

# %%
active = (f > 0).expand_as(x)
added = x + v * d
assert torch.allclose(added - clamp(x, latent, v), f * d, atol=1e-3)  # what the latent did by itself
assert torch.allclose(added[~active], clamp(x, latent, v)[~active], atol=1e-3)
asked = {"clamped": v, "added": v + f[f > 0].mean(), "added twice": 2 * v + f[f > 0].mean()}
print(f"asked for: {v:.1f}; where the latent is active by itself it is then")
for name, value in asked.items():
    print(f"{name:12} {float(value):.1f}")

# %% [markdown]
# The tutorial has a second habit: it adds at the positions of the prompt only. Does the push still change the text that follows? That depends on the
# layers *above* the site. Attention carries a change to later tokens, and this model has one block, whose attention comes before the neurons. So a push
# at the prompt's neurons can change the first new token at most. We push at the first half of a context, and look for a change in the second.

# %%
middle = tokens.shape[1] // 2
with subject.spliced({site: sae}, error_term=True) as spliced:
    spliced.add(site, latent, v, positions=slice(0, middle))
    moved = (spliced.logits(tokens) - clean).abs().amax(dim=(0, 2))
at, later = moved[:middle].max(), moved[middle:].max()
print(f"largest change of a logit at pushed positions {at:.2f}, at later ones {later:.2g}")
last_block = site.startswith(f"blocks.{len(subject.blocks) - 1}.")
assert not last_block or later < 1e-3

# %% [markdown]
# <a id="sampling"></a>
# ## 3 Pinned sampling
# *Towards Monosemanticity* lets its model continue `1,2,3,4,5,6,7,8,9,10` while a latent is held at the largest value that it was seen to take, and
# gets base64 text from a base64 latent. We choose latents for what they *write*. The direct path from $d_i$ to the logits gives a number per token of
# the vocabulary, the logit weights $w_i$ (page 7's [unembedding](07_language_model.ipynb#model) applied to $d_i$). With $\sigma$ the typical scale by
# which the last norm divides, the latent's *mass* on a class of tokens is the probability that its push alone, with all other logits left out, would give the class:
# the sum of $\mathrm{softmax}(f_i^{\max} w_i / \sigma)$ over it.

# %%
# tokens of the vocabulary, and characters of what is written
CLASSES = {"digits": r"\s*[0-9]+", "capitals": r"\s*[A-Z_]*[A-Z][A-Z_]*", "brackets": r"\s*[()\[\]{}]+"}
SCORES = {"digits": r"[0-9]", "capitals": r"[A-Z]", "brackets": r"[()\[\]{}]"}


class Studied(NamedTuple):
    """A dictionary, and what the first half of the text says of its latents."""

    sae: Any
    fired: Any
    largest: torch.Tensor  # (n,)
    often: torch.Tensor  # (n,): active on enough tokens to be chosen
    d: torch.Tensor  # (n, D) decoder directions


def study(text, which, often):
    sae, tokens = dictionaries.dictionary(which), half(text, 0)[0]
    fired = features.fired(text.subject, sae, text.site, tokens)
    typical = features.read(text.subject, text.site, tokens[:1])[0, 0]
    d = features.directions(sae, torch.arange(sae.n), typical)
    return Studied(sae, fired, features.largest(fired), fired.counts >= often, d)


def mass(text, s, pattern):
    inside = torch.tensor(
        [bool(re.fullmatch(pattern, text.subject.tokenizer.decode([i]))) for i in vocabulary(text)],
    )
    stream = text.subject.residual(half(text, 0)[0][:32], len(text.subject.blocks) - 1)
    sigma, found = stream.std(-1).mean().cpu(), []
    for rows in torch.arange(len(s.d)).split(1024):
        w = features.logit_weights(text.subject, text.site, s.d[rows])  # (rows, V)
        found.append((s.largest[rows, None] * w / sigma).softmax(-1)[:, inside].sum(-1))
    return torch.cat(found) * s.often


def vocabulary(text):
    return range(len(text.subject.unembedding()))


def words(tokens):
    return [subject.tokenizer.decode([token]) for token in tokens]


s = study(text, cfg.dictionaries[0], cfg.often)
for name, pattern in CLASSES.items():
    best = int(mass(text, s, pattern).argmax())
    top = features.logit_weights(subject, site, s.d[[best]])[0].topk(8).indices
    print(f"{name:9} latent {best}: mass {mass(text, s, pattern)[best]:.2f}", words(top))

# %% [markdown]
# Now let the model write. The loop is the usual one: read everything, draw the next token from the softmax of the last logits, append, repeat. Inside
# of the block all of it happens with the latent held. `steering.generate` does the same faster, by keeping what attention needs of earlier tokens.


# %%
def write(prompt, new, generator):
    tokens = prompt[None]
    for _ in range(new):
        logits = subject.model(tokens).logits[:, -1].float().cpu()
        tokens = torch.cat([tokens, logits.softmax(-1).multinomial(1, generator=generator).to(tokens)], dim=1)
    return tokens.cpu()


# %%
begin = [subject.tokenizer.eos_token_id]
prompt = torch.tensor(begin + subject.tokenizer("1,2,3,4,5,6,7,8,9,10")["input_ids"]).to(subject.device)
capital = int(mass(text, s, CLASSES["capitals"]).argmax())
for strength in (0.0, 1.0, 2.0, 5.0):
    with torch.no_grad(), subject.spliced({site: s.sae}, error_term=True) as spliced:
        if strength:  # a latent that is clamped to 0 is ablated; at strength 0 we leave the model as it is
            spliced.set(site, capital, strength * float(s.largest[capital]))
        written = write(prompt, cfg.new, run.generator(0, "by hand"))
        again = steering.generate(subject, prompt, cfg.new, 1, run.generator(0, "by hand"))
    print(f"capitals x {strength:g}:", repr(steering.text_of(subject, written[0])))
    assert torch.equal(written[:, : len(prompt)], again[:, : len(prompt)])

# %% [markdown]
# Strength 1 is the latent's largest activation. Look for the strength from which capitals come, and for what else is still written there. To measure this we need a score that a program can compute:
# here the share of characters that are digits, capitals, or brackets.
#
# Two more latents are chosen in the other way, for what they *read*: those whose activation has the largest correlation with a true label, "attribute" (a name
# after a dot) and "docstring". Their scores are the share of the text that is a name after a dot, and the share in lines of words alone, as prose has them.
#
# ### Controls
# A large push in *any* direction may break the text into odd characters, digits among them. So each measurement is made with three other pushes as well:
#
# | name | what is pushed |
# |---|---|
# | random direction | a random direction of the length of $d_i$, as far as the latent is pushed |
# | another direction | the decoder direction of another latent, drawn at random for every text, with that length and as far |
# | as often active | another latent, one of the twenty nearest in density (the number of tokens on which it is active), in multiples of its own largest activation |
#
# Every text of a control has a random draw of its own, so that no single lucky one decides.

# %%
PROMPTS = (
    "def read(self, name):\n",
    "import os\nimport sys\n",
    "class Parser:\n    x",
    "# This is the first",
    "for item in items:\n",
)
READ = {"attribute": r"\.[A-Za-z_]\w*", "docstring": r"(?m)^ *[A-Za-z][A-Za-z ,.'-]*$"}
ARMS = ("the latent", "random direction", "another direction", "as often active")
STRENGTHS = (0.5, 1.0, 2.0, 5.0)
SIZE = f"{cfg.each * len(PROMPTS)} texts of {cfg.new} tokens"


def prompts_of(text):
    """The prompts, an end of text before each, cut to the length of the shortest."""
    ids = [text.subject.tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    shortest = min(map(len, ids))
    return torch.tensor([[text.subject.tokenizer.eos_token_id, *row[:shortest]] for row in ids])


def pushes(s, latent, arm, count, generator):
    """`count` pushes at strength 1: latents to clamp (-1: none, it is added), to what, along what."""
    places = s.often.nonzero().flatten()
    own = torch.full((count,), latent)
    length, reach = s.d[latent].norm(), s.largest[latent].expand(count)
    if arm == "the latent":
        return own, reach, s.d[own]
    if arm == "as often active":
        nearest = (s.fired.counts[places].log() - s.fired.counts[latent].log()).abs().argsort()[1:21]
        own = places[nearest[torch.randint(len(nearest), (count,), generator=generator)]]
        return own, s.largest[own], s.d[own]
    drawn = torch.randn(count, s.d.shape[1], generator=generator)
    if arm == "another direction":
        drawn = s.d[places[torch.randint(len(places), (count,), generator=generator)]].cpu()
    return torch.full((count,), -1), reach, (drawn * (length.cpu() / drawn.norm(dim=1, keepdim=True))).to(s.d)


# %% [markdown]
# `contrast.Rows` lets every row of a batch have its own push, so that all prompts and strengths are written at once. For a row with a latent's own direction
# the result must be that of the clamp of section 1; the assertion at the end of the cell compares the two.


# %%
def texts_of(text, pushed, sae, strengths, new, each, generator):
    """What is written under each push, by strength: prompts x each texts."""
    prompts, device = prompts_of(text), text.subject.device
    own, reach, d = (part.repeat(len(strengths), *[1] * (part.ndim - 1)).to(device) for part in pushed)
    count = len(prompts) * each
    values = reach * torch.tensor(strengths).repeat_interleave(count).to(reach)
    rows = Rows(sae if (own >= 0).any() else None, own, values, d)
    with text.subject.spliced({text.site: rows}):
        made = steering.generate(text.subject, prompts.repeat(len(strengths), 1), new, each, generator)
    starts = prompts.repeat(len(strengths), 1).repeat_interleave(each, 0)
    every = [after(text, row, start) for row, start in zip(made, starts, strict=True)]
    return [every[i : i + count] for i in range(0, len(every), count)]


def after(text, row, prompt):
    return steering.text_of(text.subject, row)[len(steering.text_of(text.subject, prompt)) :]


def share(pattern, texts):
    found = sum(len(match) for each in texts for match in re.findall(pattern, each))
    return found / max(1, sum(map(len, texts)))


mine = Rows(s.sae, *(part[:1].to(subject.device) for part in pushes(s, capital, "the latent", 1, None)))
with subject.spliced({site: mine}) as spliced:
    rows_logits = spliced.logits(tokens)
with subject.spliced({site: s.sae}, error_term=True) as spliced:
    spliced.set(site, capital, float(s.largest[capital]))
    assert torch.allclose(spliced.logits(tokens), rows_logits, atol=1e-2)

# %% [markdown]
# The measurement: for every dictionary the latents are chosen, and for each of them the four pushes write. The row of strength 0 is the model as it is.
# We also keep how much of each text Python's parser can read.


# %%
def chosen_for(text, s):
    """The latents of the classes by their mass, and of the labels by the correlation of their activation."""
    tokens, known = half(text, 0)
    by_label = features.correlation(s.fired, known.values, tokens.shape, known.known).nan_to_num(-1.0)
    by_label = by_label.masked_fill(~s.often[:, None], -1.0)
    read = {name: int(by_label[:, labels.COLUMN[name]].argmax()) for name in READ}
    return {name: int(mass(text, s, pattern).argmax()) for name, pattern in CLASSES.items()} | read


def sampled(config):
    """share/<name> and python: (seeds, arms, strengths), the first strength being 0."""
    text, found = text_of(config), {f"share/{name}": [] for name in SCORES | READ}
    found["python"] = []
    for number, which in enumerate(config.dictionaries):
        s, draw = study(text, which, config.often), run.generator(number, "sampled")
        nothing = Rows(None, torch.tensor([-1]), torch.zeros(1), torch.zeros_like(s.d[:1]))
        plain = texts_of(text, nothing[1:], None, (0.0,), config.new, 2 * config.each, draw)[0]
        for name, latent in chosen_for(text, s).items():
            table, python = [], []
            for arm in ARMS:
                each = config.each if arm == ARMS[0] else config.drawn
                pushed = pushes(s, latent, arm, each * len(PROMPTS), draw)
                made = [plain, *texts_of(text, pushed, s.sae, STRENGTHS, config.new, each, draw)]
                table.append([share((SCORES | READ)[name], texts) for texts in made])
                python.append([steering.mix(texts).kept for texts in made])
            found[f"share/{name}"].append(table)
            found["python"].append(python)
    return {name: torch.tensor(held) for name, held in found.items()}


shares = memo.memo(sampled, cfg)
strengths = np.array([0.0, *STRENGTHS])


def figure_of(names, **beside):
    """A panel per score, from `shares` and what is to stand beside it by name, and the numbers in it."""
    held = {name: shares[f"share/{name}"].numpy() for name in names}  # (seeds, arms, strengths)
    panels = {}
    for name, title in names.items():
        first, *others = dict(zip(ARMS, held[name].transpose(1, 0, 2), strict=True)).items()
        panels[title] = dict([first, *((what, table[name]) for what, table in beside.items()), *others])
    figure = plots.dose_response(strengths, panels, "strength, in largest activations", own=1 + len(beside))
    return figure, held | {"strengths": strengths} | beside


# %% [markdown]
# ### What arithmetic predicts
# For these latents a rise is to be expected: they were chosen by the logits that they raise, and in a model of one layer (at `laptop`) this path is the
# only one from the neurons to the next token. How much of the rise follows from these logit weights alone? We call that part *arithmetic*. Take text that the model writes without a push. To its own logits at
# every place add the constant shift $m f_i^{\max} w_i / \sigma$ of strength $m$, draw one token per place, and count. Nothing is run under the push.
#
# There are two reasons why a held latent could do more or less. The shift is not constant: the last norm divides by the scale of a stream that
# has the push in it. And the push acts on text that was itself written under it: after digits the model expects more digits. To tell them apart we also hold the latent
# *on the text without a push* and draw one token per place: that has the effect of the norm and not that of the text.


# %%
def predicted(config):
    """Shares by arithmetic, and with the latent held on text without a push: (seeds, classes, strengths)."""
    text, made = text_of(config), {"arithmetic": [], "one step": []}
    prompts, last = prompts_of(text), len(text.subject.blocks) - 1
    sigma = text.subject.residual(half(text, 0)[0][:32], last).std(-1).mean().cpu()

    def drawn(logits, shift, name):
        p = (logits[:, prompts.shape[1] - 1 : -1].float().cpu() + shift).softmax(-1).flatten(0, 1)
        next_tokens = p.multinomial(1, generator=draw)
        return share(SCORES[name], ["".join(text.subject.tokenizer.batch_decode(next_tokens))])

    for number, which in enumerate(config.dictionaries):
        s, draw = study(text, which, config.often), run.generator(number, "arithmetic")
        plain = steering.generate(text.subject, prompts, config.new, 4 * config.each, draw)
        clean, rows = text.subject.logits(plain.to(text.subject.device)), {name: [] for name in made}
        for name, pattern in CLASSES.items():
            latent = int(mass(text, s, pattern).argmax())
            w = features.logit_weights(text.subject, text.site, s.d[[latent]])[0] / sigma
            reach = [strength * float(s.largest[latent]) for strength in (0.0, *STRENGTHS)]
            rows["arithmetic"].append([drawn(clean, value * w, name) for value in reach])
            held = [clean, *(held_logits(text, s.sae, latent, value, plain) for value in reach[1:])]
            rows["one step"].append([drawn(logits, 0.0, name) for logits in held])
        for name, table in rows.items():
            made[name].append(table)
    return {name: torch.tensor(tables) for name, tables in made.items()}


def held_logits(text, sae, latent, value, tokens):
    with text.subject.spliced({text.site: sae}, error_term=True) as spliced:
        spliced.set(text.site, latent, value)
        return spliced.logits(tokens.to(text.subject.device))


expected = memo.memo(predicted, cfg)

# %% [markdown]
# If the latents steer, blue rises and the grey lines stay about where they are. Where blue is above orange, writing does more than arithmetic. A rise of blue
# does not show that a latent steers by what it *reads*; section 4 asks that.

# %%
by_class = {name: expected["arithmetic"][:, row].numpy() for row, name in enumerate(CLASSES)}
figure, numbers = figure_of({name: name for name in CLASSES}, arithmetic=by_class)
page.save_figure(
    figure,
    "dose_response",
    numbers,
    "Look first at the blue lines: the share of digits, capitals or brackets in what the model writes while"
    " the latent with most mass on that class is held at a multiple of its largest activation. Orange: what"
    " a constant shift of the logits predicts, without running the model under the push. Grey: other pushes."
    f" A line per seed of the dictionary, {len(cfg.dictionaries)} in all; {SIZE} for each point. The papers"
    " show single texts, at strengths in the same unit (up to 10 in Scaling Monosemanticity).",
)

# %% [markdown]
# The papers say that the effect grows with the strength. The first claim is about this: the rank correlation of strength and share over
# the five strengths, the smallest of the three classes. It says that the share rises step by step and not how far, so the gains at twice the largest
# activation are printed beside it: the logarithm to base 2 of the share over that of the model as it is (a thousandth is added to both, so that a share
# of 0 has a logarithm).
#
# The second claim is about what arithmetic does not predict: at the largest activation the text must hold at least twice as much of the class as arithmetic
# gives, in the mean over classes. Its control is the latent held on text that was written without a push.


# %%
def gains(name, arm, strength=2.0):
    table = shares[f"share/{name}"][:, ARMS.index(arm)] + 1e-3  # (seeds, strengths)
    return (table[:, strengths.tolist().index(strength)] / table[:, 0]).log2()


def of_classes(arm):
    return torch.stack([gains(name, arm) for name in CLASSES])  # (classes, seeds)


def smallest_rank(arm):
    tables = torch.stack([shares[f"share/{name}"][:, ARMS.index(arm)] for name in CLASSES], dim=1)
    return [min(np.nan_to_num(spearmanr(strengths, row)[0]) for row in classes) for classes in tables]


def over_arithmetic(tables, strength=1.0):
    """log2 of a share over what arithmetic predicts, mean over the classes: one number per seed."""
    at = strengths.tolist().index(strength)
    return ((tables[..., at] + 1e-3) / (expected["arithmetic"][..., at] + 1e-3)).log2().mean(1).tolist()


table = (expected["arithmetic"] + 1e-3).log2()
by_arm = {arm: of_classes(arm) for arm in ARMS} | {"arithmetic": (table[..., 3] - table[..., 0]).T}
for arm, gained in by_arm.items():
    print(f"{arm:20} gains of {gained.min():.1f} to {gained.max():.1f}, mean {gained.mean():.1f}")
page.check("steering.dose", smallest_rank(ARMS[0]), control={arm: smallest_rank(arm) for arm in ARMS[1:]})
written = torch.stack([shares[f"share/{name}"][:, 0] for name in CLASSES], dim=1)  # (seeds, classes, ...)
page.check(
    "steering.classes",
    over_arithmetic(written),
    control={"held on text without a push": over_arithmetic(expected["one step"])},
)
for row, name in enumerate(CLASSES):
    at_one = [tables[:, row, 2].mean() for tables in (written, expected["one step"], expected["arithmetic"])]
    print("{:9} written {:.0%}, on text without a push {:.0%}, arithmetic {:.0%}".format(name, *at_one))
print("lines that parse, at strength".ljust(30), *(f"{strength:6g}" for strength in strengths))
for arm, row in zip(ARMS, shares["python"].mean(0), strict=True):  # over seeds, classes and labels
    print(arm.ljust(30), *(f"{value:6.0%}" for value in row))

# %% [markdown]
# Compare the printed gains: at twice the largest activation arithmetic gives, in the mean, about as much as is written (in the figure, less for digits and
# more for brackets). At the largest activation the lines under the cards tell where the difference comes from. Held on ordinary text the latent does nearly
# what arithmetic says. What is written goes on from what has been written: digits and capitals take clearly more than that, and brackets
# hardly more. The card is about the mean of the three, which is carried by two of them, so it does not say that writing adds to *every* class. In every
# dictionary the value lies above a factor of two, but not by much, compared with how far the dictionaries differ; hence the mixed verdict. The other pushes raise a class
# now and then, and a little in the mean too, perhaps because a large push breaks the text into odd characters.
#
# Does the text stay Python? The last table has the share of characters in lines that Python's parser can read, over all classes and the two labels
# of section 4. It is a weak measure: most of what the model writes without any push does not parse either, and a line of nothing but digits does.
#
# ### What steering costs
# Two measures need no sampling. On held-out text the *rise of the loss* says how much worse the model has become. And the *information* that the
# context gives about the next token, in nats, is the entropy of the mean prediction less the mean entropy of the predictions:
#
# $$ I = H\big(\mathbb{E}_c\, p(\cdot\,|\,c)\big) - \mathbb{E}_c\, H\big(p(\cdot\,|\,c)\big). $$
#
# It is 0 if the model predicts the same at every token. What should strength do to it? The last norm divides the stream by its own scale. If the push is
# so large that it is nearly all of the stream, what is left after the norm is the direction of the push, whatever the text was. So in a model of one
# layer, at a large enough strength, the model draws every token from one fixed distribution.


# %%
def information(logits):
    logp = logits.float().log_softmax(-1).flatten(0, -2)  # (tokens, V)
    mean = logp.exp().mean(0)
    return float(-(mean * mean.clamp_min(1e-30).log()).sum() + (logp.exp() * logp).sum(-1).mean())


for strength in (0.0, *STRENGTHS, 1000.0):
    with subject.spliced({site: s.sae}, error_term=True) as spliced:
        if strength:
            spliced.set(site, capital, strength * float(s.largest[capital]))
        left = information(spliced.logits(tokens))
    print(f"capitals x {strength:g}: the context tells {left:.2f} nats")
assert not last_block or left < 0.05

# %% [markdown]
# Is this due to the direction, or would any push of that length do it? And of which length? A push enters at the neurons, but it acts in the residual
# stream, where it is as long as $d_i W_{down}$. Training has made decoder directions ones that $W_{down}$ writes strongly; a random direction of the same
# length at the neurons writes less. So we compare, at twice the largest activation, random directions and those of other latents in two ways: as long as the
# latent's push at the neurons, and as long in the stream (less the mean, which the last norm takes off). The claim: at equal length in the stream, a
# decoder direction of another latent leaves about as much information as a random direction. The control is the same difference at equal length at the neurons.


# %%
DRAWS = 3
KINDS = ("the latent", "random", "another's", "random, equal in the stream", "another's, equal in the stream")


def lengths(text, layer, d):
    """Of pushes along d at the neurons, per unit: in the stream, less the mean that the norm takes off."""
    written = d.to(text.subject.device) @ text.subject.blocks[layer].mlp.c_proj.weight.detach()
    return (written - written.mean(-1, keepdim=True)).norm(dim=-1).to(d.device)


def loss_of(logits, tokens):
    guesses = logits[:, :-1].flatten(0, 1).float()
    return float(torch.nn.functional.cross_entropy(guesses, tokens[:, 1:].flatten()))


def cost(text, sae, layer, tokens, pushed):
    """Means over pushes, at twice the largest activation: loss, information left, length in the stream."""
    found, device = [], text.subject.device
    for own, reach, d in zip(*(part.to(device)[:, None] for part in pushed), strict=True):
        rows = Rows(sae if own >= 0 else None, own, 2 * reach, d)
        with text.subject.spliced({text.site: rows}) as spliced:
            logits = spliced.logits(tokens)
        found.append([loss_of(logits, tokens), information(logits)])
    return [*np.mean(found, axis=0).tolist(), (2 * pushed[1] * lengths(text, layer, pushed[2])).mean().item()]


def costs(config):
    """clean: loss, information, lengths of stream and MLP output; cost: (seeds, classes, KINDS, 3)."""
    text, made, layer = text_of(config), [], config.dictionaries[0].layer
    tokens = dictionaries.spread(half(text, 1)[0], config.measured // 2).to(text.subject.device)
    end, mid = (text.subject.activations(tokens, f"blocks.{layer}.hook_resid_{at}") for at in ("post", "mid"))
    clean = text.subject.logits(tokens)
    long = [(v - v.mean(-1, keepdim=True)).norm(dim=-1).mean().item() for v in (end, end - mid)]
    for number, which in enumerate(config.dictionaries):
        s, draw, table = study(text, which, config.often), run.generator(number, "cost"), []
        for latent in (int(mass(text, s, pattern).argmax()) for pattern in CLASSES.values()):
            counts = dict(zip(ARMS, (1, DRAWS, DRAWS), strict=False))
            arms = [pushes(s, latent, arm, count, draw) for arm, count in counts.items()]
            length = lengths(text, layer, arms[0][2])
            arms += [(i, at, d * (length / lengths(text, layer, d))[:, None]) for i, at, d in arms[1:]]
            table.append([cost(text, s.sae, layer, tokens, pushed) for pushed in arms])
        made.append(table)
    clean = [loss_of(clean, tokens), information(clean), *long]
    return {"clean": torch.tensor(clean), "cost": torch.tensor(made)}


paid = memo.memo(costs, cfg)

# %% [markdown]
# Read the printed lengths first, then what is left of the information at equal lengths.

# %%
loss, whole, stream, from_mlp = paid["clean"].tolist()
print(f"lengths in the stream: the stream itself {stream:.1f}, what the MLP writes {from_mlp:.1f}")
for kind, (risen, told, length) in zip(KINDS, paid["cost"].mean((0, 1)).tolist(), strict=True):
    said = f"{told / whole:.0%} of the information is left, the loss rises by {risen - loss:.2f} nats"
    print(f"{kind:31} length {length:.1f}: {said}")
left = paid["cost"][..., 1].mean(1) / whole  # (seeds, KINDS)
page.check(
    "steering.overwrites",
    (left[:, 4] - left[:, 3]).tolist(),
    control={"as long at the neurons": (left[:, 2] - left[:, 1]).tolist()},
)

# %% [markdown]
# At this strength a push along a decoder direction is longer than the whole stream was, so that after the norm the stream's own part is the smaller
# one. A random push as long at the neurons is shorter in the stream and leaves more. Made as long in the stream, it leaves nearly what another latent's
# direction leaves; the decoder directions still leave a little less in every dictionary, as the negative values on the card say. So most of the difference
# at equal length at the neurons comes from the length in the stream. The chosen latents leave less than both at the same length; that may come from their
# choice, since they were taken for the probability that they move onto a few tokens. The less information is left, the less do the model's guesses depend on
# the text. So whoever shows a text that was written under strong steering should say how much of this information was left.
#
# <a id="reads"></a>
# ## 4 What a latent reads and what it writes
# The latents of "attribute" and "docstring" were chosen as the features of the papers are named: by the text on which they are active, which we call what
# a latent *reads*. What it *writes* is the text that becomes more likely while it is held. If a latent writes what it reads, the scores of these two gain too.

# %%
figure, numbers = figure_of({"attribute": "attributes", "docstring": "lines of words alone"})
page.save_figure(
    figure,
    "labels",
    numbers,
    "Blue, as above, two latents that were chosen by the text on which they are active: attributes (left) and"
    f" docstrings (right). The scales differ from those above. {len(cfg.dictionaries)} seeds; {SIZE} each.",
)

# %% [markdown]
# The claims ask whether such a latent at least doubles its share at twice its largest activation. The positive example is the latent of digits, which was chosen by what
# it writes.

# %%
page.check(
    "steering.attribute",
    gains("attribute", ARMS[0]).tolist(),
    control={"random direction": gains("attribute", "random direction").tolist()},
    witness=gains("digits", ARMS[0]).tolist(),
)
page.check(
    "steering.docstring",
    gains("docstring", ARMS[0]).tolist(),
    control={"random direction": gains("docstring", "random direction").tolist()},
    witness=gains("digits", ARMS[0]).tolist(),
)

# %% [markdown]
# Compare the cards. On the left of the figure the blue lines end near zero, and most of the grey ones fall too: a part of the fall is what any strong push does.
# On the right the blue lines rise at first, in some dictionaries by less than a factor of two, and some fall again at the largest strength. What could make
# the difference? Prose is
# followed by more prose, so that a latent which reads it may also write it. A latent that is active on the name of an attribute has read it already;
# what it writes may be about the token *after* the name. If this is the reason, a latent that is active *before* attributes should raise them. So for
# each of thirteen labels we choose two latents on the first half of the text: the one that goes best with the label of the token just read, and the one
# that goes best with the label of the *next* token. Each is held at its largest activation on the second half, where the next tokens and their labels
# are known. The *selective effect* is the mean change of the log-probability of next tokens that have the label, less that of those without it. A push
# that hurts all tokens alike scores 0. As a control three other latents are drawn at random from those that are as often active as the first, and their
# mean is taken.

# %%
NAMED = ("number", "attribute", "docstring", "exception name", "comment", "parameter", "comma", "import line")
NAMED += ("def name", "closing bracket", "self", "keyword", "other newline")
SELECTIVE = "Change of the log-probability of next tokens with the label, less that of others."
CHOICES = ("chosen by the next token", "chosen by the token just read", "as often active as the first")


def losses_with(text, sae, latent, v, tokens):
    """The loss of each next token with the latent held at v: (N, T-1)."""
    with text.subject.spliced({text.site: sae}, error_term=True) as spliced:
        spliced.set(text.site, latent, float(v))
        return spliced.losses(tokens).cpu()


def choices(config):
    """effect: (seeds, choices, labels)."""
    text, table = text_of(config), []
    (tokens, known), (later, their) = half(text, 0), half(text, 1)
    tested, *held = (dictionaries.spread(part, config.measured) for part in (later, *their))
    columns, following = [labels.COLUMN[name] for name in NAMED], next_labels(labels.ContextLabels(*held))
    clean = text.subject.losses(tested).cpu()
    for number, which in enumerate(config.dictionaries):
        s, draw, found = study(text, which, config.often), run.generator(number, "choices"), []
        for of in (next_labels(known), known):
            best = features.correlation(s.fired, of.values[..., columns], tokens.shape, of.known)
            found.append(best.nan_to_num(-1.0).masked_fill(~s.often[:, None], -1.0).argmax(0).tolist())
        drawn = [pushes(s, latent, "as often active", 3, draw)[0].tolist() for latent in found[0]]
        found += [list(row) for row in zip(*drawn, strict=True)]
        sae = Remembered(s.sae)  # it encodes the text once for all latents
        held_at = [[(latent, s.largest[latent]) for latent in row] for row in found]
        changes = [[clean - losses_with(text, sae, *held, tested) for held in row] for row in held_at]
        rows = [zip(row, columns, strict=True) for row in changes]
        effects = torch.tensor([[selective(by, following, column) for by, column in row] for row in rows])
        table.append(torch.stack([effects[0], effects[1], effects[2:].mean(0)]))
    return {"effect": torch.stack(table)}


effect = memo.memo(choices, cfg)["effect"]

# %% [markdown]
# In the figure each row is a label. If a latent wrote what it reads, orange would lie to the right of zero.

# %%
by_name = dict(zip(CHOICES, effect.numpy().transpose(1, 0, 2), strict=True))
page.save_figure(
    plots.by_choice(NAMED, by_name, "selective effect on the label's tokens (nats)"),
    "read_and_written",
    {"labels": list(NAMED), "choices": list(CHOICES), "effect": effect.numpy()},
    f"Blue against orange, row by row. {SELECTIVE} Marks are means over {len(cfg.dictionaries)} dictionaries,"
    " lines their range. Blue: the latent that goes best with the label of the next token; orange: of the"
    " token just read, as features are usually named; grey: random. Means over labels:"
    f" {effect[:, 0].mean():.2f} and {effect[:, 1].mean():.2f} nats.",
)
page.check(
    "steering.reads-and-writes",
    effect[:, 0].mean(1).tolist(),
    control={name: effect[:, row].mean(1).tolist() for row, name in enumerate(CHOICES) if row},
)

# %% [markdown]
# The claim is about the mean over labels, and single rows depart from it: look for rows where orange lies right of blue, such as the names that a `def`
# defines, and for rows where blue is at zero or left of it. In two rows, docstrings and comments, both choices fall on latents of the same effect:
# there the next token mostly has the label of the last one. In the row of attributes blue lies right of orange, as the explanation above says; but
# the model has not written texts under those latents, so the explanation is supported and not shown. A latent's name that is taken from the text on which it is
# active says what it reads. To choose a latent for steering, look also at the tokens that follow.
#
# <a id="contrast"></a>
# ## 5 Steering without a dictionary
# Contrastive activation addition needs no dictionary. It takes pairs of contexts that differ in one respect, averages the difference of the
# activations, and adds this vector $v$. Rimsky et al. pair answers to questions. Here the labels give pairs for free: the token just read is the
# same, and its role differs. An obvious first idea is `=`, which passes an argument in `f(x=1)` and assigns in `x = 1`. Which tokens are they?


# %%
def where(known, *names):
    columns = [labels.COLUMN[name] for name in names]
    return known.values[..., columns].all(-1) & known.known


for name in ("keyword =", "assignment ="):
    most = Counter(chosen_on[where(chosen_labels, name)].tolist()).most_common(3)
    print(f"{name:13}", [(subject.tokenizer.decode([token]), count) for token, count in most])

# %% [markdown]
# The spaces around an assignment make it another token: such pairs would differ in the token and hardly in the context. (Few have the same one, and the
# difference of their means would mostly be noise.) Names are better. We pair a name that is an argument of a call with the *same* name at the start of a
# statement; and, as a second contrast, the name that a `def` defines with the same name where it is called. Matching on the token is a few lines. There are three
# checks that any such vector must pass: another order of the pairs changes nothing; swapped sides turn its sign; identical sides give 0.

# %%
CONTRASTS = {
    "argument of a call, or first of a statement": (
        ("call argument", "identifier"),
        ("first of statement", "identifier"),
    ),
    "defined, or called": (("def name",), ("called name",)),
}


def by_hand(first, second, tokens):
    sums, count = 0, 0
    acts = features.read(subject, site, tokens).cpu()  # (N, T, D)
    for token in sorted(set(tokens[first].tolist()) & set(tokens[second].tolist())):
        sides = [acts[side & (tokens == token)] for side in (first, second)]
        pairs = min(map(len, sides))  # as many as this token allows; its means stand for the drawn pairs
        sums, count = sums + pairs * (sides[0].mean(0) - sides[1].mean(0)), count + pairs
    return sums / count, count


def vector(text, which, contrasted, generator):
    tokens, known = half(text, which)
    pairs = contrast.matched(*(where(known, *names) for names in contrasted), tokens, generator)
    acts = features.read(text.subject, text.site, tokens).cpu()
    return contrast.difference(acts, pairs), pairs, acts


for name, contrasted in CONTRASTS.items():
    v_hand, count = by_hand(*(where(chosen_labels, *names) for names in contrasted), chosen_on)
    v_pairs, pairs, acts = vector(text, 0, contrasted, run.generator(0, "pairs"))
    cosine = torch.cosine_similarity(v_hand, v_pairs, dim=0)
    print(f"{name}: {count} pairs; cosine of the two forms {cosine:.3f}")
    assert count == len(pairs.first)
    assert cosine > 0.6
    order = torch.randperm(count, generator=run.generator(0, "order"))
    for other, expected in (
        (contrast.Pairs(*(side[order] for side in pairs)), v_pairs),
        (contrast.Pairs(pairs.second, pairs.first), -v_pairs),
        (contrast.Pairs(pairs.first, pairs.first), torch.zeros_like(v_pairs)),
    ):
        assert torch.allclose(contrast.difference(acts, other), expected, atol=1e-5)

# %% [markdown]
# ### Is there a latent for it?
# We look for the latent whose direction has the largest cosine with $v$ on the first half of the text, and report its cosine with the $v$ of the
# second half, the smaller one of the two contrasts. Among many latents one is near to any vector, even to noise. So a control takes *random halves*: the same places, on sides drawn at
# random. A second control is the dictionary before its training. For both controls the latent is chosen and reported on the same half of the text,
# which favours them.


# %%
def best_cosine(s, first, second):
    """The latent nearest to one vector, and its cosine with another."""
    best = int(torch.cosine_similarity(s.d.cpu(), first[None], dim=1).masked_fill(~s.often, -1.0).argmax())
    return best, float(torch.cosine_similarity(s.d[best].cpu(), second, dim=0))


def cosines(config):
    """Cosines of v, of random halves, and of v in the untrained dictionary: (seeds, contrasts)."""
    text, found = text_of(config), {"v": [], "halves": [], "untrained": [], "latent": []}
    for number, which in enumerate(config.dictionaries):
        s, draw = study(text, which, config.often), run.generator(number, "cosines")
        d = features.directions(
            dictionaries.dictionary(which, "untrained"),
            torch.arange(s.sae.n),
            s.d[0],
        ).cpu()
        for contrasted in CONTRASTS.values():
            (first, pairs, acts), (second, *_) = (vector(text, part, contrasted, draw) for part in (0, 1))
            noise = contrast.difference(acts, contrast.halves(pairs, draw))
            latent, cosine = best_cosine(s, first, second)
            found["latent"].append(latent)
            found["v"].append(cosine)
            found["halves"].append(best_cosine(s, noise, noise)[1])
            found["untrained"].append(float(torch.cosine_similarity(d, first[None], dim=1).max()))
    return {name: torch.tensor(values).view(len(config.dictionaries), -1) for name, values in found.items()}


near = memo.memo(cosines, cfg)
for place, name in enumerate(CONTRASTS):
    rounded = [round(cosine, 2) for cosine in near["v"][:, place].tolist()]
    print(f"{name}: latents {near['latent'][:, place].tolist()}, cosines {rounded}")
page.check(
    "contrast.has-a-latent",
    near["v"].amin(1).tolist(),
    control={
        "random halves of the same places": near["halves"].amax(1).tolist(),
        "the dictionary before training": near["untrained"].amax(1).tolist(),
    },
)

# %% [markdown]
# ### Steered side by side
# What should follow an argument of a call? A comma or a closing bracket, so their share of the text is the score. Along $v$, along the
# nearest latent's direction, along the difference of random halves and along a random direction we push equally far: multiples of $v$'s own length,
# which is the scale on which contrastive addition works. Every dictionary has its own nearest latent. The vector $v$ does not depend on the dictionary; so that
# its line varies too, it is computed for every dictionary from another random half of the pairs.

# %%
FOLLOWS, MULTIPLES = r"[),]", (0.5, 1.0, 2.0, 4.0)
WAYS = ("v, from pairs", "nearest latent's direction", "random halves", "random direction")


def side_by_side(config):
    """share: (seeds, ways, multiples), the first multiple being 0."""
    text, table = text_of(config), []
    contrasted, each = next(iter(CONTRASTS.values())), config.each
    for number, which in enumerate(config.dictionaries):
        s, draw = study(text, which, config.often), run.generator(number, "side by side")
        whole, pairs, acts = vector(text, 0, contrasted, draw)
        some = torch.randperm(len(pairs.first), generator=draw)[: -(-len(pairs.first) // 2)]
        v = contrast.difference(acts, contrast.Pairs(*(side[some] for side in pairs)))
        count, row = each * len(PROMPTS), []
        noise = [contrast.difference(acts, contrast.halves(pairs, draw)) for _ in range(count)]
        nearest = s.d[best_cosine(s, whole, whole)[0]].cpu()
        along = [v[None], nearest[None], torch.stack(noise), torch.randn(count, len(v), generator=draw)]
        for direction in along:
            pushed = direction * (whole.norm() / direction.norm(dim=1, keepdim=True).clamp_min(1e-9))
            held = torch.full((count,), -1), torch.ones(count), pushed.expand(count, -1)
            made = texts_of(text, held, None, (0.0, *MULTIPLES), config.new, each, draw)
            row.append([share(FOLLOWS, texts) for texts in made])
        table.append(row)
    return {"share": torch.tensor(table)}


beside = memo.memo(side_by_side, cfg)["share"]
multiples = np.array([0.0, *MULTIPLES])
ways = dict(zip(WAYS, beside.numpy().transpose(1, 0, 2), strict=True))
page.save_figure(
    plots.dose_response(multiples, {"commas, closing brackets": ways}, "length of the push, in |v|", own=2),
    "side_by_side",
    {"multiples": multiples, "ways": list(WAYS), "share": beside.numpy()},
    "The share of commas and closing brackets in what the model writes while it is pushed along the contrast"
    " of 'argument of a call' and 'first of a statement' (blue), along the nearest latent's (orange),"
    " along the difference of random halves and along a random direction, all as far. A line per seed"
    f" ({len(cfg.dictionaries)}); {SIZE} a point. The paper steers behaviours of a chat model instead.",
)

# %% [markdown]
# A difference of random halves of the same places, stretched to the length of $v$, is a push by something that the pairs contain, but not by their
# contrast. So the claim compares $v$, at four times its length, with that push under the same seed: commas and closing brackets must take at least
# twice the share. A random direction must not; it hardly moves the share, so that it is the weaker of the two comparisons. The gain along the nearest
# latent's direction, over the model without a push, is printed before the card: the orange lines differ more than the
# blue ones, as they should, since only they depend on the dictionary.


# %%
def follows(way):
    table = beside[:, WAYS.index(way)] + 1e-3
    return (table[:, -1] / beside[:, :, 0].mean(1).add(1e-3)).log2().tolist()


print("log2 of the gain along the nearest latent's direction:", [round(gain, 2) for gain in follows(WAYS[1])])
over_halves = {way: np.subtract(follows(way), follows(WAYS[2])) for way in (WAYS[0], WAYS[3])}
page.check("contrast.steers", over_halves[WAYS[0]], control={WAYS[3]: over_halves[WAYS[3]]})

# %% [markdown]
# <a id="live"></a>
# ## 6 Steer it yourself
# Type a prompt and a latent's number, and move the strength (in multiples of the latent's largest activation; 0 ablates it). The chart compares
# the labels of what is written with those of the model as it is. The latents that were chosen above are printed under it; any other latent that is active on the text works too.

# %%
some = labels.ContextLabels(*(part[:64] for part in chosen_labels))
view = views.look(subject, s.sae, site, tokens=chosen_on[:64], known=some)
room = dict(new=min(32, chosen_on.shape[1] // 2), samples=6)


@functools.lru_cache(8)
def as_it_is(prompt):
    return live.write(view, prompt, None, **room)


def steer(prompt, latent, strength):
    return live.steered(as_it_is(prompt), live.write(view, prompt, latent, strength, **room))


shown = int(view.fired.counts.argmax()) if not view.fired.counts[capital] else capital
typed = explorer.Text("def read(self, name):\n    ")
explorer.live(steer, prompt=typed, latent=explorer.Number(shown), strength=Slider(-2.0, 5.0, 1.0))
print({name: latent for name, latent in chosen_for(text, s).items() if view.fired.counts[latent]})

# %% [markdown]
# <a id="your-turn"></a>
# ## 7 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* [Page 13](13_ablation_sparsity.ipynb#one) removes latents. Show that clamping to 0 at every token is the ablation of *Towards
#    Monosemanticity*, which the package has as `features.ablation_effect`.
#    <details><summary>Hint</summary>The change of the log-probability of a next token is the loss without the change less the loss with it.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    untouched = subject.losses(tokens)  # outside of the block: inside, everything that runs the model is spliced
#    with subject.spliced({site: s.sae}, error_term=True) as spliced:
#        spliced.set(site, capital, 0.0)
#        held_at_zero = spliced.losses(tokens)
#    expected = features.ablation_effect(subject, s.sae, site, tokens, capital)
#    assert torch.allclose((untouched - held_at_zero).cpu(), expected, atol=1e-4)
#    ```
#
#    The same thing: x + (0 - f) d is x without the latent's part, with the error left in place.
#    </details>
# 2. *(5 minutes)* Clamp a latent to v and then add a. Then add a and clamp to v. What is the latent's value after each?
#    <details><summary>Hint</summary>`spliced.set` and `spliced.add` are applied in the order in which they are called; `spliced.code(site)` holds the code
#    of the last pass, in which entries of one latent add up.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    def value_after(*edits):
#        with subject.spliced({site: s.sae}, error_term=True) as spliced:
#            for name, value in edits:
#                getattr(spliced, name)(site, capital, value)
#            spliced.logits(tokens)
#            code = spliced.code(site)
#        return (code.values * (code.indices == capital)).sum(-1)
#
#
#    set_add, add_set = value_after(("set", 3.0), ("add", 2.0)), value_after(("add", 2.0), ("set", 3.0))
#    assert torch.allclose(set_add, torch.full_like(set_add, 5.0))
#    assert torch.allclose(add_set, torch.full_like(add_set, 3.0))
#    ```
#
#    Clamping forgets what came before it, addition does not.
#    </details>
# 3. *(10 minutes)* Hold the digit latent at a thousand times its largest activation. What does the model predict after `def`, and what in the middle of a
#    docstring?
#    <details><summary>Hint</summary>Think of what the last norm does to a stream that is nearly all push. Compare the predictions at two far
#    positions.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    digit = int(mass(text, s, CLASSES["digits"]).argmax())
#    with subject.spliced({site: s.sae}, error_term=True) as spliced:
#        spliced.set(site, digit, 1000 * max(1.0, float(s.largest[digit])))
#        p = spliced.logits(tokens).softmax(-1)
#    difference = (p[0, 2] - p[1, -2]).abs().sum() / 2  # total variation distance
#    print(f"{difference:.1%} of the probability differs")
#    assert difference < 0.1 or not last_block
#    ```
#
#    The same at both: the guess does not depend on the context any more. Texts from such a model show the latent's logit weights and nothing else.
#    </details>
# 4. *(10 minutes)* Take the contrast of section 5 without matching the tokens: the mean activation over *all* arguments of calls less that over *all* first
#    names of statements. Is it the same direction?
#    <details><summary>Hint</summary>The two sets of names are not the same names, so the difference of means also contains the difference between the names.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    contrasted = next(iter(CONTRASTS.values()))
#    sides = [where(chosen_labels, *names) for names in contrasted]
#    acts = features.read(subject, site, chosen_on).cpu()
#    unmatched = acts[sides[0]].mean(0) - acts[sides[1]].mean(0)
#    cosine = torch.cosine_similarity(unmatched, vector(text, 0, contrasted, run.generator(0, "pairs"))[0], dim=0)
#    print(f"cosine {cosine:.2f}")
#    assert cosine < 0.99
#    ```
#
#    No: part of it tells which names are usual as arguments, which is not what we wanted to steer.
#    </details>
#
# <a id="limits"></a>
# ## 8 Limits
# - One layer. A push at the neurons goes straight to the logits, and reaches later tokens only through what has been written. In a deep model the
#   layers above can use it, and texts may stay fluent at strengths at which this model only repeats a few tokens.
# - The latents of section 3 were chosen by the very logits that steering raises, and at `laptop` there is no other path. That held latents raise their
#   class is arithmetic; only what writing adds to it is not. In a deep model there are other paths, and the
#   arithmetic may predict less.
# - The prediction is a constant shift. At the larger strengths it overshoots for some classes and falls short for others, because the last norm divides
#   by a stream that holds the push; the claim is at one strength. It is about the mean of
#   three classes and does not hold for each: brackets gain hardly anything by being written.
# - The classes were chosen because a program can count them. A score of single characters rewards a model that writes nothing else; that is why the
#   loss and the information stand beside it.
# - The model writes poor Python even when nobody pushes. Whether a steered text is still good is not a question that it can answer.
# - Contrastive addition was made for behaviours of chat models (Rimsky et al.). One contrast of syntax says little about those. Its vector and the
#   nearest latent are compared at one length at the neurons, not at one cost. A cosine with $v$ says that a direction is near, not that the latent
#   stands for the contrast: even differences of random halves come near to some latent. The seeds of the last claim
#   are other halves of the same pairs and other draws, not other dictionaries.
#
# <a id="checked"></a>
# ## 9 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
