# %% [markdown]
# # 7. The language model that is studied
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/07_language_model.ipynb)
#
# **Pages** [← 6b. How one neuron serves two features](06b_asymmetric_motif.ipynb) · [Start here](00_start_here.ipynb) · [8. Sparse autoencoders →](08_sae_training.ipynb)
#
# The pages after this one take a language model apart. This page builds it: a small transformer that reads Python code and guesses what comes next.
# You write it in some sixty lines, find that they compute exactly what a library's model computes, and train such models in front of you. On the way
# you meet the questions at which people who rebuild *Towards Monosemanticity* get stuck, and answer each by running it.
#
# **You will** cut code into tokens · write the model and assert that it equals the library's · see which tokens are hard to guess · train without a
# mask and watch the answer leak · find out which sizes are free to choose · measure what the neurons (the MLP) are worth.
#
# **Needs** PyTorch (modules, a training loop); nothing about transformers.
#
# **Takes** about six minutes at `laptop` on two cores, once; afterwards what was trained is read back. Others: [start
# here](00_start_here.ipynb#profiles).
#
# **Paper** Bricken et al. 2023, [*Towards Monosemanticity*](https://transformer-circuits.pub/2023/monosemantic-features/index.html): the transformer
# that it studies.
#
# **On this page** [1 Text and tokens](#tokens) · [2 The model, in the open](#model) · [3 The loss](#loss) · [4 Three ways to train, and what the mask is for](#masks) · [5 What is free to choose](#free) · [6 Model B, from the first step to the last](#training) · [7 What the MLP is worth](#mlp) · [8 Four layers: the stream, block by block](#layers) · [9 Your turn](#your-turn) · [10 Limits](#limits) · [11 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import copy
import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from companion import claims, dictionaries, memo, run
from companion.evals.anchors import unigram_losses
from companion.lm import corpus, training
from companion.lm.sources import HubConfig, ShippedConfig
from companion.lm.training import TINY, SubjectConfig
from companion.plots import language as plots
from companion.plots import tokens as coloured
from companion.plots import widgets

claims.opening("07_language_model")

# %% [markdown]
# The sizes of everything below. *Model A* ships with this package; *model B* has the same shape and is trained on this page from other random
# numbers (the paper, too, trains two models that differ in nothing else, and calls them A and B). A deeper model has four such layers. The small
# models answer the questions of sections 4 and 5.


# %%
@dataclass(frozen=True)
class Small:
    """A small model of one layer: what it may see, which guesses are scored, its shape and its training."""

    sees: str = "earlier"
    scored: str = "everywhere"
    heads: int = 4
    d: int = 48  # width of the residual stream
    context: int = 32  # C: tokens that are read at once
    vocab: int = 512  # V: different tokens
    steps: int = 300
    batch: int = 32  # contexts per step
    lr: float = 1e-2
    seed: int = 0


@dataclass(frozen=True)
class Config:
    a: ShippedConfig | SubjectConfig  # model A, of one layer
    b: SubjectConfig  # model B: trained here, its checkpoints kept
    deep: ShippedConfig | SubjectConfig | HubConfig  # a model of several layers
    small: Small
    characters: int  # of source that the small models are trained on
    contexts: int  # held-out contexts for every measurement
    seeds: int  # small models per question
    control_seeds: int = 2


# %% tags=["parameters"]
one = training.OFFLINE["python-stdlib-1l"]
other = run.seed_shift() + 1  # model B starts from other random numbers than A
tiny = replace(TINY, layers=1, steps=100)
cfg = run.choose(
    quick=Config(
        a=tiny, b=replace(tiny, seed=other), deep=replace(TINY, steps=100), characters=300_000, contexts=32,
        small=Small(heads=2, d=16, context=8, vocab=300, steps=30, batch=16), seeds=1, control_seeds=1,
    ),
    laptop=Config(
        a=dictionaries.offline_subject("python-stdlib-1l"), b=replace(one, seed=other),
        deep=dictionaries.offline_subject("python-stdlib-4l"), small=Small(), characters=3_000_000,
        contexts=256, seeds=5,
    ),
    paper=Config(
        a=dictionaries.offline_subject("python-stdlib-1l"),
        b=replace(one, seed=other, steps=20_000, batch=64),
        deep=HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"),
        small=Small(d=128, context=128, vocab=4096, steps=5000, lr=2.5e-3),
        characters=20_000_000, contexts=1024, seeds=5,
    ),
)  # fmt: skip
page = claims.Page("07_language_model", cfg)

# %% [markdown]
# <a id="tokens"></a>
# ## 1 Text and tokens
# Everything here is trained on text that is on your machine already: the source code of Python's standard library. One file in ten is *held out*: no
# model is trained on it, and every loss below is measured there.
#
# A language model does not read characters. A *tokenizer* cuts the text into *tokens*, pieces that occur often, and numbers them. The usual way to
# choose the pieces is *byte pair encoding*: begin with single characters; find the pair of neighbours that occurs most often; from now on it is one
# piece; repeat. Which pair will be first, in Python code?

# %%
texts = corpus.library_texts()
split = corpus.split_by_file(texts, cfg.characters)  # for the small models: a part of it


def merge(pieces):
    """The commonest pair of neighbours, and the text with each such pair made one piece."""
    (left, right), _ = Counter(pairwise(pieces)).most_common(1)[0]
    merged = []
    for piece in pieces:
        if merged and merged[-1] == left and piece == right:
            merged[-1] = left + right
        else:
            merged.append(piece)
    return left + right, merged


pieces, learned = list(max(split["train"], key=len)[:50_000]), []
for _ in range(24):
    new, pieces = merge(pieces)
    learned.append(new)
print(f"{len(texts)} files, {sum(map(len, texts.values())):,} characters")
print("merges in 50,000 of them:", learned)

