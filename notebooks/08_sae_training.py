# %% [markdown]
# # 8. Training a sparse autoencoder, with every item of the recipe checked
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/08_sae_training.ipynb)
#
# **Claim.** A TopK autoencoder finds the directions that are really there. On a language model it reconstructs the residual stream from a
# handful of latents per token, and two items of the recipe, a transposed start and AuxK, decide how many of its latents live.
#
# Paper: Gao et al., *Scaling and evaluating sparse autoencoders* (2024), [section 2 and appendix A](https://arxiv.org/abs/2406.04093).
#
# **Difference to the paper.**
# - At `laptop` the subject is a 4-layer GPT-2 trained on your own Python library, and runs have millions of tokens, not billions.
# - Batches are of thousands of tokens, not 131,072; the learning rate rule is re-anchored, the running mean shortened, and the silence
#   after which a latent counts as dead is scaled down with the run.
# - Added: data whose features are known, so that "found" can be counted.
#
# **Time.** `quick` under half a minute, `laptop` five to six minutes once the subject model exists, `paper` a GPU and a network.

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from companion import ledger, run, study
from companion.evals import reconstruction
from companion.lm.subject import HubConfig
from companion.lm.training import SMALL, TINY, SubjectConfig
from companion.plots import sae as plots
from companion.sae import formats, recipe, stream, train
from companion.sae.models import TopK, normalise
from companion.sae.recipe import TrainConfig
from companion.toy import data as toy_data
from companion.toy import model as toy_model
from companion.toy import train as toy_train

# %% [markdown]
# ## Parameters
# One row per profile. A step of training is `batch` tokens; "dead" means silent for `dead_after_tokens` tokens, which the paper sets to ten
# million and which must shrink with the run.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    features: int  # true features of the planted data
    width: int  # dimensions they share
    density: float  # probability that a feature is active
    samples: int  # vectors of planted data
    toy: toy_train.Schedule  # training of the toy model whose features are looked for
    planted: TrainConfig  # the autoencoder on planted data
    subject: SubjectConfig | HubConfig  # the language model
    layer: int  # block after which its stream is taken: three quarters of the depth
    contexts: int  # training contexts whose activations make the pool
    heldout: int  # held-out contexts for every measurement
    stream: TrainConfig  # the autoencoder on the stream; section 4 takes parts of this recipe away
    seeds: int = 3


cfg = run.choose(
    quick=Config(
        features=64, width=24, density=0.03, samples=10_000, toy=toy_train.Schedule(steps=200, batch=256, rate=1e-2),
        planted=TrainConfig(n=128, k=4, steps=300, batch=512, dead_after_tokens=20_000),
        subject=TINY, layer=0, contexts=600, heldout=64,
        stream=TrainConfig(n=256, k=4, steps=150, batch=512, dead_after_tokens=10_000, lr=1e-2),
    ),
    laptop=Config(
        features=256, width=64, density=0.01, samples=60_000, toy=toy_train.Schedule(steps=1500, batch=512, rate=1e-2),
        planted=TrainConfig(n=512, k=4, steps=1000, batch=1024, dead_after_tokens=50_000),
        subject=SMALL, layer=2, contexts=4000, heldout=256,
        stream=TrainConfig(n=4096, k=16, steps=700, batch=1024, dead_after_tokens=20_000, lr=4e-3),
    ),
    paper=Config(
        features=4096, width=512, density=0.002, samples=2_000_000, toy=toy_train.Schedule(steps=20_000, batch=1024, rate=3e-3),
        planted=TrainConfig(n=8192, k=12, steps=10_000, batch=8192),
        subject=HubConfig("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"), layer=8, contexts=48_000, heldout=2048,
        stream=TrainConfig(n=2**15, k=32, steps=20_000, batch=8192, dead_after_tokens=3_000_000),
    ),
)  # fmt: skip
page = ledger.Page("08_sae_training", paper="Scaling and evaluating sparse autoencoders")
cfg

# %% [markdown]
# ## 1. The model and its space
# Activations are brought to a common length before anything else sees them. With mean $\mu$ and standard deviation $s$ (unbiased) of the
# $d$ entries of one vector $a$,
#
# $$ x = \frac{a - \mu}{s + 10^{-5}}, \qquad |x| = \sqrt{d - 1}. $$
#
# The paper's text has unit length instead; its published weights use this form, and so does everything below: the bias, the metrics, the
# patches.

