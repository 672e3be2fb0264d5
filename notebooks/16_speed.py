# %% [markdown]
# # 16. Why a training step is fast: operations, bytes, and what a clock says
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/16_speed.ipynb)
#
# **Pages** [← 15b. A model that explains its own features](15b_self_explanation.ipynb) · [Start here](00_start_here.ipynb)
#
# A sparse autoencoder (SAE) has thousands of latents, but uses only a few for each token. A training step written with plain matrix products
# computes all of them anyway. On this page you leave out the products with zeros, see that the results stay the same, and find out how much time
# and memory that saves, and what is then the slowest part.
#
# **You will** count the operations of a step before and after · find the $k$ largest numbers of a row without sorting it · write the sparse
# products in three lines each · compare what the count promises with what a clock says · see what selecting in low precision costs.
#
# **Needs** the SAE of [page 8](08_sae_training.ipynb#model) and its [training loop](08_sae_training.ipynb#training). **Takes** one or two
# minutes at `laptop` on two cores, of which it uses one ([start here](00_start_here.ipynb#profiles) has the other profiles).
#
# **Paper** Gao et al. 2024, *Scaling and evaluating sparse autoencoders*, [appendix on kernels](https://arxiv.org/abs/2406.04093).
#
# **On this page** [1 Count before you measure](#count) · [2 Leave out what is zero](#same) · [3 What a clock says](#clock) · [4 Memory](#memory) · [5 Select in low precision](#low) · [6 Beside other libraries, as recorded](#libraries) · [7 Two processes, and other libraries' files, as recorded](#company) · [8 Your turn](#your-turn) · [9 Limits](#limits) · [10 What was checked](#checked)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import json
from dataclasses import dataclass

import numpy as np
import torch

from companion import claims, memo, run
from companion.evals import cost
from companion.plots import speed as plots
from companion.plots import widgets
from companion.sae import kernels, paths, train
from companion.sae.models import Code, TopK, normalise
from companion.sae.recipe import TrainConfig, constrain_decoder
from companion.toy import planted

claims.opening("16_speed")

# %% [markdown]
# The parameters, one set per profile. Everything is counted in steps and repeats; no cell runs for a set time.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    step: cost.Step  # the step that is taken apart
    ranked: cost.Step  # sizes at which n / k is varied; its k is not used
    ratios: tuple[int, ...]  # n / k of the whole steps that are timed
    selected: tuple[int, int]  # rows and columns of the table in which selection is timed
    kept_shares: tuple[int, ...]  # n / k of the selections that are timed
    widths: tuple[int, ...]  # n at which memory is measured
    repeats: int
    features: int  # true features of the planted data
    density: float  # probability that a feature is active
    trained: TrainConfig  # the autoencoder on it
    seeds: int = 5


cfg = run.choose(
    quick=Config(
        step=cost.Step(B=256, d=64, n=1024, k=8), ranked=cost.Step(B=128, d=64, n=1024, k=1),
        ratios=(2, 64, 128), selected=(64, 4096), kept_shares=(4, 512), widths=(512, 1024), repeats=3,
        features=128, density=0.03,
        trained=TrainConfig(n=256, k=4, steps=40, batch=256, dead_after_tokens=20_000, log_every=2),
    ),
    laptop=Config(
        step=cost.Step(B=2048, d=128, n=8192, k=32), ranked=cost.Step(B=512, d=128, n=4096, k=1),
        ratios=(2, 4, 8, 16, 32, 64, 128, 256, 512), selected=(512, 16384),
        kept_shares=(4, 16, 64, 256, 512, 1024), widths=(2048, 4096, 8192, 16384), repeats=5,
        features=512, density=0.012,
        trained=TrainConfig(n=1024, k=8, steps=150, batch=512, dead_after_tokens=50_000, log_every=2),
    ),
    paper=Config(
        step=cost.Step(B=8192, d=128, n=16384, k=32), ranked=cost.Step(B=2048, d=768, n=32768, k=1),
        ratios=(2, 8, 32, 64, 128, 256, 512, 1024), selected=(2048, 32768),
        kept_shares=(4, 16, 64, 256, 512, 1024), widths=(4096, 16384, 65536), repeats=9,
        features=4096, density=0.002,
        trained=TrainConfig(n=16384, k=32, steps=2000, batch=8192, dead_after_tokens=1_000_000),
    ),
)  # fmt: skip
page = claims.Page("16_speed", cfg)
cfg

# %% [markdown]
# Claims about time need a quiet machine. They are judged from what the command `make bench` recorded, which is read here; the machine is printed.
# Without these files, as in Colab, they are not judged and the page says so.


# %%
def read_record(name):
    path = run.project_root() / "figures" / "16_speed" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def sizes(**symbols):
    shown = {symbol: size for symbol, size in symbols.items() if symbol not in ("k_aux", "s")}
    return ", ".join(f"{symbol} = {size:,}" for symbol, size in shown.items())


record, sweeps = read_record("bench"), read_record("sweeps")
scaling, files = read_record("weak_scaling"), read_record("interop")
for name, held in {"steps": record, "sweeps": sweeps}.items():
    machine = held["machine"] if held else {"cpu": "no record, run `make bench`", "date": ""}
    print(f"{name}: {machine['cpu']} {machine['date']}")