# %% [markdown]
# Spaces come first: code is indented. Then come pieces of words, and soon whole words. The `tokenizers` library does the same on all the files at
# once, with two differences: it starts from bytes, so that every text can be written, and it never merges across the border of a word.
# `small_tokenizer` is made here; model A has one of its own, with more tokens, that was made in the same way.

# %%
small_tokenizer = corpus.train_tokenizer(split["train"], cfg.small.vocab)
print("first merges:", [small_tokenizer.decode([token]) for token in range(257, 269)])
A = dictionaries.open_subject(cfg.a)
tokenizer, V = A.tokenizer, len(A.unembedding())
print(f"model A knows V = {V:,} tokens; last merges:", [tokenizer.decode([V - i]) for i in range(1, 9)])

# %% [markdown]
# Below is a function that is in no file of the library, cut into tokens by model A's tokenizer. Every second token is coloured, so that the borders
# can be seen; ↵ is the end of a line. A space belongs to the word after it.

# %%
example = '''import os


def read_lines(path, encoding="utf-8"):
    """Return the lines of the file as a list."""
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    with open(path, encoding=encoding) as file:
        return [line.rstrip() for line in file]
'''


def words(ids):
    return [tokenizer.decode([token]) for token in ids]


ids = tokenizer(example)["input_ids"]
assert tokenizer.decode(ids) == example  # nothing is lost
page.save_figure(
    coloured.picture(plots.by_line(words(ids), np.arange(len(ids)) % 2)),
    "tokens",
    {"tokens": words(ids)},
    f"Code as the model reads it: {len(example)} characters, {len(ids)} tokens. Common words are one token.",
)

# %% [markdown]
# <a id="model"></a>
# ## 2 The model, in the open
# The model reads at most $C$ tokens at once, the *context*. For each of them it keeps one vector of $d$ numbers, so a context is a table of shape
# $(C, d)$. This table is the **residual stream**. It begins as the sum of two rows looked up in tables that are learned: the *embedding* of the
# token, and one for the position. Then each part of the model reads the stream, computes something, and *adds* it to the stream. Nothing is ever
# overwritten. The vectors that are computed on the way, such as the rows of the stream, are called the model's *activations*.
#
# There are two kinds of parts. **Attention** moves information between positions. Each position makes three vectors: a *query* $q$ (what am I
# looking for?), a *key* $k$ (what do I have?) and a *value* $v$ (what do I pass on?). Position $t$ takes an average of the values, weighted by how
# well its query fits their keys:
#
# $$ A_{ts} = \mathrm{softmax}_s\!\left(\frac{q_t \cdot k_s}{\sqrt{d / \text{heads}}}\right), \qquad \text{out}_t = W_O \sum_s A_{ts} v_s. $$
#
# `may_see` says which $s$ are allowed for which $t$; the others get the weight 0. Several *heads* do this side by side, each with its own $d /
# \text{heads}$ of the $d$ numbers. (The names `c_attn`, `c_proj`, ... are those of Hugging Face's GPT-2, so that its weights can be loaded.)


# %%
class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(d, 3 * d)  # queries, keys and values of all heads
        self.c_proj = nn.Linear(d, d)  # W_O

    def parts(self, x):
        """Queries, keys and values, each (B, heads, C, d / heads)."""
        B, C, d = x.shape
        return (part.view(B, C, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).split(d, dim=-1))

    def pattern(self, q, k, may_see):
        fit = q @ k.mT / math.sqrt(q.shape[-1])  # (B, heads, C, C)
        return fit.masked_fill(~may_see, -torch.inf).softmax(dim=-1)

    def forward(self, x, may_see):
        q, k, v = self.parts(x)
        mixed = self.pattern(q, k, may_see) @ v  # (B, heads, C, d / heads)
        return self.c_proj(mixed.transpose(1, 2).reshape(x.shape))


# %% [markdown]
# The second kind is the **MLP**, and it works on every position by itself. It projects the vector on $4d$ directions, sets what is negative to zero
# (the *relu*), and adds to the stream one direction for each of these $4d$ numbers, as strongly as the number says. The $4d$ numbers are the model's
# *neurons*: with $d = 128$ there are 512, as in the paper. (GPT-2 has a smoother function, GELU, in the place of the relu.)
#
# Before each part a *layer norm* subtracts the mean of the vector's entries and brings the vector to a common length; then it scales and shifts each
# entry by learned numbers. One more layer norm stands after the last block. Attention and MLP together are one *block*, also called a layer. Blocks
# are counted from 0.


# %%
class MLP(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.c_fc = nn.Linear(d, 4 * d)
        self.c_proj = nn.Linear(4 * d, d)

    def forward(self, x):
        neurons = self.c_fc(x).relu()  # (B, C, 4d)
        return self.c_proj(neurons)


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attn, self.mlp = Attention(d, heads), MLP(d)

    def forward(self, stream, may_see):
        stream = stream + self.attn(self.ln_1(stream), may_see)
        return stream + self.mlp(self.ln_2(stream))


# %% [markdown]
# The whole model: look up, run the blocks, and take the inner product of each position's vector with the embedding of every token. This last step is
# the *unembedding*. Its result, a number per token of the vocabulary, is called the *logits*; a softmax turns them into probabilities for the **next**
# token. Embedding and unembedding are both plain matrices, and here they are the same one.
#
# `causal` is the mask of a language model: position $t$ may see itself and what is before it. Otherwise it could read the token that it is to guess.


# %%
class GPT(nn.Module):
    def __init__(self, V, C, d, layers, heads):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, d), nn.Embedding(C, d)  # of tokens, of positions
        self.h = nn.ModuleList(Block(d, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(d)

    def embed(self, tokens):
        return self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))

    def forward(self, tokens, may_see):  # tokens (B, C)
        stream = self.embed(tokens)  # (B, C, d)
        for block in self.h:
            stream = block(stream, may_see)
        return self.ln_f(stream) @ self.wte.weight.T  # logits (B, C, V)