# %%
acts = 3 + 40 * torch.randn(512, cfg.width, generator=run.stream(0, "examples"))
x, mean, std = normalise(acts)
assert torch.allclose(x.norm(dim=1), torch.tensor(cfg.width - 1.0).sqrt(), rtol=1e-4)
assert torch.allclose(x * std + mean, acts, atol=1e-2)

# %% [markdown]
# The model keeps the $k$ largest of $n$ pre-activations (section 2.3):
#
# $$ z = \mathrm{relu}(\mathrm{TopK}(W_{enc}(x - b_{pre}) + b_{enc})), \qquad \hat x = W_{dec} z + b_{pre}. $$
#
# In the paper's symbols that is four lines. The package never builds the $(B, n)$ code they contain: it selects block by block, gathers $k$
# rows per token, and writes both weight gradients from one sort. Equal values and equal gradients are what make that legitimate.


# %%
def dense(sae, x):
    pre = (x - sae.b_pre) @ sae.W_enc.T + sae.b_enc  # (B, L)
    top = pre.topk(sae.k, dim=1)
    z = torch.zeros_like(pre).scatter(1, top.indices, torch.relu(top.values))
    return z @ sae.W_dec + sae.b_pre  # (B, D)


def gradients(loss, sae):
    return torch.autograd.grad(loss, list(sae.parameters()))


small = TopK.random(cfg.width, 128, 4, run.stream(0, "small")).double()
x64 = x.double()
assert torch.allclose(small(x64), dense(small, x64))
pairs = zip(*(gradients((form(x64) - x64).square().sum(), small) for form in (small, lambda x: dense(small, x))), strict=True)
assert all(torch.allclose(sparse, full, atol=1e-9) for sparse, full in pairs)

# %% [markdown]
# ### The start
# - $b_{pre}$ is the geometric median of the normalised sample: the point with the least total distance to it, where the unit vectors
#   towards all sample points cancel.
# - Decoder rows are uniform on the sphere, and each encoder row is parallel to its decoder row. They are free from then on.
# - The encoder is scaled so that reconstructions are as long as inputs.

# %%
sample = normalise(acts).x
begun = recipe.start(sample, cfg.planted, run.stream(0, "begun"))
away = sample - recipe.geometric_median(sample)
assert (away / away.norm(dim=1, keepdim=True)).mean(0).norm() < 1e-3
assert torch.allclose(torch.cosine_similarity(begun.W_enc, begun.W_dec), torch.ones(begun.n))
lengths = [(v - begun.b_pre).norm(dim=1).mean().item() for v in (begun(sample), sample)]
assert np.isclose(*lengths, rtol=1e-4)

# %% [markdown]
# ### AuxK: what the dead can still do
# Latents that have been silent for long get no gradient from the main loss, because they are never selected. So a second term asks the
# $k_{aux}$ best of *them* to reconstruct what is left, $e = x - \hat x$, with $e$ held fixed (appendix A.2):
#
# $$ \mathcal L_{aux} = \frac{|\hat e - e|^2}{|\bar e - e|^2}, \qquad \hat e = W_{dec}\, z_{dead}, \qquad
#    \mathcal L = \mathcal L_{mse} + \tfrac{1}{32} \mathcal L_{aux}. $$
#
# Two mistakes are common in public code. $\hat e$ must not contain $b_{pre}$, which $\hat x$ has already spent. And the gradient must reach
# $W_{enc}$: a hand-written kernel that drops it trains decoder rows which nothing will ever select.


# %%
def aux_by_hand(sae, x, dead, k_aux, reaching=True):
    e = (x - dense(sae, x)).detach()
    pre = (x - sae.b_pre) @ sae.W_enc[dead].T + sae.b_enc[dead]
    top = (pre if reaching else pre.detach()).topk(min(k_aux, len(dead)), dim=1)
    z = torch.zeros_like(pre).scatter(1, top.indices, torch.relu(top.values))
    return (z @ sae.W_dec[dead] - e).square().sum() / (e.mean(0) - e).square().sum()