# %% [markdown]
# <a id="count"></a>
# ## 1 Count before you measure
# $B$ tokens of width $d$ go through an SAE of $n$ latents, of which $k$ are kept per token. The product of a $(B, d)$ and a $(d, n)$ matrix takes
# $2Bdn$ operations: for each of its $Bn$ entries $d$ products and $d$ sums. A training step has five products of that size:
#
# | product | dense | with $k$ kept latents |
# |---|---|---|
# | encoder: pre-activations $x W_{enc}^\top$ | $2Bdn$ | $2Bdn$ |
# | decoder: $\hat x = z W_{dec}$ | $2Bdn$ | $2Bdk$ |
# | gradient of the code: $dL/dz = g\, W_{dec}^\top$ | $2Bdn$ | $2Bdk$ |
# | gradients of $W_{dec}$ and of $W_{enc}$ | $2 \cdot 2Bdn$ | $2 \cdot 2Bdk$ |
#
# Only the encoder has to look at every latent, to know which are largest. In all others the code $z$, or its gradient, is zero but for $k$ entries
# per token. At the sizes of the next cell, those of the paper's training, that is 32 of 32,768 entries.
#
# A sparse step can take five times fewer operations at best, since one of five products stays. (If latents die, the AuxK loss of
# [page 8](08_sae_training.ipynb#training) adds $8Bdn$ to the dense count and $8Bdk_{aux}$ to the sparse one.) But numbers also have to be
# fetched from memory and written back. So the cell counts the operations, and then the bytes of the pre-activations and of the optimiser, Adam.


# %%
def operations(B, d, n, k):
    return 5 * 2 * B * d * n, 2 * B * d * n + 4 * 2 * B * d * k  # dense, sparse


at_scale = cost.Step(B=131_072, d=768, n=32_768, k=32, s=2)
by_hand = operations(*at_scale[:4])
by_package = [sum(parts.values()) for parts in (at_scale.dense_flops(), at_scale.sparse_flops())]
for_b_pre = 2 * at_scale.n * at_scale.d  # the gradient of the bias b_pre, once per batch, in both
assert [count + for_b_pre for count in by_hand] == by_package
print(f"{sizes(**at_scale._asdict())}: {by_hand[0] / by_hand[1]:.2f} times fewer operations")

stored = sum(at_scale.sparse_bytes(fused=False).values()) - sum(at_scale.sparse_bytes().values())
print(f"pre-activations, written and read back at two bytes each: {stored / 1e9:.1f} GB")
adam = at_scale.sparse_bytes()["Adam"]
print(f"what Adam reads and writes, in float32: {adam / 1e9:.2f} GB, whatever B is")

# %% [markdown]
# Change $n$ and $k$ and see which operations are left. We expect the sparse bar to be a fifth of the dense one while $k$ is small against $n$, and
# as long as the dense one if every latent is kept. The second picture shows the sizes of this page.


# %%
def count_at(log2_of_n, k):
    step = cost.Step(B=cfg.step.B, d=cfg.step.d, n=2**log2_of_n, k=k)
    if k > step.n:
        raise ValueError(f"k = {k} latents cannot be kept out of n = {step.n}")
    parts = {"dense": step.dense_flops(), "sparse": step.sparse_flops()}
    parts = {form: {name: flops / 1e9 for name, flops in of.items() if flops} for form, of in parts.items()}
    return plots.parts(parts, f"10⁹ operations of one step, by the formula\n({sizes(**step._asdict())})")


widgets.live(count_at, log2_of_n=widgets.Slider(8, 16, 13), k=widgets.Slider(1, 1024, 32))

counts = {"dense": cfg.step.dense_flops(), "sparse": cfg.step.sparse_flops()}
page.save_figure(
    count_at(int(np.log2(cfg.step.n)), cfg.step.k),
    "operations",
    {form: {name: flops / 1e9 for name, flops in parts.items()} for form, parts in counts.items()},
    "Compare the coloured parts of the two bars: only the encoder's product (grey) is left in the sparse "
    "step; the other four are there, too thin to be seen. Counted by the formula, not measured. The paper "
    "counts in the same way and has no such figure.",
)

# %% [markdown]
# Is the formula what the code does? This is the dense step. (The gradient of $b_{pre}$ is made cheap by hand, since the bias is the same for every
# token. Left to autograd, $x - b_{pre}$ costs a sixth product.)


# %%
def dense(sae, x, indices=None):
    pre = x @ sae.W_enc.T + (sae.b_enc - sae.W_enc @ sae.b_pre)  # (B, n)
    indices = pre.topk(sae.k, dim=1).indices if indices is None else indices
    z = torch.zeros_like(pre).scatter(1, indices, torch.relu(pre.gather(1, indices)))
    return z @ sae.W_dec + sae.b_pre  # (B, d)


# %%
def backward(sae, x_hat, x):
    sae.zero_grad()
    (x_hat - x).square().sum().backward()


def example(step, seed=0):
    sae = TopK.random(step.d, step.n, step.k, run.generator(seed, "weights"))
    return sae, normalise(torch.randn(step.B, step.d, generator=run.generator(seed, "inputs"))).x


sae, x = example(cfg.step)
assert torch.allclose(sae(x[:64]), dense(sae, x[:64]), atol=1e-4)