def causal(C):
    return torch.ones(C, C, dtype=torch.bool).tril()


causal(5).int()

# %% [markdown]
# That is the whole model. Is it really the one that the other pages study? They use the `transformers` library. We copy the weights of model A into our
# class and compare the logits on held-out text, in double precision: they must agree up to rounding.
#
# A second property is asserted with it. With the mask, a later token cannot change what is computed at an earlier one. So the model can be run on a
# text of any length up to $C$, and a shorter text must give the logits of the longer text's beginning.
#
# Note also what changes with the length $C$ of the context: the number of rows of the stream, and nothing else. The stream has $d$ numbers *per
# token*, and only the table of positions knows $C$. (A common misreading takes the stream to be one vector whose width grows with the context.)


# %%
def gpt_of(model):
    """A GPT with the weights of a Hugging Face GPT-2 of one or more layers."""
    weights = {name.removeprefix("transformer."): weight.cpu() for name, weight in model.state_dict().items()}
    weights.pop("lm_head.weight")  # the embedding again
    transposed = {name for name, weight in weights.items() if ".c_" in name and weight.dim() == 2}
    weights = {name: weight.T if name in transposed else weight for name, weight in weights.items()}
    (V, d), C = weights["wte.weight"].shape, len(weights["wpe.weight"])
    own = GPT(V, C, d, model.config.n_layer, model.config.n_head).to(model.dtype)
    own.load_state_dict(weights)
    return own.requires_grad_(False)