dead = torch.arange(0, 128, 3)
ours = gradients(recipe.aux_loss(small, x64, small(x64), dead, 12), small)[0]
theirs = gradients(aux_by_hand(small, x64, dead, 12), small)[0]
dropped = torch.autograd.grad(aux_by_hand(small, x64, dead, 12, reaching=False), small.W_enc, allow_unused=True, materialize_grads=True)[0]
page.claim(
    "sae.auxk-reaches-encoder",
    section="A.2",
    says="the gradient of AuxK with respect to the encoder is that of the formula (projection on it, relative)",
    value=((ours * theirs).sum() / theirs.square().sum()).item(),
    band=(1 - 1e-6, 1 + 1e-6),
    why="an identity, in double precision",
    control=((dropped * theirs).sum() / theirs.square().sum()).item(),
    control_is="pre-activations without a gradient, as in a published kernel",
    control_band=(0, 0),
)

# %% [markdown]
# ## 2. Does it find what is there?
# On a language model nobody knows the true features. Here they are known: sparse non-negative amounts $f$ of more features than dimensions,
#
# $$ a = \sum_i f_i W_i, \qquad f_i > 0 \text{ with a small probability}. $$
#
# Two kinds of $W$: random unit directions, and the weights of a toy model of superposition, which *learned* where to put its features
# (notebook 01). A true feature is *found* if the decoder row matched to it, one row to one feature, has cosine above 0.9.


# %%
def planted_features(config: Config, seed: int) -> dict[str, torch.Tensor]:
    random = torch.randn(config.features, config.width, generator=run.stream(seed, "features"))
    shape = toy_model.Config(config.features, config.width)
    learned = toy_train.fit(shape, torch.tensor([config.density]), [run.stream(seed, "toy model")], config.toy).W[0]
    return {"random directions": torch.nn.functional.normalize(random, dim=1), "a toy model's features": learned}


def planted_activations(W: torch.Tensor, config: Config, seed: int) -> torch.Tensor:
    uniforms = toy_data.draw(config.features, config.samples, run.stream(seed, "amounts"))
    acts = toy_data.conditional(uniforms, torch.tensor([config.density]))[0] @ W
    return acts[acts.norm(dim=1) > 1e-3]


# %% [markdown]
# Three controls get the same measurement: the autoencoder before its first step, a random dictionary of the same size, and the principal
# directions of the data with both signs. The last is the serious one: it is the best *linear* description, and superposition should defeat
# it.


# %%
def controls(acts: torch.Tensor, config: Config, seed: int) -> dict[str, torch.Tensor]:
    x = normalise(acts).x
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh
    shape = (config.planted.n, config.width)
    untrained = recipe.start(x, config.planted, run.stream(seed, "sae")).W_dec
    return {"before training": untrained, "random": torch.randn(shape, generator=run.stream(seed, "random")), "PCA": torch.cat([axes, -axes])}


def recover(config: Config) -> dict:
    found = {}
    for seed in range(config.seeds):
        for kind, W in planted_features(config, seed).items():
            acts = planted_activations(W, config, seed)
            batches = stream.shuffled(acts, config.planted.batch, config.planted.steps, run.stream(seed, "order"))
            sae, _, last = train.fit(batches, config.planted, acts, run.stream(seed, "sae"))
            x = normalise(acts[:20_000]).x
            found |= {f"mse/{which}/{seed}": reconstruction.normalised_mse(x, m(x).detach()) for which, m in (("averaged", sae), ("last", last))}
            for name, rows in ({"trained": sae.W_dec} | controls(acts, config, seed)).items():
                found[f"{kind}/{name}/{seed}"] = torch.from_numpy(reconstruction.recovery(rows.detach(), W))
    return found


cosines = run.memo(recover, cfg)

# %% [markdown]
# If the recipe works, the trained line below stays near one for almost all features and the others stay far away from it.

# %%
FOUND = 0.9
KINDS, DICTIONARIES = ("random directions", "a toy model's features"), ("trained", "before training", "random", "PCA")
first_seed = [{name: cosines[f"{kind}/{name}/0"].numpy() for name in DICTIONARIES} for kind in KINDS]
page.save_figure(plots.recovery(first_seed, KINDS, FOUND), "recovery", {"threshold": FOUND, "cosines": dict(zip(KINDS, first_seed, strict=True))})