# %% [markdown]
# torch can count the operations of the products that it computes (`cost.counted_flops` also tells it that gathering $N$ rows of width $d$ and summing
# them takes $2Nd$). Both counts must equal the formula exactly, up to two small terms for the biases. torch does not count products of a matrix
# with a single vector, which is how the dense form treats $b_{pre}$. And the sparse form treats $b_{enc}$ as the weights of one more input that
# is always 1, which adds $2B(n+k)$. Beside them stands a form that selects a sparse code but decodes it as a matrix, as many libraries do
# (`halfway`).


# %%
def halfway(sae, x):
    return kernels.weighted_gather_reference(*sae.encode_normalised(x), sae.W_dec) + sae.b_pre


def counted(form, step):
    sae, x = example(step)
    return cost.counted_flops(lambda: backward(sae, form(sae, x), x))


few = cfg.step._replace(B=256)  # a count needs no large batch
all_forms = {"dense": dense, "halfway": halfway, "sparse": lambda sae, x: sae(x)}
for step in (few, few._replace(k=2 * few.k), few._replace(d=2 * few.d)):
    count = {name: counted(form, step) for name, form in all_forms.items()}
    assert count["dense"] == sum(step.dense_flops().values()) - step.dense_flops()["dL/db_pre"]
    assert count["sparse"] == sum(step.sparse_flops().values()) + 2 * step.B * (step.n + step.k)
    fewer = [f"{name} {count['dense'] / count[name]:.2f} times fewer" for name in ("halfway", "sparse")]
    print(f"{sizes(**step._asdict())}:", *fewer, sep="  ")

# %% [markdown]
# <a id="same"></a>
# ## 2 Leave out what is zero
# Nothing is approximated on this page until section 5. First the selection. To sort a row of $n$ numbers for its $k$ largest is wasteful. Split
# the row into groups and take the maximum of each. The $k$ groups with the largest maxima must hold the $k$ largest numbers: any number in
# another group is no larger than the maximum of its group, and so no larger than each of the $k$ maxima.
#
# The package's `kernels.top_k` goes one step further: the $k$-th largest maximum is a bound that few numbers reach, and only these are ranked. It
# must return the same numbers, and their places in the row.


# %%
def top_k_by_groups(table, k, group=32):
    groups = table.view(len(table), -1, group)  # (rows, n / group, group)
    best = groups.amax(dim=2).topk(k).indices  # (rows, k): the groups with the largest maxima
    members = groups.gather(1, best[..., None].expand(-1, -1, group)).flatten(1)  # (rows, k * group)
    return members.topk(k).values


table = torch.randn(16, 4096, generator=run.generator(0, "table"))
assert torch.equal(top_k_by_groups(table, 16), table.topk(16).values)
print(f"torch.topk ranks 4,096 numbers of a row, this form {4096 // 32} maxima and {16 * 32} members")

values, indices = kernels.top_k(table, 16)  # (rows, k) each
assert torch.equal(values.sort(1).values, table.topk(16).values.sort(1).values)
assert torch.equal(table.gather(1, indices), values)

# %% [markdown]
# Next the products with the code $z$, which is given by `values` and `indices`. To decode, fetch the $k$ rows of $W_{dec}$ and add them up. For the
# gradient of $z$, multiply the same rows with the gradient $g$ of the loss with respect to $\hat x$. For the gradient of $W_{dec}$, add $z_i g$ to
# row $i$ for each token that uses latent $i$.

# %%
z, n = values.double(), table.shape[1]
W = torch.randn(n, 8, dtype=torch.double, generator=run.generator(1, "rows"))  # (n, d)
g = torch.randn(16, 8, dtype=torch.double, generator=run.generator(0, "rows"))  # (B, d)
x_hat = (z[..., None] * W[indices]).sum(1)  # (B, d)
dz = (g[:, None] * W[indices]).sum(2)  # (B, k)
dW = torch.zeros_like(W).index_add(0, indices.flatten(), (z[..., None] * g[:, None]).flatten(0, 1))  # (n, d)

as_matrix = torch.zeros(16, n, dtype=torch.double).scatter(1, indices, z)  # (B, n)
assert torch.allclose(x_hat, as_matrix @ W)
assert torch.allclose(dz, (g @ W.T).gather(1, indices))
assert torch.allclose(dW, as_matrix.T @ g)

# %% [markdown]
# Written like this, each product makes an array of $(B, k, d)$ numbers in memory. The package's forms compute the same sums without this array. They
# sort the $Bk$ pairs of a token and a latent by latent, once, so that the gradient of $W_{dec}$ fetches and adds rows too.

# %%
by = kernels.ByLatent(indices, n)
assert torch.allclose(kernels.weighted_gather(indices, z, W), x_hat)
assert torch.allclose(kernels.gathered_dot(indices, W, g), dz)
assert torch.allclose(kernels.transposed_gather(by, z, g), dW)

# %% [markdown]
# Now the whole step: the gradients of all four parameters must equal those of autograd through the dense form. Both forms get the same selection,
# because in float32 two nearly equal numbers may be ranked either way. The control is a mistake that is easily made in such a kernel: it returns no
# gradient to the encoder. We expect the largest relative distance to be rounding, and that of the mistake to be far larger.