deep = dictionaries.open_subject(cfg.deep)  # for later
heldout, deep_heldout = (dictionaries.spread(own.tokens("heldout"), cfg.contexts) for own in (A, deep))
exact = copy.deepcopy(A.model).cpu().double()
theirs, C = exact(heldout[:4]).logits, heldout.shape[1]
plain_exact = gpt_of(exact)
ours = plain_exact(heldout[:4], causal(C))
assert torch.allclose(ours, theirs, rtol=0, atol=1e-9)
for length in (1, 5, C // 2):
    prefix = plain_exact(heldout[:4, :length], causal(length))
    assert torch.allclose(prefix, ours[:, :length], rtol=0, atol=1e-9)
plain = gpt_of(A.model)
print("stream (B, C, d):", tuple(plain.embed(heldout[:4]).shape), "logits (B, C, V):", tuple(ours.shape))
print(f"parameters: {sum(w.numel() for w in plain.parameters()):,}")

# %% [markdown]
# What do the heads look at? The picture shows the weights $A_{ts}$ of model A on the beginning of the example: a row per position that looks, a
# column per position that is looked at. Everything above the diagonal is empty: that is the mask. (The text begins with the token for the end of the
# text before it, so that the first word has something before it.)

# %%
sentence = torch.tensor([[0, *ids]])[:, :C]  # token 0 is the end of a text
begun, block = sentence[:, :16], plain.h[0]
q, k, _ = block.attn.parts(block.ln_1(plain.embed(begun)))
pattern = block.attn.pattern(q, k, causal(begun.shape[1]))[0]  # (heads, 16, 16)
assert (pattern.triu(1) == 0).all()
page.save_figure(
    plots.attention(pattern.numpy(), ["(end)", *words(begun[0, 1:].tolist())]),
    "attention",
    {"pattern": pattern},
    "Attention of model A on the beginning of the example. First see the empty half above the diagonal: the "
    "mask. Then compare the heads: in the shipped model one looks back to the open bracket.",
)

# %% [markdown]
# <a id="loss"></a>
# ## 3 The loss
# The model gives the token that really comes next some probability $p$. Its *loss* there is $-\ln p$, in *nats*: 0 if it was sure and right, $\ln 2$
# for one out of two equal chances, $\ln V$ if it only knows that there are $V$ tokens. One nat more means a probability smaller by a factor $e$.
# Training minimises the mean over all tokens.


# %%
def losses_of(model, tokens, may_see):
    """-ln p of every token but the first, (B, C - 1)."""
    logits = model(tokens[:, :-1], may_see)  # the last token is only an answer
    return F.cross_entropy(logits.mT, tokens[:, 1:], reduction="none")


by_hand = losses_of(plain, heldout[:4], causal(C - 1))
assert torch.allclose(by_hand, A.losses(heldout[:4]).cpu(), atol=1e-3)
loss = A.losses(heldout).mean().item()
print(f"model A: {loss:.2f} nats per held-out token, a typical probability of 1 in {math.exp(loss):.0f}")
print(f"guessing among V tokens: ln V = {math.log(V):.2f}")

# %% [markdown]
# The mean hides what matters. Here is the example once more; the deeper the colour, the larger the loss of that token given all tokens before it.
# What do you expect to be hard: brackets, keywords, names?

# %%
surprise = losses_of(plain, sentence, causal(sentence.shape[1] - 1))[0]
shown = words(sentence[0, 1:].tolist())
page.save_figure(
    coloured.picture(plots.by_line(shown, surprise.tolist())),
    "loss_per_token",
    {"tokens": shown, "nats": surprise},
    "Loss of each token given those before it, model A on code that it never saw: white is 0, the deepest "
    f"colour {surprise.max():.0f} nats. Look at names where they stand for the first time, then at brackets "
    "and at the words that must follow. The paper has no such figure.",
)

# %% [markdown]
# Hard are the places where the writer decides something: the word that a line begins with (`with`), the first piece of a new name (`read`, `lines`,
# `File`). Easy is what must follow: the rest of a name once it has begun (`NotFoundError`), `path` after `os.`, the indentation of a line. A name
# that was used before (`path` in the line that begins with `raise`) is still not cheap: to look names up takes two layers (section 5).
#
# So part of the loss stays however good the model is. And if a better model gains at few tokens only, a small drop of the mean is a large drop at
# those.
#
# Type the beginning of some code, press Enter, and see the probabilities of the next token. At the end of the text that stands there now, syntax
# decides what comes next. Then try `for i in range(` or `return self.`, where the writer decides.


# %%
def next_tokens(text, count=8):
    tokens = torch.tensor([[0, *tokenizer(text)["input_ids"]]])[:, -C:]
    p = plain(tokens, causal(tokens.shape[1]))[0, -1].softmax(-1)  # (V,)
    best = p.argsort(descending=True)[:count]
    return plots.guesses(text, words(best.tolist()), p[best].numpy())


widgets.live(next_tokens, text="    def __init__(self")

# %% [markdown]
# ### What a loss should be compared with
# Two simpler models say how much of a loss is worth having. The *unigram* model reads nothing: it gives every token its frequency. The *bigram*
# model reads one token: it has counted in the training text which token follows which. Where a pair is rare its count is mixed with the frequency;
# $\alpha$ says how many counts the frequency stands for, and is chosen on training text that the table has not seen.


# %%
def bigram_losses(train, tokens, alpha):
    pairs = torch.bincount(train[:, :-1].flatten() * V + train[:, 1:].flatten(), minlength=V * V).view(V, V)
    share = torch.bincount(train.flatten(), minlength=V) + 1.0
    before, after = tokens[:, :-1], tokens[:, 1:]
    p = (pairs[before, after] + alpha * share[after] / share.sum()) / (pairs.sum(1)[before] + alpha)
    return -p.log()


train = A.tokens("train")
most, rest = train[: -len(train) // 10], dictionaries.spread(train[-len(train) // 10 :], cfg.contexts)
tried = {alpha: bigram_losses(most, rest, alpha).mean().item() for alpha in (3, 10, 30, 100, 300)}
bigram = bigram_losses(train, heldout, min(tried, key=tried.get)).mean().item()
unigram = unigram_losses(train, heldout, V).mean().item()
print(f"ln V {math.log(V):.2f} > unigram {unigram:.2f} > bigram {bigram:.2f} > model A {loss:.2f} nats")

# %% [markdown]
# <a id="masks"></a>
# ## 4 Three ways to train, and what the mask is for
# A public diary of someone who rebuilt the paper records a decision that sounds harmless: to leave out the mask and let the model predict only the
# token *after* the context. Others leave out the mask and keep the loss at every position. What do these three do? The mask says what each position
# may see; `scored` says which guesses count.
#
# | | may see | scored | we expect |
# |---|---|---|---|
# | the usual way | itself and earlier | everywhere | learns from $C$ guesses per context |
# | the diary | everything | at the end | learns from one guess per context |
# | the mistake | everything | everywhere | sees the answers: a loss of zero, and nothing learned |
#
# Two more are needed as controls. *All but the answer*: the mistake with the one place hidden that gives the answer away. *One place*: the mask, and
# one guess per context, at a random position.


# %%
SEES = {
    "earlier": causal,
    "everything": lambda C: torch.ones(C, C, dtype=torch.bool),
    "all but the answer": lambda C: ~torch.ones(C, C, dtype=torch.bool).triu(1).tril(1),
    "itself": lambda C: torch.eye(C, dtype=torch.bool),
}


def scored_places(config, generator):
    """1 for the guesses that count, (B, C)."""
    B, C = config.batch, config.context
    if config.scored == "everywhere":
        return torch.ones(B, C)
    place = torch.full((B, 1), C - 1)
    if config.scored == "one place":
        place = torch.randint(C, (B, 1), generator=generator)
    return torch.zeros(B, C).scatter(1, place, 1.0)


def new_model(config):
    model = GPT(config.vocab, config.context, config.d, layers=1, heads=config.heads)
    generator = run.generator(config.seed, "start")
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=0.02, generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
    return model


# %% [markdown]
# The text. Contexts have one token more than the model reads: the answer of the last position. **No mask shows the model that token**, so at the
# last position no model can read the answer off.
#
# A fourth combination, "mask, at the end", need not be trained. Only the last position is scored, it sees the whole context with the mask or
# without, and in a model of one layer the other positions cannot pass on what they see. So it is the diary's model; this is asserted on an untrained one. (With two layers it would differ: the first layer of
# earlier positions could look ahead.)

# %%
length = cfg.small.context + 1
small = {name: corpus.contexts(small_tokenizer, files, length) for name, files in split.items()}
small_train, small_heldout = small["train"], dictionaries.spread(small["heldout"], 256)
small_unigram = unigram_losses(small_train, small_heldout, cfg.small.vocab).mean().item()
print(f"{len(small_train):,} contexts to train on; unigram loss {small_unigram:.2f} nats")
untrained, few = new_model(cfg.small), small_heldout[:8]
masked, unmasked = (losses_of(untrained, few, SEES[sees](length - 1)) for sees in ("earlier", "everything"))
assert torch.allclose(masked[:, -1], unmasked[:, -1], atol=1e-4)

# %% [markdown]
# The training loop. AdamW, a learning rate that rises for 30 steps and then falls, and gradients cut to length 1: this is the usual recipe, and the
# package's own loop for models A and B (`companion.lm.training.train`) does the same. `memo.memo` keeps what was trained.


# %%
def fit(config):
    """Train one small model: held-out losses (checkpoints, C) along the way, and the weights."""
    model, generator = new_model(config), run.generator(config.seed, "order")
    may_see, held = SEES[config.sees](config.context), []
    adam = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0)
    rate = torch.optim.lr_scheduler.LambdaLR(
        adam,
        lambda step: min(1, (step + 1) / 30) * (1 - 0.9 * step / config.steps),
    )
    for step in range(config.steps):
        if step % (config.steps // 10) == 0:
            held.append(losses_of(model, small_heldout, may_see).mean(0).detach())
        tokens = small_train[torch.randint(len(small_train), (config.batch,), generator=generator)]
        counted = scored_places(config, generator)
        loss = (losses_of(model, tokens, may_see) * counted).sum() / counted.sum()
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        rate.step()
    held.append(losses_of(model, small_heldout, may_see).mean(0).detach())
    return {"held": torch.stack(held)} | model.state_dict()


def trained(seeds, **changes):
    """The same small model from several random seeds."""
    return [memo.memo(fit, replace(cfg.small, seed=seed, **changes)) for seed in range(seeds)]


ways = {
    "mask, everywhere": trained(cfg.seeds),
    "no mask, at the end": trained(cfg.seeds, sees="everything", scored="end"),
    "no mask, everywhere": trained(cfg.seeds, sees="everything"),
}
others = {
    "all but the answer": trained(cfg.control_seeds, sees="all but the answer"),
    "mask, one place": trained(cfg.control_seeds, scored="one place"),
}

# %% [markdown]
# Now the curves: on the left the loss at all positions but the last, each model with its own mask; on the right the loss at the last position, where no
# model sees the answer. (The diary's model is never trained on the positions of the left panel.)

# %%
contexts = np.arange(11) * (cfg.small.steps // 10) * cfg.small.batch


def curves(part):
    return {name: np.stack([part(model["held"]) for model in models]) for name, models in ways.items()}


all_but_last, last = curves(lambda held: held[:, :-1].mean(1)), curves(lambda held: held[:, -1])
page.save_figure(
    plots.ways(contexts, all_but_last, last, small_unigram),
    "three_ways",
    {"contexts": contexts, "all but last": all_but_last, "last": last, "unigram": small_unigram},
    "Three ways to train one small model, a line per seed. Follow the dotted purple lines (no mask, scored "
    "everywhere). Left: the answer is in the context. Right: the last position, whose answer no model sees. "
    f"One layer, d = {cfg.small.d}, C = {cfg.small.context}, V = {cfg.small.vocab}. Not in the paper.",
)

# %% [markdown]
# Look at the mistake, on the left. At first its loss falls like that of the usual way. Then it drops to nearly nothing: position $t$ can read its
# answer at position $t + 1$. No prediction of code is that good, so a loss near zero is the sign of a leak. Now look at the same models on the right,
# at the same moment: does the loss at the last position rise again? If it does, the model gives up what it knew about the next token for copying.
#
# Is it the answer, or does looking ahead *as such* make the task easy? If the latter, *all but the answer* would fall as far.

# %%
end_left = {name: models[:, -1] for name, models in all_but_last.items()}
hidden = [model["held"][-1, :-1].mean().item() for model in others["all but the answer"]]
page.check(
    "lm.answer-leaks",
    end_left["no mask, everywhere"],
    control={"all but the answer": hidden, "mask": end_left["mask, everywhere"]},
)

# %% [markdown]
# Compare the two controls. If the loss with that one place hidden stays near the loss with the mask, it is the answer that made the task easy.
#
# Is the leaky model of any use? To write text it would have to guess the next token from the tokens before it, with nothing after them. So give it
# each beginning alone and score its guess of the next token. If it has learned to predict anything at all, it should beat the unigram model.


# %%
@torch.no_grad()
def loss_on_beginnings(weights, sees):
    model = GPT(cfg.small.vocab, cfg.small.context, cfg.small.d, layers=1, heads=cfg.small.heads)
    model.load_state_dict({name: weight for name, weight in weights.items() if name != "held"})
    lengths = range(1, cfg.small.context + 1)
    ends = [losses_of(model, small_heldout[:, : t + 1], SEES[sees](t))[:, -1].mean() for t in lengths]
    return torch.stack(ends).mean().item()


leaky = [loss_on_beginnings(weights, "everything") for weights in ways["no mask, everywhere"]]
honest = [loss_on_beginnings(weights, "earlier") for weights in ways["mask, everywhere"]]
assert np.allclose(honest, [weights["held"][-1].mean() for weights in ways["mask, everywhere"]], atol=1e-3)
page.check(
    "lm.leaky-cannot-write",
    np.subtract(leaky, small_unigram),
    control={"with the mask": np.subtract(honest, small_unigram)},
)

# %% [markdown]
# Above zero the model is worse than one that reads nothing. It was trained to find the answer at the next position, and at the end of a beginning there
# is no next position. The assert says that with the mask there is no such gap: what is measured in training *is* the loss on beginnings. So a
# low training loss says something about a language model only if the mask is right.
#
# And the diary's way? It is honest, but slow: each context gives one guess instead of $C$. We compare both at the last position, after equally many
# contexts. If the *number of guesses* is the reason, then a model with the mask that is scored at one random place per context must be as slow.

# %%
last_losses = {name: models[:, -1] for name, models in last.items()}
single = [model["held"][-1, -1].item() for model in others["mask, one place"]]
one_guess = last_losses["no mask, at the end"]
page.check(
    "lm.loss-everywhere",
    one_guess - last_losses["mask, everywhere"],
    control={"mask, scored at one place": one_guess[: cfg.control_seeds] - single},
)

# %% [markdown]
# The control is the diary's loss less that of the model with the mask that is scored at one place. If it is zero or below, that model is as slow as
# the diary's or slower, and the number of guesses is reason enough. There is a second reason for the mask, which matters more for the pages after this
# one: with it **every** position's vector is trained to be a state from which the next token can be predicted. A sparse autoencoder can then be trained
# on all positions. In the diary's model only the last position is trained for that.
#
# <a id="free"></a>
# ## 5 What is free to choose
# The paper does not say how many heads its model has, nor how long its contexts are. Does it matter? Heads divide the same $d$ numbers among them,
# so the number of parameters does not change. We train the small model with 1, 2, 4 and 8 heads and expect the same loss. But that would also come
# out if attention did nothing here. So there are two controls: half the width, and a model whose positions see only *themselves*. (The learning rate
# is half of section 4's, at which models from different seeds differ by more than what is looked for here.)

# %%
gentle = dict(lr=cfg.small.lr / 2)
counts = [heads for heads in (1, 2, 4, 8) if cfg.small.d % heads == 0]
by_heads = {f"{heads} head{'s' * (heads > 1)}": trained(cfg.seeds, heads=heads, **gentle) for heads in counts}
controls = {
    "half the width": trained(cfg.control_seeds, d=cfg.small.d // 2, **gentle),
    "sees only itself": trained(cfg.control_seeds, sees="itself", **gentle),
}


def final(models):
    return np.array([model["held"][-1].mean().item() for model in models])


ends = {name: final(models) for name, models in (by_heads | controls).items()}
page.save_figure(
    plots.ladder(ends, by_heads, "held-out loss (nats per token; the axis does not start at 0)", zero=False),
    "heads",
    ends,
    "Compare the blue bars (1 to 8 heads) among themselves and with the grey ones (half the width, or no "
    f"view of other tokens). Means; dots are seeds. One layer, d = {cfg.small.d}, {cfg.small.steps} steps.",
)
spread_of_heads = np.ptp([ends[name] for name in by_heads], axis=0)  # within each seed
usual = final(trained(cfg.control_seeds, **gentle))
page.check(
    "lm.heads-free",
    spread_of_heads,
    control={name: ends[name] - usual for name in controls},
)

# %% [markdown]
# The card compares the differences between numbers of heads with what the width and seeing other tokens are worth. What it says holds for models of this
# size, after this short training.
#
# The length of the context can be chosen freely too: it changes no shape but that of the position table. Longer contexts can help as far as the
# model uses them. How far is that? Here is the loss by the number of tokens that stand before. We expect the first ten or so to help most, and the
# deeper model to profit longer: to continue a name that was used before takes two layers, one that notes for each token what was before it, and one
# that looks for the place where the current token stood before.


# %%
def by_position(subject, tokens):
    mean = subject.losses(tokens).mean(0).cpu()  # entry t - 1: t tokens stand before
    starts = 2 ** np.arange(int(math.log2(len(mean))) + 1)
    return starts, np.array([mean[t - 1 : 2 * t - 1].mean() for t in starts])


positions = {"1 layer": by_position(A, heldout), "a deeper model": by_position(deep, deep_heldout)}
page.save_figure(
    plots.by_position(positions, bigram),
    "positions",
    positions,
    "Loss by the number of tokens before (up to twice the number shown). Look where each curve becomes flat, "
    f"and where the deeper model (dark blue) leaves the other. {cfg.contexts} contexts. Not in the paper.",
)

# %% [markdown]
# Two layers can look up a name that was used before, and one layer hardly can, so the deeper model's lead should grow with the number of tokens before.
# But it also has more parameters, and the figure cannot tell the two reasons apart. Look also at the left end: with one token before, is a model
# better than the bigram table? Section 6 comes back to that.
#
# <a id="training"></a>
# ## 6 Model B, from the first step to the last
# Now the model that is trained on this page: one block, the paper's width of 128 and its 512 neurons, on the same text as A but from another start.
# The training is the loop of section 4 with longer contexts and a little weight decay; the package's `training_loss` computes the same number and
# gradient in less memory, which is asserted first. Weights are kept at steps that grow by a constant factor.
#
# At every checkpoint we measure the held-out loss, and the loss with the MLP's output set to zero: the stream after the block minus what the MLP
# added to it is the stream in the middle of the block. The package names a place in the model as the library TransformerLens does:
# `blocks.0.hook_resid_mid` is the stream in the middle of block 0, `hook_resid_post` the stream after a block, `hook_mlp_out` what the MLP adds.
# `losses_from(vectors, tokens, layer)` puts vectors in the place of the stream after a block, runs the rest of the model on them, and gives the losses.


# %%
fast = training.training_loss(exact, heldout[:4])
assert torch.isclose(fast, losses_of(plain_exact, heldout[:4], causal(C - 1)).mean(), rtol=0, atol=1e-9)
B, steps = dictionaries.open_subject(cfg.b), dictionaries.kept_steps(cfg.b)


def without_mlp(subject, tokens, layer=0):
    """Losses when the output of one MLP is zero."""
    middle = subject.activations(tokens, f"blocks.{layer}.hook_resid_mid")
    return subject.losses_from(middle, tokens, layer)


def along_training(config):
    tokens = heldout[:: max(1, len(heldout) // 48)]
    kept = [dictionaries.open_subject(config, step) for step in dictionaries.kept_steps(config)]
    losses = [(model.losses(tokens).mean(), without_mlp(model, tokens).mean()) for model in kept]
    return {"loss": torch.tensor(losses)}  # (checkpoints, 2)


along = memo.memo(along_training, cfg.b)["loss"].numpy().T
seen = np.array(steps) * cfg.b.batch * cfg.b.context
page.save_figure(
    plots.training(seen, {"model B": along[0], "its MLP's output set to zero": along[1]}, unigram, bigram),
    "training",
    {"tokens": seen, "loss": along[0], "without MLP": along[1], "unigram": unigram, "bigram": bigram},
    f"Model B while it is trained ({len(steps)} checkpoints). It begins at ln V = {math.log(V):.1f} nats and "
    "passes the unigram model, then the bigram table. Second curve: the same model without its MLP. The "
    "paper trains on 100 billion tokens of the Pile and shows no such curve.",
)

# %% [markdown]
# The loss passes that of the unigram model first and that of the bigram table later. Now look at the other curve. Without its MLP the model could only
# fall back to what it was before training, one might think, the left end. It gets *worse* than that as training goes on. Section 7 looks for the
# reason.
#
# At the end model B should be better than the best that one previous token can give. The claim is about A and B. Its control is the same model with
# only one token before the guess: how much of this can a network get out of a single token?

# %%
alone = torch.stack([heldout[:, :-1], heldout[:, 1:]], dim=-1).flatten(0, 1)  # contexts of two tokens
after_one = A.losses(dictionaries.spread(alone, 10_000)).mean().item()
models = {"model A": loss, "model B": B.losses(heldout).mean().item()}
page.check(
    "lm.beats-bigram",
    bigram - np.array(list(models.values())),
    control={"model A, given one token": bigram - after_one},
)

# %% [markdown]
# The control is below zero if the model, given one token, does worse than the table of counts. Two possible reasons: only one guess in $C$ of its
# training was of this kind, and what it knows of pairs must fit into $d$ dimensions. Then its lead over the table comes from the tokens further back.
#
# <a id="mlp"></a>
# ## 7 What the MLP is worth
# The paper studies the MLP's neurons, so the MLP must matter for what the model predicts. Three changes to the MLP's output are compared on the same text:
#
# - **zero**: it is left out (the paper's way),
# - **mean**: its mean over all tokens stands in, so that only what differs from token to token is lost,
# - **noise added**: a random vector of the same length is added, a disturbance of the same size that removes nothing.


# %%
def changes(subject, tokens, layer=0):
    """Rise of the loss by each change to one MLP's output, in nats."""
    out = subject.activations(tokens, f"blocks.{layer}.hook_mlp_out")
    middle = subject.activations(tokens, f"blocks.{layer}.hook_resid_mid")
    noise = torch.randn(out.shape, generator=run.generator(0, "noise")).to(out.device)
    noise *= out.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
    given = {"zero": middle, "mean": middle + out.mean(dim=(0, 1)), "noise added": middle + out + noise}
    clean = subject.losses(tokens)
    return {name: (subject.losses_from(h, tokens, layer) - clean).mean().item() for name, h in given.items()}


compared = {"A": A, "B": B, "untrained": dictionaries.open_subject(cfg.b, step=0)}
rises = {name: changes(subject, heldout[::2]) for name, subject in compared.items()}
named = {f"{model}: {change}": rise for model, found in rises.items() for change, rise in found.items()}
page.save_figure(
    plots.ladder(named, list(named)[:2] + list(named)[3:5], "rise of the held-out loss (nats per token)"),
    "mlp",
    rises,
    f"What the MLP is worth in models A (loss {models['model A']:.2f} nats) and B ({models['model B']:.2f}); "
    f"{len(heldout[::2])} held-out contexts. Blue: its output is zero (the paper's way) or its mean. "
    "Grey: a random vector of the same length is added to it, or the model has not been trained.",
)

# %% [markdown]
# Which change is milder, zero or the mean? That differs from model to model: relu neurons are at zero for most tokens, so that their mean is a vector
# that no token has. So a number for "what the MLP is worth" must say which change it means.
#
# The claim takes the smaller of the two rises. Its band lies above what a disturbance of the same size costs.

# %%
page.check(
    "lm.mlp-worth",
    [min(rises[model]["zero"], rises[model]["mean"]) for model in "AB"],
    control={
        "a random vector of the same length added": [rises[model]["noise added"] for model in "AB"],
        "before training": min(rises["untrained"]["zero"], rises["untrained"]["mean"]),
    },
)
for model, full in zip("AB", models.values(), strict=True):
    share = rises[model]["zero"] / (unigram - full)
    print(f"model {model}: zero takes away {share:.0%} of what the model is better than unigram")

# %% [markdown]
# Read the shares that were just printed. Above 100 % the model without its MLP is worse than the unigram model, which reads nothing. To lose all that it
# knew would bring it down to the unigram model at most, so the change must do harm beyond that. A likely reason is the last layer norm. If the MLP
# writes most of the length of the stream (section 8 measures it in the deeper model), then without the MLP the short rest is brought to the usual
# length, and the unembedding reads it as a confident guess. This page does not test that reason; and since the mean does harm too, it may not be the
# only one. In any case zero ablation measures how much the rest of the model *relies* on a part, and not how much could be known without it. A score
# that is a fraction of this number, such as the paper's share of the loss that an SAE recovers, can be high although much is lost: its zero is
# worse than knowing nothing.
#
# <a id="layers"></a>
# ## 8 Four layers: the stream, block by block
# Most pages study a model with four blocks (GPT-2 small has twelve). Nothing is new in it: the same stream, to which eight parts add instead of two.
# How large is the stream after each block, and how much does each part add? And since all blocks read and write the same stream, one can apply the
# unembedding after *any* of them and see what the model would guess if it stopped there. This is called the *logit lens*.

# %%
inside = dictionaries.spread(deep_heldout, 48)
layers = range(len(deep.blocks))


def length_of(site):
    found = [deep.activations(inside, f"blocks.{layer}.{site}") for layer in layers]
    return np.array([vectors.norm(dim=-1).mean().item() for vectors in found])


@torch.no_grad()
def lens(layer):
    logits = deep.unembed(deep.residual(inside, layer)[:, :-1])
    return training.token_losses(logits, inside.to(logits.device)).mean().item()


sites = {"the stream": "resid_post", "added by attention": "attn_out", "added by the MLP": "mlp_out"}
lengths = {name: length_of(f"hook_{site}") for name, site in sites.items()}
lensed = np.array([lens(layer) for layer in layers])
assert abs(lensed[-1] - deep.losses(inside).mean().item()) < 1e-3  # after the last block: the model itself
floor = unigram_losses(deep.tokens("train"), inside, len(deep.unembedding())).mean().item()
page.save_figure(
    plots.layers(lengths, lensed, floor),
    "layers",
    {"lengths": lengths, "lens": lensed, "unigram": floor},
    f"The residual stream of the deep model, {len(layers)} blocks. Left: its length after each block, and "
    "that of what attention and MLP add; look at the first block. Right: the loss if the model stopped there "
    "(logit lens). Blocks are numbered from 1 here. The paper's model has one block and no such figure.",
)

# %% [markdown]
# On the left, compare what the first MLP adds with the length of the stream after block 1: most of the length comes from this one part if the two are
# nearly equal. On the right, a loss below the dashed line after an early block means that the stream holds part of a guess already, in the form in which
# the unembedding reads it; the rest of what is in it is for later blocks. Which *features* of the text are in the stream, and in which directions, cannot
# be read off the $d$ numbers. [Page 8](08_sae_training.ipynb) takes the stream of the model with four blocks after its third block (number 2 when
# counted from 0), trains a sparse autoencoder on these vectors, and puts the autoencoder's output in their place to see how much the loss rises.
#
# (The drawing in the paper that shows the language model beside a long row of "features" can mislead: the features are not a part of the language
# model. The autoencoder that makes them is trained afterwards, on stored vectors.)
#
# <a id="your-turn"></a>
# ## 9 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* Write down the number of parameters of a model of one layer as a formula in $V$, $C$ and $d$. Check it on model A.
#    <details><summary>Hint</summary>Each linear map has a matrix and a bias; each of the three layer norms has two vectors. The unembedding is the embedding
#    again.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    d = plain.wte.weight.shape[1]
#    attention, mlp, norms = 4 * d**2 + 4 * d, 8 * d**2 + 5 * d, 3 * 2 * d
#    expected = V * d + len(plain.wpe.weight) * d + attention + mlp + norms
#    assert expected == sum(weight.numel() for weight in plain.parameters())
#    print(f"{expected:,}, of which {V * d / expected:.0%} are the embedding")
#    ```
#
#    Most of a small model is its embedding. In the block itself the MLP has twice as many parameters as attention.
#    </details>
# 2. *(5 minutes)* Make one hole in the mask: let position 3 see position 5. At which positions do the logits of model A change?
#    <details><summary>Hint</summary>`causal(C)` is a tensor; set one entry to True. Which later part of a model of one layer mixes positions?</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    holed = causal(8)
#    holed[3, 5] = True
#    moved = plain(heldout[:4, :8], holed) - plain(heldout[:4, :8], causal(8))
#    changed = moved.abs().amax(dim=(0, 2)) > 1e-4
#    assert changed.nonzero().flatten().tolist() == [3]
#    ```
#
#    Only at position 3. In a model with more layers, later positions would read position 3 and change too: a hole in the mask leaks further with depth.
#    </details>
# 3. *(5 minutes)* Set the table of positions to zero, and put the tokens before the last one into another order. Does the guess after the last token change?
#    <details><summary>Hint</summary>Attention is a weighted average; does it know in which order the tokens stand, if nothing in the vectors says so?</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    blind = copy.deepcopy(plain_exact)
#    blind.wpe.weight.zero_()
#    tokens = heldout[:4, :8]
#    mixed = tokens[:, [4, 0, 6, 2, 5, 1, 3, 7]]
#    for model, same in ((blind, True), (plain_exact, False)):
#        before, after = (model(part, causal(8))[:, -1] for part in (tokens, mixed))
#        assert torch.allclose(before, after, rtol=0, atol=1e-8) == same
#    ```
#
#    Without positions a model of one layer reads a bag of words. (With more layers the mask alone lets it tell some orders apart.)
#    </details>
# 4. *(10 minutes)* Let model A write 40 tokens after `def `, always taking the likeliest token. What is the loss of the model on its own text, compared with its loss
#    on people's code?
#    <details><summary>Hint</summary>Append the argmax of the last position's logits, again and again.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    written = torch.tensor([[0, *tokenizer("def ")["input_ids"]]])
#    begun = written.shape[1]
#    for _ in range(min(40, C - begun)):
#        best = plain(written, causal(written.shape[1]))[0, -1].argmax()
#        written = torch.cat([written, best.view(1, 1)], dim=1)
#    print(tokenizer.decode(written[0, 1:].tolist()))
#    own = losses_of(plain, written, causal(written.shape[1] - 1))[0, begun - 1 :].mean().item()
#    print(f"{own:.2f} nats on its own text, {loss:.2f} on people's")
#    assert own < loss
#    ```
#
#    Lower: the text that is likeliest step by step is not typical text. Look how soon it repeats itself.
#    </details>
#
# <a id="limits"></a>
# ## 10 Limits
# - The paper trains on 100 billion tokens of the Pile; models A and B see about four million tokens of one kind of text, so each text once or twice.
#   What the paper's model knows of languages, DNA or base64 is not in ours.
# - The paper does not state its tokenizer, heads, context length or kind of positions. Ours are a choice: 4 heads, 128 tokens, learned positions added at the
#   start, as in GPT-2. Section 5 shows that heads hardly matter at this size, not that they matter nowhere.
# - The claims on A and B rest on two trained models, those on masks and heads on five small ones. The small models are trained for some hundred steps:
#   the claims say nothing about what longer training would do.
# - That the leaky model cannot write does not show that it learned nothing: it is asked something that it was not trained for. The diary's model
#   was not asked.
# - That the loss rises without the MLP does not show what the MLP computes, nor that its neurons are the right things to look at. The reason given for
#   a rise beyond the unigram loss is not tested.
# - The unembedding is tied to the embedding here. Many larger models have two matrices.
#
# <a id="checked"></a>
# ## 11 What was checked
# Every claim of this page, with its band and its control.

# %%
page.close()