# %% [markdown]
# Counted over seeds, with the best of the three controls of each seed against it:


# %%
def share_found(kind, name):
    return [(cosines[f"{kind}/{name}/{seed}"] > FOUND).double().mean().item() for seed in range(cfg.seeds)]


for kind, short in zip(KINDS, ("random", "toy"), strict=True):
    page.claim(
        f"sae.recovers-{short}",
        section="2.3 (data of ours)",
        says=f"the share of true features found with cosine above 0.9: {kind}",
        value=share_found(kind, "trained"),
        band=(0.9, 1),
        why="nine in ten; pilots over three seeds with twice as many latents as features were above this",
        control=[max(share_found(kind, name)[seed] for name in DICTIONARIES[1:]) for seed in range(cfg.seeds)],
        control_is="the best of: before training, random dictionary, PCA",
        control_band=(0, 0.2),
    )

# %% [markdown]
# The controls are not at zero cosine: among that many rows one is always somewhat near. That is why a threshold far above their best is
# used, and why a mean cosine would flatter everybody. What is missed are features that lie close to another one, or that are short in the
# toy model.

# %% [markdown]
# ## 3. On a language model
# The same recipe on the residual stream of the subject model, all positions, three seeds. Only the rate is set by hand: it was swept for
# this short run, and its optimum lay inside the sweep. For other sizes `recipe.learning_rate` has the paper's rule.


# %%
def stream_pool(config: Config) -> torch.Tensor:
    sub = study.open_subject(config.subject)
    return sub.pool(sub.tokens("train")[: config.contexts], f"blocks.{config.layer}.hook_resid_post", run.stream(0, "pool"))


def trained_on(pool: torch.Tensor, recipe: TrainConfig, seed: int) -> train.Trained:
    batches = stream.shuffled(pool, recipe.batch, recipe.steps, run.stream(seed, "stream order"))
    return train.fit(batches, recipe, pool[: recipe.median_sample], run.stream(seed, "stream sae", device=run.device()))


def train_on_stream(config: Config) -> dict:
    pool, made = stream_pool(config), {}
    for seed in range(config.seeds):
        trained = trained_on(pool, config.stream, seed)
        begun = recipe.start(normalise(pool[:4096]).x, config.stream, run.stream(seed, "begun", device=run.device()))
        for which, sae in (("averaged", trained.sae), ("last", trained.last), ("untrained", begun)):
            made |= {f"{which}/{seed}/{name}": tensor for name, tensor in sae.tensors().items()}
        made |= {f"history/{seed}/{name}": torch.from_numpy(values) for name, values in trained.history.items()}
    return made


weights = run.memo(train_on_stream, cfg)


def trained_sae(which, seed):
    tensors = {name: weights[f"{which}/{seed}/{name}"] for name in ("W_enc", "W_dec", "b_enc", "b_pre")}
    return TopK.from_tensors(tensors, k=cfg.stream.k).to(run.device()).requires_grad_(False)


# %% [markdown]
# The measure is the normalised MSE on held-out text,
#
# $$ \frac{\sum |x - \hat x|^2}{\sum |x - \bar x|^2}, $$
#
# with its two anchors checked first: the identity has none of it, the mean has exactly one.


# %%
def heldout(config: Config):
    sub = study.open_subject(config.subject)
    tokens = sub.tokens("heldout")[: config.heldout]
    return sub, tokens, sub.residual(tokens, config.layer)


sub, tokens, stream = heldout(cfg)
x = normalise(stream).x  # (N, T, D)
average = x.mean(dim=(0, 1)).expand_as(x)
assert reconstruction.normalised_mse(x, x) == 0
assert np.isclose(reconstruction.normalised_mse(x, average), 1)


def reconstructed(sae):
    return sae(x.flatten(0, 1)).view_as(x)


def errors(which):
    return [reconstruction.normalised_mse(x, reconstructed(trained_sae(which, seed))) for seed in range(cfg.seeds)]


site = f"blocks.{cfg.layer}.hook_resid_post"
mse = {which: errors(which) for which in ("averaged", "last", "untrained")}

# %% [markdown]
# The curve should fall fast and then slowly, seeds should agree, and dead latents should appear as soon as any can be counted and then
# decline as AuxK revives them.