# %%
def gradients(form, sae, x):
    backward(sae, form(sae, x), x)
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in sae.parameters()]


def drops_encoder(sae, x):
    code = sae.encode_normalised(x)
    return sae.decode_normalised(Code(code.indices, code.values.detach()))


def farthest(form, seed, dtype):
    sae, x = example(cfg.ranked._replace(k=16), seed)
    sae, x = sae.to(dtype), x.to(dtype)
    slow = gradients(lambda sae, x: dense(sae, x, sae.encode_normalised(x).indices), sae, x)
    pairs = zip(gradients(form, sae, x), slow, strict=True)
    return max(((fast - slow).norm() / slow.norm()).item() for fast, slow in pairs)


for dtype, limit in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
    assert farthest(lambda sae, x: sae(x), 0, dtype) < limit
    assert farthest(drops_encoder, 0, dtype) > 0.1

# %% [markdown]
# <a id="clock"></a>
# ## 3 What a clock says
# To time two forms on a machine that does other things too, let them take turns, drop the first round, and take medians of the ratios within a
# round. A step here is forward, backward, decoder rows back to length 1 and Adam, for both forms. The pictures of this section show this run;
# claims are judged from the rounds that `make bench` recorded.
#
# **Selection first**: when the other four products are gone, it takes the largest part of the time beside the encoder. Groups help where few numbers
# are kept. At $k = n/4$ most groups hold some of these, so the function calls `torch.topk` instead and the ratio is about one.


# %%
def whole_step(form, sae, x):
    adam = torch.optim.Adam(sae.parameters(), lr=1e-4, fused=True)

    def take():
        backward(sae, form(sae, x), x)
        constrain_decoder(sae)
        adam.step()

    return take


def selection_ratio(kept_share):
    rows, n = cfg.selected
    scores, k = torch.randn(rows, n, generator=run.generator(kept_share, "scores")), n // kept_share
    assert torch.equal(kernels.top_k(scores, k)[0].sort(1).values, scores.topk(k).values.sort(1).values)
    calls = {"torch": lambda: scores.topk(k, dim=1, sorted=False), "ours": lambda: kernels.top_k(scores, k)}
    seconds = cost.by_turns(calls, cfg.repeats)
    return seconds["torch"] / seconds["ours"]


selection = np.stack([selection_ratio(share) for share in cfg.kept_shares], axis=1)
rows, n = cfg.selected
page.save_figure(
    plots.over_ratio(np.array(cfg.kept_shares), selection, "time of torch.topk / time of ours"),
    "selection",
    {"rows, n": cfg.selected, "n/k": cfg.kept_shares, "torch/ours": selection},
    f"Compare the line with 1: above it, selection by groups is faster. {rows:,} rows of n = {n:,} float32 "
    f"numbers, one thread, {cfg.repeats} rounds (dots), measured in this run. The paper selects on a GPU "
    "and has no such figure.",
)

# %% [markdown]
# The claim: from $n/k = 256$ on, selection by groups is faster, by at least a quarter. It is faster because few numbers reach the bound. The control
# takes that away: in rows of equal entries every number reaches the bound and nothing is left out.


# %%
def recorded_ratios(sweep, at_least):
    """Medians over rounds of the recorded ratios, from n / k = `at_least` on; all are printed."""
    medians = {}
    print(f"{sweep['what']}, {sizes(**sweep['sizes'])}")
    for ratio, rounds in sweep["rounds"].items():
        medians[int(ratio)] = np.median(rounds)
        print(f"   n / k = {ratio}: {medians[int(ratio)]:.2f} ({min(rounds):.2f} to {max(rounds):.2f})")
    return [median for ratio, median in medians.items() if ratio >= at_least]


if sweeps is not None:
    equal = recorded_ratios(sweeps["selection of equal entries"], 256)
    page.check(
        "speed.top-k",
        recorded_ratios(sweeps["selection"], 256),
        control={"rows of equal entries, where the bound leaves nothing out": equal},
    )

# %% [markdown]
# **The whole step**, at rising $n/k$. The dashed line is what the operations promise. We expect the clock to give less, because selection is not a
# product and gathers run at the speed of memory; and at $n/k = 2$ the sparse form should be slower.
#
# The claim, from the record: at $n/k$ of 64 and more the sparse step is faster by at least a fifth. Its control is $n/k = 2$.