# %%
histories = [{name: weights[f"history/{seed}/{name}"].numpy() for name in ("tokens", "mse", "dead")} for seed in range(cfg.seeds)]
page.save_figure(plots.training_curves(histories, mse["averaged"]), "training", {"histories": histories, "heldout": mse})

# %% [markdown]
# The dots are held-out text. They lie on the end of the training curve if the pool was large enough not to be learned by heart.

# %%
page.claim(
    "sae.reconstructs",
    section="2.1",
    says="a few latents per token reconstruct the stream: normalised MSE on held-out text",
    value=mse["averaged"],
    band=(0, 0.25),
    why="the paper has 0.2 to 0.6 for a far larger stream; pilots here were at 0.05, and a model of other sources may be harder",
    control=[*mse["untrained"], reconstruction.normalised_mse(x, average)],
    control_is="the same model before training; and the mean alone, exactly 1",
)

# %% [markdown]
# ### Averaged or last weights
# At a constant learning rate the last weights still jitter. The paper evaluates a running mean of them, corrected for having started at
# zero. The ratio of the two errors says what that is worth; the control forgets the correction, for a mean over as long as the run.

# %%
forgotten = []
for seed in range(cfg.seeds):
    sae = trained_sae("averaged", seed)
    for parameter in sae.parameters():
        parameter.mul_(1 - np.exp(-1))
    forgotten.append(reconstruction.normalised_mse(x, reconstructed(sae)))
page.claim(
    "sae.average",
    section="A.1",
    says="averaged weights reconstruct better than the last ones (ratio of their errors)",
    value=np.divide(mse["averaged"], mse["last"]),
    band=(0, 1 - 1e-3),
    why="any gain counts; pilots had 0.93 to 1.01, the less the lower the rate",
    control=np.divide(forgotten, mse["last"]),
    control_is="the running mean without its correction",
    open_because="in a short run at a low rate the weights still improve faster than they jitter, and a mean lags behind",
    witness=[cosines[f"mse/averaged/{seed}"] / cosines[f"mse/last/{seed}"] for seed in range(cfg.seeds)],
    witness_is="the planted data, where training has come to its end",
)

# %% [markdown]
# ### Does the model still work on the reconstruction?
# An error of some per cent can be harmless or fatal, depending on where it lies. So the reconstruction is put in place of the stream, at
# every position, and the model predicts on. Two ablations give the scale: the stream set to zero, as is usual, and to its mean.


# %%
def replaced_losses(config: Config) -> dict:
    """Loss of each token with the stream replaced by several things; all on the same tokens."""
    sub, tokens, stream = heldout(config)
    mean = stream.mean(dim=(0, 1)).expand_as(stream)
    made = {"clean": sub.losses(tokens), "zero": sub.losses_from(torch.zeros_like(stream), tokens, config.layer)}
    made |= {"mean": sub.losses_from(mean, tokens, config.layer), "identity": sub.losses_from(stream, tokens, config.layer)}
    for seed in range(config.seeds):
        for which in ("averaged", "untrained"):
            made[f"{which}/{seed}"] = sub.losses_from(trained_sae(which, seed).reconstruct(stream), tokens, config.layer)
        dealt = torch.randperm(len(stream), generator=run.stream(seed, "dealt")).to(stream.device)
        made[f"dealt/{seed}"] = sub.losses_from(trained_sae("averaged", seed).reconstruct(stream)[dealt], tokens, config.layer)
    return made


losses = run.memo(replaced_losses, cfg)
assert torch.allclose(losses["identity"], losses["clean"], atol=1e-3)

# %% [markdown]
# Shown below: the trained model; the same before training; its reconstructions dealt out to other contexts, which have the right
# distribution and carry nothing about this text; and the two ablations. The dealt ones are the control.

# %%
names = {"averaged": "trained SAE", "untrained": "untrained SAE", "dealt": "of another context"}
shown = {name: [losses[f"{which}/{seed}"].mean().item() for seed in range(cfg.seeds)] for which, name in names.items()}
shown |= {"mean": [losses["mean"].mean().item()], "zero": [losses["zero"].mean().item()]}
page.save_figure(plots.loss_when_replaced(shown, losses["clean"].mean().item()), "loss", {"clean": losses["clean"].mean().item()} | shown)


def recovered(which):
    return [reconstruction.loss_recovered(losses["clean"], losses[f"{which}/{seed}"], losses["mean"]) for seed in range(cfg.seeds)]


# %%
page.claim(
    "sae.loss-recovered",
    section="4.1",
    says="the share of the loss that mean ablation costs and the reconstruction does not",
    value=recovered("averaged"),
    band=(0.8, 1.05),
    why="the paper recovers 0.98 against the easier zero ablation; four fifths is asked for against the mean, and noise may pass 1",
    control=recovered("dealt"),
    control_is="the same reconstructions, dealt out to other contexts",
)

# %% [markdown]
# The share is against the *mean*, the harder anchor. Note how well the untrained model does: with parallel encoder and decoder rows of the
# right length, even random directions carry part of the stream. It is a baseline to beat, not a model that must fail. Notebook 10 asks what
# the rest is worth in compute.

# %% [markdown]
# ### Where in the context?
# The paper finds later positions harder (figure 29). In GPT-2 position 0 is a case of its own, with a vector a hundred times as long as the
# others; without normalisation it would decide the whole error. It is therefore shown apart, and left out of the rank correlation between
# position and error.

# %%
positions = np.array([reconstruction.by_position(x, reconstructed(trained_sae("averaged", seed))).cpu().numpy() for seed in range(cfg.seeds)])
assert np.allclose(positions.mean(axis=1), mse["averaged"])
page.save_figure(plots.error_by_position(positions, mse["averaged"]), "by_position", {"errors": positions})

# %% [markdown]
# Whether later positions are harder can depend on the subject: a context says more the longer it is, but only to a model that uses it. The
# sentence is therefore allowed to fall, and a witness shows that it could have stood: the error of answering the mean, which rises if the
# stream itself spreads with position.

# %%
rank = np.arange(1, positions.shape[1])
mixed = [torch.randperm(len(rank), generator=run.stream(seed, "positions")).numpy() for seed in range(cfg.seeds)]
page.claim(
    "sae.later-is-harder",
    section="appendix, figure 29",
    says="later positions are harder to reconstruct (rank correlation of error and position, from position 1 on)",
    value=[spearmanr(rank, errors[1:]).statistic for errors in positions],
    band=(0.4, 1),
    why="with this many positions a chance correlation stays below 0.3",
    control=[spearmanr(rank, errors[1:][order]).statistic for errors, order in zip(positions, mixed, strict=True)],
    control_is="the same errors with positions exchanged",
    open_because="a small model with short contexts may make little of a late position",
    witness=spearmanr(rank, reconstruction.by_position(x, average).cpu()[1:]).statistic,
    witness_is="the error of the mean alone at each position",
    needs="laptop",
)

# %% [markdown]
# ## 4. What keeps latents alive
# The paper reports up to 90 % dead latents without mitigation and 7 % with both remedies at its largest size. Four arms, same data and
# order: encoder rows start parallel to decoder rows or in independent directions, and AuxK is on or off. The models of section 3 are the
# arm that has both. We expect their dead latents to be revived and those of the bare recipe to pile up.

# %%
REMOVED = {"AuxK only": dict(transposed_start=False), "transposed start only": dict(aux_k=0), "neither": dict(transposed_start=False, aux_k=0)}


def other_arms(config: Config) -> dict:
    pool, made = stream_pool(config), {}
    x = normalise(heldout(config)[2]).x.flatten(0, 1)
    for arm, removed in REMOVED.items():
        for seed in range(config.seeds if arm == "neither" else 1):  # one seed shows what either remedy does alone
            recipe = dataclasses.replace(config.stream, **removed)
            sae, history, _ = trained_on(pool, recipe, seed)
            made[f"{arm}/{seed}/dead"] = torch.from_numpy(history["dead"])
            made[f"{arm}/{seed}/never"] = reconstruction.dead(reconstruction.firing_counts(sae.encode(x), recipe.n))
    return made


arms = run.memo(other_arms, cfg)

# %% [markdown]
# Left: the share that is dead by the run's own count. Right: latents silent on all of the held-out text, a measure in which AuxK had no
# part. The right one is larger, because held-out text is short and a rare latent is not a dead one.