# %%
def step_ratio(n_over_k):
    step = cfg.ranked._replace(k=cfg.ranked.n // n_over_k)
    calls = {name: whole_step(all_forms[name], *example(step)) for name in ("dense", "sparse")}
    seconds = cost.by_turns(calls, cfg.repeats)
    return seconds["dense"] / seconds["sparse"]


measured = np.stack([step_ratio(ratio) for ratio in cfg.ratios], axis=1)
steps = [cfg.ranked._replace(k=cfg.ranked.n // ratio) for ratio in cfg.ratios]
formula = np.array([sum(s.dense_flops().values()) / sum(s.sparse_flops().values()) for s in steps])
across = {symbol: size for symbol, size in cfg.ranked._asdict().items() if symbol in "Bdn"}
page.save_figure(
    plots.over_ratio(np.array(cfg.ratios), measured, "time of the dense step / the sparse one", formula),
    "step_time",
    across | {"n/k": cfg.ratios, "dense/sparse": measured, "formula": formula},
    "Compare the blue line with the dashed one: the clock gives part of what the operations promise, and at "
    f"n/k = 2 the sparse form is slower. {sizes(**across)}, k from n/k; one thread, {cfg.repeats} rounds "
    "(dots), measured in this run. The paper gives no such curve.",
)

if sweeps is not None:
    at_two = np.median(sweeps["step"]["rounds"]["2"])
    page.check("speed.sparse-faster", recorded_ratios(sweeps["step"], 64), control={"n / k = 2": at_two})

# %% [markdown]
# **Where the time goes.** Now the parts of both forms, each timed alone, in multiples of the encoder's product.


# %%
def parts_of(step):
    sae, x = example(step)
    W, b, n = sae.W_enc.detach(), sae.b_enc.detach(), step.n
    values, indices = kernels.select(x, W, b, step.k)
    z, product, by = kernels.dense(indices, values, n), torch.empty(step.B, n), kernels.ByLatent
    common = {"encoder": lambda: torch.mm(x, W.T, out=product)}
    fast = {
        "selection": lambda: kernels.select(x, W, b, step.k),  # with the encoder, which is taken off below
        "decoder": lambda: kernels.weighted_gather(indices, values, W),
        "dL/dz": lambda: kernels.gathered_dot(indices, W, x),
        "dL/dW, both": lambda: [kernels.transposed_gather(p, values, x) for p in [by(indices, n)] * 2],
    }
    slow = {
        "selection": lambda: kernels.dense(*product.topk(step.k)[::-1], n),
        "decoder": lambda: z @ W,
        "dL/dz": lambda: x @ W.T,
        "dL/dW, both": lambda: [z.T @ x for _ in "de"],
    }
    return common, fast, slow


def norm_and_adam(step):
    sae, x = example(step)
    adam = torch.optim.Adam(sae.parameters(), lr=1e-4, fused=True)
    backward(sae, sae(x), x)
    return lambda: (constrain_decoder(sae), adam.step())


# %% [markdown]
# All parts and the two whole steps are timed in turns. A dense step cannot take less than about five encoder products, however well it is written:
# it has five products of that size. A sparse step can.

# %%
common, fast, slow = parts_of(cfg.step)
calls = common | {"norm, Adam": norm_and_adam(cfg.step)}
calls |= {f"sparse {name}": call for name, call in fast.items()}
calls |= {f"dense {name}": call for name, call in slow.items()}
calls["sparse"] = whole_step(lambda sae, x: sae(x), *example(cfg.step))
calls["dense"] = whole_step(dense, *example(cfg.step))
seconds = cost.by_turns(calls, cfg.repeats)
products = {name: np.median(taken / seconds["encoder"]) for name, taken in seconds.items()}
products["sparse selection"] -= 1
bars = {}
for form in ("dense", "sparse"):
    bars[form] = {"encoder": 1.0} | {name: products[f"{form} {name}"] for name in fast}
    bars[form]["norm, Adam"] = products["norm, Adam"]
    bars[form]["the rest"] = max(0.0, products[form] - sum(bars[form].values()))
whole = {form: products[form] for form in bars}
page.save_figure(
    plots.parts(bars, f"time of a whole step / encoder product\n({sizes(**cfg.step._asdict())})", whole),
    "time",
    {"parts": bars, "whole step": whole, "step": cfg.step._asdict()},
    "Compare the two bars, then the parts of the lower one: where four of five products are gone, "
    "selection (orange) takes the most time beside the encoder (grey). The number at a bar's end is the "
    "whole step, timed by itself; the pale rest is what its parts leave. One thread, medians of "
    f"{cfg.repeats} rounds, measured in this run, so it differs from machine to machine. The paper has no "
    "such figure.",
)

# %% [markdown]
# *The rest* is the time of the whole step that is in none of its parts: elementwise passes over arrays, memory that has to be fetched from the
# system, autograd. Selection is a large part in both forms. The claim on the whole step, from the record: it takes less than five products, at
# the three shapes of the benchmark.

# %%
if record is not None:
    shapes = [sizes(**shape["shape"]) for shape in record["shapes"]]
    forms_timed = ("ours", "dense reference")
    taken = {name: [shape["rows"][name]["ratio"] for shape in record["shapes"]] for name in forms_timed}
    for shape, ours, slow in zip(shapes, *taken.values(), strict=True):
        print(f"{shape}: ours {ours:.2f} products, dense {slow:.2f}, {slow / ours:.1f} times as long")
    page.check("speed.five-products", taken["ours"], control={"the dense step": taken["dense reference"]})

# %% [markdown]
# The ratio of dense to sparse depends on the shape, so every ratio on this page names its own.
#
# <a id="memory"></a>
# ## 4 Memory
# The $(B, n)$ array of pre-activations is what limits $B$ and $n$: at the sizes of [section 1](#count) it takes 17 GB in float32, and a dense step
# holds several such arrays. The sparse step holds one block of rows, selects from it while it is in the cache, and drops it. We count what torch's
# allocator held at most during forward and backward, without weights and without the gradients that the optimiser needs in any case.


# %%
def extra_share(form, n, B=cfg.step.B):
    step = cfg.step._replace(B=B, n=n, d=64)
    sae, x = example(step)
    own = 4 * sum(parameter.numel() for parameter in sae.parameters())  # bytes of the gradients
    return (cost.peak_bytes(lambda: backward(sae, form(sae, x), x)) - own) / (4 * step.B * n)


step_forms = {"sparse": lambda sae, x: sae(x), "dense": dense}
shares = {name: np.array([extra_share(form, n) for n in cfg.widths]) for name, form in step_forms.items()}
page.save_figure(
    plots.held(cfg.widths, shares, 0.15),
    "memory",
    {"B": cfg.step.B, "n": cfg.widths, "extra / (B, n) array": shares},
    "Compare both lines with 100 %, the array itself (dotted): a dense step holds several such arrays, a "
    "sparse one a part of one, less at large n, where a block is an eighth of the rows. Dashed: the 15 % of "
    f"the claim. B = {cfg.step.B:,}, d = 64, k = {cfg.step.k}; exact counts, so one run. The paper has no "
    "such figure.",
)

# %% [markdown]
# The claim is about the largest $n$, for three batch sizes: at most 15 % of the array. The nearest form that should fail is `halfway`, which decodes
# the code as a matrix.

# %%
n, B = cfg.widths[-1], cfg.step.B
page.check(
    "speed.memory",
    [extra_share(step_forms["sparse"], n, each) for each in (B // 2, B, 2 * B)],
    control={"the code decoded as a matrix": extra_share(halfway, n), "the dense step": shares["dense"][-1]},
)

# %% [markdown]
# <a id="low"></a>
# ## 5 Select in low precision
# Some processors multiply 16-bit numbers (*bfloat16*, about three digits) much faster than 32-bit ones. The encoder's product may be done so if it
# only decides *which* latents to keep, and their values are then computed in float32. But latents that are nearly equal may be ranked in the wrong
# order. So `paths.LOW` takes a quarter more candidates than $k$, at least four more, computes them in float32 and keeps the $k$ largest. Two
# cruder selections take exactly $k$ and no more candidates: by bfloat16, and by numbers rounded to seven levels.


# %%
def chosen_by(rounded):
    def select(x, W, b, k):
        x_rounded, W_rounded = rounded(x), rounded(W)
        indices = kernels.select(x_rounded, W_rounded, b.to(W_rounded.dtype), k)[1]
        return kernels.gathered_dot(indices, W, x) + b[indices], indices

    return paths.EXACT._replace(select=select)


def seven_levels(t):
    step = t.abs().amax(dim=1, keepdim=True) / 3
    return (t / step).round() * step


def forms():
    coarse = {"bfloat16, exactly k": chosen_by(lambda t: t.bfloat16()), "7 levels": chosen_by(seven_levels)}
    return {"float32": paths.EXACT, "bfloat16": paths.LOW} | coarse


# %% [markdown]
# Which share of the latents that float32 selects does each of them find, on random inputs and weights? We expect at least 999 in a thousand with
# the extra candidates, and fewer without.


# %%
def agreement(path, seed):
    sae, x = example(cfg.ranked._replace(k=16), seed)
    selected = [p.select(x, sae.W_enc.detach(), sae.b_enc.detach(), sae.k)[1] for p in (path, paths.EXACT)]
    return cost.overlap(*selected)


overlaps = {name: [agreement(path, seed) for seed in range(cfg.seeds)] for name, path in forms().items()}
page.check(
    "speed.bf16-overlap",
    overlaps["bfloat16"],
    control={"bfloat16 without more candidates than k": overlaps["bfloat16, exactly k"]},
)

# %% [markdown]
# And does the loss of training change? The data are sparse sums of known directions ([page 8](08_sae_training.ipynb#known)), the same batches for
# every form, several random seeds. The form called *dense* computes the plain products; what separates it from float32 is rounding.


# %%
def train_each(config: Config) -> dict:
    curves = {}
    for seed in range(config.seeds):
        fresh = 10 + seed
        W = planted.directions(config.features, 64, run.generator(fresh, "features"))
        sample = planted.draw(W, config.density, 4096, run.generator(fresh, "sample")).acts
        for name, path in (forms() | {"dense": paths.REFERENCE}).items():
            batches = planted.batches(
                W,
                config.density,
                config.trained.batch,
                run.generator(fresh, "amounts"),
            )
            fitted = train.fit(batches, config.trained, sample, run.generator(fresh, "sae"), path=path)
            curves[f"{name}/{seed}"] = torch.from_numpy(fitted.history["mse"])
    return curves


histories = memo.memo(train_each, cfg)


def curve_of(name):
    return np.stack([histories[f"{name}/{seed}"].numpy() for seed in range(cfg.seeds)])  # (seeds, logged)


curves = {name: curve_of(name) for name in (*forms(), "dense")}

# %% [markdown]
# We expect the lines of dense, float32 and bfloat16 to coincide while seeds differ visibly, and selection by seven levels to stand apart.
#
# The claim: the distance between the curves of float32 (the fast form) and dense is below half a standard deviation of the seeds.

# %%
steps = np.minimum(np.arange(curves["dense"].shape[1]) * cfg.trained.log_every, cfg.trained.steps - 1)
shown = {name: curves[name] for name in ("dense", "float32", "bfloat16", "7 levels")}
page.save_figure(
    plots.losses(steps, shown),
    "losses",
    {"step": steps, "normalised mse": shown},
    "Look for the lines that cover each other: dense (grey), float32 (blue) and bfloat16 (orange) give one "
    f"curve per seed; only seven levels (purple) stand apart. One line per seed, {cfg.seeds} seeds; "
    f"{cfg.features} planted features in 64 dimensions, n = {cfg.trained.n:,}, k = {cfg.trained.k}, batch "
    f"{cfg.trained.batch}. Not in the paper.",
)


def apart(name):
    """Mean distance of a form's curve from the dense one, in standard deviations of the seeds."""
    return np.abs(curves[name] - curves["dense"]).mean(axis=1) / curves["dense"].std(axis=0, ddof=1).mean()


crude = apart("7 levels")
page.check("speed.same-curve", apart("float32"), control={"selection by seven levels": crude})

# %% [markdown]
# How much larger is the loss at the end of training, over the last tenth of the steps, if latents are selected in bfloat16? The claim allows five
# per cent.

# %%
last = max(1, curves["dense"].shape[1] // 10)
final = {name: curves[name][:, -last:].mean(axis=1) for name in forms()}
found = np.array([np.mean(shares) for shares in overlaps.values()])
page.save_figure(
    plots.coarser(list(overlaps), found, np.stack(list(final.values()))),
    "low_precision",
    {"overlap": overlaps, "normalised mse": final},
    "Compare rows 2 and 4 with the first: selection in bfloat16 with extra candidates finds the same "
    f"latents and trains as well; selection by seven levels does neither. Left: n = {cfg.ranked.n:,}, k = "
    f"16, random inputs; right: planted data, last tenth of the steps; dots are {cfg.seeds} seeds. Not in "
    "the paper.",
)
page.check(
    "speed.bf16-loss",
    final["bfloat16"] / final["float32"],
    control={"selection by seven levels": final["7 levels"] / final["float32"]},
)

# %% [markdown]
# <a id="libraries"></a>
# ## 6 Beside other libraries, as recorded
# **Nothing in this section was measured by this page.** `make bench` installs other libraries in an environment of their own, gives all of them
# the same inputs and weights, checks that their first reconstructions agree, and times one step of each library's own trainer in turns. All times
# are relative to the encoder's product in float32 on that machine. Selection in bfloat16 saves time only where the machine has matrix units for it.


# %%
def draw(record):
    rows = [name for name in record["shapes"][0]["rows"] if not name.startswith("encoder")]

    def table(key):
        return np.array([[shape["rows"][name][key] for shape in record["shapes"]] for name in rows])

    ratio, least, most = (table(key) for key in ("ratio", "least", "most"))  # (rows, shapes) each
    machine, threads = record["machine"], next(iter(record["versions"].values()))["threads"]
    units = "with" if machine["bf16_matrix_units"] else "without"
    source = f"recorded by make bench: {machine['cpu']}, {threads} threads, {units} bf16 matrix units"
    shapes = [sizes(**shape["shape"]) for shape in record["shapes"]]
    return plots.recorded(rows, ratio, least, most, shapes, source), dict(zip(rows, ratio, strict=True))


if record is not None:
    figure, ratios = draw(record)
    page.save_figure(
        figure,
        "peers",
        {"machine": record["machine"], "time / encoder product": ratios},
        "Compare the first two bars of a panel with the others; the line at 1 is the encoder's product "
        f"alone. Sizes stand over each panel; medians of {record['repeats']} rounds, whiskers their "
        f"extremes, recorded on {record['machine']['date']}. The paper compares no libraries.",
    )

# %% [markdown]
# The record is compared with targets that were set before it was written: a step may take 1.3 encoder products at the smallest shape and 1 at the
# others on a machine with bfloat16 matrix units, 1.6 without. The control puts the dense step in our place. The positive example is the
# encoder's product alone, which no exact step in float32 can beat.

# %%
if record is not None:
    units = record["machine"]["bf16_matrix_units"]
    chosen = ratios["ours, bf16 selection" if units else "ours"]
    large = [shape["shape"]["n"] >= 2**14 for shape in record["shapes"]]
    limit = np.where(large, 1.0, 1.3) if units else np.full(len(large), 1.6)
    page.check(
        "speed.recorded-step",
        chosen / limit,
        control={"the dense step in our place": ratios["dense reference"] / limit},
        witness=1 / limit,
    )

# %% [markdown]
# In the record of this repository the target is met at the shape with the widest activations ($d$) and missed at the other two. The encoder's
# product grows with $d$ and selection does not, so in multiples of that product selection weighs more where $d$ is small.
#
# And the other libraries, each in its own trainer. The target: a step of SAELens and of dictionary_learning takes at least 8 times as long as ours,
# one of sparsify at least 2.5 times.

# %%
factors = {"SAELens": 8, "dictionary_learning": 8, "sparsify": 2.5}


def over_asked(step):
    return np.concatenate([ratios[name] / step / factor for name, factor in factors.items()])


if record is not None:
    for name in factors:
        for shape, times in zip(shapes, ratios[name] / chosen, strict=True):
            print(f"{name}: {times:.1f} times as long as ours at {shape}")
    page.check(
        "speed.peers",
        over_asked(chosen),
        control={"the dense step in our place": over_asked(ratios["dense reference"])},
        witness=over_asked(1),
    )

# %% [markdown]
# In the record of this repository each of the nine ratios reaches its target.
#
# <a id="company"></a>
# ## 7 Two processes, and other libraries' files, as recorded
# Also from `make bench`: two processes with one thread each, each with as much work as one process has alone. Each process takes a part of the batch
# (*data parallel*) or a part of the latents (*latent parallel*). Two processes that exchange nothing still share memory and cache, so what they
# reach is the best to be expected.
#
# Then files: random SAEs of every kind, written by one library and read by another, reconstruct the same activations in double precision. The
# largest relative difference must be rounding, whichever of the two wrote the file.

# %%
if scaling is not None:
    setups = scaling["setups"]
    columns = ([setup[key] for setup in setups.values()] for key in ("efficiency", "least", "most"))
    source = f"recorded by make bench: {scaling['machine']['cpu']}\n{sizes(**scaling['work_per_process'])}"
    page.save_figure(
        plots.company(list(setups), *columns, source),
        "company",
        {"machine": scaling["machine"], "setups": setups},
        "Compare the last bars (blue) with the second (grey), which is the most to be expected. Work per "
        "second and process, relative to one process alone; one thread per process; in latent parallel, work "
        "counts the latents as well. Whiskers are the extremes of the rounds: a difference smaller than a "
        "whisker is long says nothing. The paper shards over GPUs.",
    )

groups = {}
for row in files["rows"] if files is not None else ():
    groups.setdefault((row["library"], row["version"], row["direction"]), []).append(row["difference"])
for group, worst in sorted(groups.items()):
    print(f"{' '.join(group):45} {len(worst):3} files, largest difference {max(worst):.1e}")
    assert max(worst) < files["limit"]

# %% [markdown]
# <a id="your-turn"></a>
# ## 8 Your turn
# Write each answer in a new cell below the last one, after the page has run. Say what you expect before you run it.
#
# 1. *(5 minutes)* At which $n/k$ does the sparse step need half the operations of the dense one? Solve it on paper, then check.
#    <details><summary>Hint</summary>$10 / (2 + 8k/n) = 2$.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    counts = operations(B=1, d=1, n=8 * 1000, k=3 * 1000)
#    assert counts[0] == 2 * counts[1]
#    ```
#
#    At $n/k = 8/3$, where more than a third of the latents are kept. By the clock above the sparse step needs a larger $n/k$ to be twice as fast,
#    because of selection.
#    </details>
# 2. *(5 minutes)* Selection by groups ranks $n/g$ maxima and $kg$ members. Which group size $g$ makes the sum smallest for $n = 16384$, $k = 32$?
#    Is the result still exact at another $g$?
#    <details><summary>Hint</summary>The derivative in $g$ is zero at $g = \sqrt{n/k}$. Try powers of two.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    ranked = {g: 16384 // g + 32 * g for g in (4, 8, 16, 32, 64, 128)}
#    print(ranked)
#    assert min(ranked, key=ranked.get) in (16, 32)
#    assert all(torch.equal(top_k_by_groups(table, 16, g), table.topk(16).values) for g in (8, 16, 64, 128))
#    ```
#
#    Near 23. The result is exact at any $g$ that makes at least $k$ groups: the argument of section 2 does not use the size of the groups.
#    </details>
# 3. *(5 minutes)* Make a deliberately wrong selection of $k = 16$: take the members of the best $k/2$ groups only. In which share of the rows of
#    `table` is the result wrong?
#    <details><summary>Hint</summary>The $k$ largest numbers of a random row mostly stand in different groups. Change one number in
#    `top_k_by_groups`, and compare each row with `table.topk(16).values`.</details>
#    <details><summary>Answer</summary>
#
#    ```python
#    groups = table.view(16, -1, 32)
#    half = groups.amax(dim=2).topk(8).indices
#    found = groups.gather(1, half[..., None].expand(-1, -1, 32)).flatten(1).topk(16).values
#    wrong = (found != table.topk(16).values).any(dim=1).double().mean().item()
#    print(f"{wrong:.0%} of the rows")
#    assert wrong > 0.9
#    ```
#
#    Nearly all of them. Still, the largest few numbers of each row are right, so a loss curve alone might not show such a mistake.
#    </details>
#
# <a id="limits"></a>
# ## 9 Limits
# - The paper has kernels for GPUs. This page measures their counterparts in plain torch on a CPU, at small sizes, with one thread here and in
#   the recorded sweeps, two in the recorded steps.
# - How many times faster a sparse step is depends on $B$, $d$, $n$, $k$ and the processor. The pictures of section 3 are of this run, on whatever
#   machine it ran, busy or not; the claims are of the recorded machine only.
# - The other libraries were timed at one version each, with the settings of their own trainers, which also do other things in a step.
#
# <a id="checked"></a>
# ## 10 What was checked
# Every claim of this page, with its band and its control.

# %%
if record is not None and sweeps is not None:
    page.close()
else:
    print("The claims about time need what `make bench` records in figures/16_speed of the repository")