# %%
seeds_of = {arm: range(cfg.seeds if arm == "neither" else 1) for arm in REMOVED}
counts = [reconstruction.firing_counts(trained_sae("averaged", seed).encode(x.flatten(0, 1)), cfg.stream.n) for seed in range(cfg.seeds)]
dead = {"both": np.array([history["dead"] for history in histories])}
dead |= {arm: np.array([arms[f"{arm}/{seed}/dead"].numpy() for seed in seeds]) for arm, seeds in seeds_of.items()}
never = {"both": [reconstruction.dead(count) for count in counts]}
never |= {arm: [arms[f"{arm}/{seed}/never"] for seed in seeds] for arm, seeds in seeds_of.items()}
figure = plots.dead_latents(histories[0]["tokens"], dead, cfg.stream.dead_after_tokens, never)
page.save_figure(figure, "dead_latents", {"dead": dead, "never": never, "threshold": cfg.stream.dead_after_tokens})

# %% [markdown]
# The claims use the run's own count. "Few" is the paper's figure for its largest model, after ten thousand times as many tokens: whether the
# revival gets as far in a short run is open. The witness is a dictionary with an eighth of the latents at the paper's learning rate, which the
# stream keeps busy. "Many times more" is less than what the paper reports, because a short run has not had the time to kill as many.


# %%
def fewer_latents(config: Config) -> dict:
    recipe = dataclasses.replace(config.stream, n=config.stream.n // 8, lr=None)
    return {"dead": float(trained_on(stream_pool(config), recipe, 0)[1]["dead"][-1])}


final = {arm: values[:, -1] for arm, values in dead.items()}
floor = 1 / cfg.stream.n  # one latent
page.claim(
    "sae.few-dead",
    section="2.4",
    says="with a transposed start and AuxK few latents are dead (7 % in the paper's largest model)",
    value=final["both"],
    band=(0, 0.07),
    why="the paper's 7 %",
    control=final["neither"],
    control_is="neither remedy",
    open_because="revival takes tokens, and a short run has few; latents count as dead after a short silence",
    witness=run.memo(fewer_latents, cfg)["dead"],
    witness_is="a dictionary with an eighth of the latents",
    needs="laptop",
)
page.claim(
    "sae.remedies",
    section="2.4",
    says="without the two remedies many times more latents are dead (ratio)",
    value=final["neither"] / np.maximum(final["both"], floor),
    band=(3, np.inf),
    why="90 % against 7 % in the paper is a factor of 13; three is asked for at this size",
    control=np.roll(final["both"], 1) / np.maximum(final["both"], floor),
    control_is="both remedies against both remedies, another seed",
    needs="laptop",
)

# %% [markdown]
# ## 5. On disk
# A trained model is worth as much as what is known about it. It is written in the layout SAELens reads, with the model, the site, the
# tokens, the seed and the error beside it, and opening it for another width, site or model is refused.

# %%
best = trained_sae("averaged", 0)
origin = dict(model_name=sub.name, hook_name=site, layer=cfg.layer, tokens=cfg.stream.steps * cfg.stream.batch, seed=0)
origin |= dict(normalised_mse=mse["averaged"][0], dead_share=float(histories[0]["dead"][-1]))
with tempfile.TemporaryDirectory() as folder:
    formats.save(best, Path(folder) / "sae", origin)
    again = formats.load(Path(folder) / "sae", d_model=sub.d_model, hook_name=site, model_name=sub.name).to(run.device())
    assert torch.equal(again.reconstruct(stream[:2]), best.reconstruct(stream[:2]))
    try:
        formats.load(Path(folder) / "sae", hook_name="blocks.0.hook_mlp_out")
        raise AssertionError("another site was accepted")
    except formats.FormatError as refusal:
        print(str(refusal).replace(folder, "..."))

# %% [markdown]
# ## What this page does not show
# - Numbers on GPT-2 at the paper's sizes: the `paper` row asks for them, on a GPU with a network.
# - That the latents mean anything. Notebooks 12 to 14 ask that; a low error alone is no evidence.
# - Errors here are of one small model on one kind of text, and do not compare with the paper's curves. Notebook 09 varies $n$, $k$ and
#   compute.
#
# ## Claims

# %%
page.close()
