# %% [markdown]
# # 16. Why a training step is fast: operations, bytes, and what a clock says
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/16_speed.ipynb)
#
# **Claim.** Of the five dense products in a training step of a TopK autoencoder only the encoder's has to be dense. Doing the other four
# with the $k$ latents that were kept changes no number, needs neither the operations nor the memory of the rest, and is faster on a clock.
#
# Paper: Gao et al., *Scaling and evaluating sparse autoencoders* (2024), [appendix on kernels](https://arxiv.org/abs/2406.04093).
#
# **Difference to the paper.**
# - The paper has Triton kernels on GPUs; this page measures their counterparts in plain torch on a CPU, at small sizes: one
#   thread here and in the recorded sweeps, two in the recorded steps, which come from another machine.
# - Times are ratios of runs that take turns: whatever slows this machine slows both sides. The pictures of section 3 show what this run
#   measured. No claim rests on that: claims about time are judged from what `make bench` recorded, which needs a quiet machine.
# - How many times faster a sparse step is depends on $B$, $d$, $n$, $k$ and the processor, so every ratio on this page names its sizes.
# - The comparison with other libraries is not measured here either: sections 6 and 7 draw what `make bench` recorded.
#
# **Time.** `quick` a few seconds, `laptop` a minute or two on one thread, `paper` the sizes of the benchmark.

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
from companion.sae import kernels, paths, train
from companion.sae.models import Code, TopK, normalise
from companion.sae.recipe import TrainConfig, constrain_decoder
from companion.toy import planted

# %% [markdown]
# ## Parameters
# One row per profile. Everything is counted in steps and repeats; no cell runs for a set time.


# %% tags=["parameters"]
@dataclass(frozen=True)
class Config:
    step: cost.Step  # the step that is taken apart
    ranked: cost.Step  # sizes at which n / k is varied; its k is not used
    ratios: tuple[int, ...]  # n / k
    selected: tuple[int, int]  # rows and columns of the table in which selection is timed
    kept_shares: tuple[int, ...]  # its n / k
    widths: tuple[int, ...]  # n at which memory is measured
    repeats: int
    features: int  # true features of the planted data
    density: float  # probability that a feature is active
    trained: TrainConfig  # the autoencoder on it
    seeds: int = 5


cfg = run.choose(
    quick=Config(
        step=cost.Step(B=256, d=64, n=1024, k=8), ranked=cost.Step(B=128, d=64, n=1024, k=1), ratios=(2, 64, 128),
        selected=(64, 4096), kept_shares=(4, 512), widths=(512, 1024), repeats=3, features=128, density=0.03,
        trained=TrainConfig(n=256, k=4, steps=40, batch=256, dead_after_tokens=20_000, log_every=2),
    ),
    laptop=Config(
        step=cost.Step(B=2048, d=128, n=8192, k=32), ranked=cost.Step(B=512, d=128, n=4096, k=1), ratios=(2, 4, 8, 16, 32, 64, 128, 256, 512),
        selected=(512, 16384), kept_shares=(4, 16, 64, 256, 512, 1024), widths=(2048, 4096, 8192, 16384), repeats=5, features=512, density=0.012,
        trained=TrainConfig(n=1024, k=8, steps=150, batch=512, dead_after_tokens=50_000, log_every=2),
    ),
    paper=Config(
        step=cost.Step(B=8192, d=128, n=16384, k=32), ranked=cost.Step(B=2048, d=768, n=32768, k=1), ratios=(2, 8, 32, 64, 128, 256, 512, 1024),
        selected=(2048, 32768), kept_shares=(4, 16, 64, 256, 512, 1024), widths=(4096, 16384, 65536), repeats=9, features=4096, density=0.002,
        trained=TrainConfig(n=16384, k=32, steps=2000, batch=8192, dead_after_tokens=1_000_000),
    ),
)  # fmt: skip
page = claims.Page("16_speed", cfg)
cfg

# %% [markdown]
# What `make bench` recorded, and where. Without these files, as in Colab, the claims about time are not judged and the page says so.


# %%
def read_record(name):
    path = run.project_root() / "figures" / "16_speed" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def sizes(**symbols):
    return ", ".join(f"{symbol} = {size:,}" for symbol, size in symbols.items() if symbol not in ("k_aux", "s"))


record, sweeps, scaling, files = (read_record(name) for name in ("bench", "sweeps", "weak_scaling", "interop"))
for name, held in {"steps": record, "sweeps": sweeps}.items():
    print(f"{name}: {held['machine']['cpu']}, {held['machine']['date']}" if held else f"{name}: no record, run `make bench`")

# %% [markdown]
# ## 1. Counting before measuring
# $B$ tokens of width $d$, $n$ latents, $k$ kept. A product of a $(B, d)$ and a $(d, n)$ matrix is $2Bdn$ operations. A step has five of
# that size: the encoder, the decoder $\hat x = z W_{dec}$, the gradient of the code $dL/dz = g\, W_{dec}^\top$, and the gradients of the two
# weight matrices. But $z$ has only $k$ entries per token, and so has its gradient. So
#
# $$ \text{dense: } 10Bdn + 8Bdn_{aux}, \qquad \text{sparse: } 2Bdn + 8Bd(k + k_{aux}), $$
#
# where $n_{aux}$ is $n$ if AuxK is at work on a dense code, and 0 otherwise. Both have $2nd$ more for $b_{pre}$: the bias is the same for every
# token, so its gradient can be taken after summing over tokens. At the paper's sizes:

# %%
at_scale = cost.Step(B=131_072, d=768, n=32_768, k=32, s=2)
dense_flops, sparse_flops = (sum(parts.values()) for parts in (at_scale.dense_flops(), at_scale.sparse_flops()))
stored = sum(at_scale.sparse_bytes(fused=False).values()) - sum(at_scale.sparse_bytes().values())
print(f"operations: dense {dense_flops:.3g}, sparse {sparse_flops:.3g}, {dense_flops / sparse_flops:.2f} times fewer")
print(f"bytes of pre-activations written and read back if they are stored, at two bytes each: {stored / 1e9:.1f} GB")
print(f"bytes of Adam, in float32: {at_scale.sparse_bytes()['Adam'] / 1e9:.2f} GB, whatever B is: large batches pay it once")

# %% [markdown]
# The sparse part is under a hundredth of the sparse step there: what is left is one product that no exact TopK can avoid. Is the formula what
# the code does? Here is the step in the paper's symbols. The gradient of $b_{pre}$ is made cheap by hand; left to autograd, as most code
# leaves it, $x - b_{pre}$ costs a sixth product.


# %%
def dense(sae, x, indices=None):
    pre = x @ sae.W_enc.T + (sae.b_enc - sae.W_enc @ sae.b_pre)  # (B, n)
    indices = pre.topk(sae.k, dim=1).indices if indices is None else indices
    z = torch.zeros_like(pre).scatter(1, indices, torch.relu(pre.gather(1, indices)))
    return z @ sae.W_dec + sae.b_pre  # (B, d)


def backward(sae, x_hat, x):
    sae.zero_grad()
    (x_hat - x).square().sum().backward()


def example(step, seed=0):
    sae = TopK.random(step.d, step.n, step.k, run.generator(seed, "weights"))
    return sae, normalise(torch.randn(step.B, step.d, generator=run.generator(seed, "inputs"))).x


sae, x = example(cfg.step)
assert torch.allclose(sae(x[:64]), dense(sae, x[:64]), atol=1e-4)

# %% [markdown]
# torch can count the operations of the products it is asked for. It does not know that a gather multiplies, so `cost.counted_flops` tells
# it: $N$ gathered rows of width $d$, weighted and summed, are $2Nd$. Both counts must be the formula's to the last operation. What the formula
# leaves out is named: the sparse step enters its bias as one more input ($2Bn$) and sums $Bk$ gradients for it; the dense one multiplies a
# matrix by a vector for $b_{pre}$, which torch does not count. Beside them a form that uses the sparse code but decodes it as a matrix, which
# is how many libraries stop half-way.


# %%
def halfway(sae, x):
    code = sae.encode(x)
    return kernels.weighted_gather_reference(code.indices, code.values, sae.W_dec) + sae.b_pre


def counted(form, step):
    sae, x = example(step)
    return cost.counted_flops(lambda: backward(sae, form(sae, x), x))


few = cfg.step._replace(B=256)  # a count needs no large batch
for step in (few, few._replace(k=2 * few.k), few._replace(d=2 * few.d)):
    count = {name: counted(form, step) for name, form in {"dense": dense, "halfway": halfway, "sparse": lambda sae, x: sae(x)}.items()}
    assert count["dense"] == sum(step.dense_flops().values()) - step.dense_flops()["dL/db_pre"]
    assert count["sparse"] == sum(step.sparse_flops().values()) + 2 * step.B * (step.n + step.k)
    print(sizes(**step._asdict()), *(f"; {name} {count['dense'] / count[name]:.2f} times fewer" for name in ("halfway", "sparse")))

# %% [markdown]
# The same step by parts. Four of the five are gone from the sparse bar: they are there, too thin to be seen.

# %%
bars = {"dense": cfg.step.dense_flops(), "sparse": cfg.step.sparse_flops()}
bars = {name: {part: flops / 1e9 for part, flops in parts.items() if flops} for name, parts in bars.items()}
page.save_figure(plots.parts(bars, f"10⁹ operations of one step, by the formula ({sizes(**cfg.step._asdict())})"), "operations", bars)

# %% [markdown]
# ## 2. Nothing is approximated
# Four fast forms stand for four plain ones. The plain ones are the definition, and each pair must agree.
#
# | what | plain | fast |
# |---|---|---|
# | the $k$ largest | `torch.topk` | a bound that $k$ entries reach, then a choice among the few that reach it |
# | encode | $x W^\top$ as an array, then top-k | a block of rows at a time, ranked while in the cache |
# | $\hat x$, and $dL/dz$ | matrix products | gather the $k$ rows and sum; gather and multiply |
# | $dL/dW$ of both matrices | matrix products | sort the $Bk$ pairs by latent once, then gather again with rows and latents exchanged |

# %%
table = torch.randn(16, 4096, generator=run.generator(0, "table"))
values, indices = kernels.top_k(table, 16)
assert torch.equal(values.sort(1).values, table.topk(16).values.sort(1).values)
assert torch.equal(table.gather(1, indices), values)
by, z, g = kernels.ByLatent(indices, 4096), values.double(), torch.randn(16, 8, dtype=torch.double, generator=run.generator(0, "rows"))
W = torch.randn(4096, 8, dtype=torch.double, generator=run.generator(1, "rows"))
assert torch.allclose(kernels.weighted_gather(indices, z, W), kernels.weighted_gather_reference(indices, z, W))
assert torch.allclose(kernels.gathered_dot(indices, W, g), kernels.gathered_dot_reference(indices, W, g))
assert torch.allclose(kernels.transposed_gather(by, z, g), kernels.transposed_gather_reference(by, z, g))

# %% [markdown]
# The whole step, then: gradients of all four parameters against autograd through the formula of section 1. In float32 both forms get the same
# selection, because a near tie may fall either way. The control is a mistake that a published kernel makes: it returns no gradient to the
# encoder.


# %%
def gradients(form, sae, x):
    backward(sae, form(sae, x), x)
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in sae.parameters()]


def drops_encoder(sae, x):
    code = sae.encode(x)
    return sae.decode(Code(code.indices, code.values.detach()))


def farthest(form, seed, dtype):
    sae, x = example(cfg.ranked._replace(k=16), seed)
    sae, x = sae.to(dtype), x.to(dtype)
    pairs = zip(gradients(form, sae, x), gradients(lambda sae, x: dense(sae, x, sae.encode(x).indices), sae, x), strict=True)
    return max(((fast - slow).norm() / slow.norm()).item() for fast, slow in pairs)


# %% [markdown]
# The largest relative distance over the four parameters is the rounding of sums of some thousand terms. The mistake is no rounding.

# %%
for dtype, limit in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
    assert farthest(lambda sae, x: sae(x), 0, dtype) < limit
    assert farthest(drops_encoder, 0, dtype) > 0.1

# %% [markdown]
# ## 3. What a clock says
# Forms take turns and the first round is dropped; reported are medians of the ratios within a round. A step is forward, backward, unit norm
# of the decoder rows and Adam, for both forms. Pictures show this run; claims are judged from the rounds that `make bench` recorded.


# %%
def whole_step(form, sae, x):
    adam = torch.optim.Adam(sae.parameters(), lr=1e-4, fused=True)

    def take():
        backward(sae, form(sae, x), x)
        constrain_decoder(sae)
        adam.step()

    return take


# %% [markdown]
# **Selection first**, because after the other four products are gone it is what the clock shows next to the encoder. The fast form must find
# the same entries as `torch.topk`, and can only win where few are kept and the bound leaves most groups out: at $k = n/4$ every group holds
# some of them.


# %%
def selection_ratio(kept_share):
    rows, n = cfg.selected
    scores, k = torch.randn(rows, n, generator=run.generator(kept_share, "scores")), n // kept_share
    assert torch.equal(kernels.top_k(scores, k)[0].sort(1).values, scores.topk(k).values.sort(1).values)
    seconds = cost.by_turns({"torch": lambda: scores.topk(k, dim=1, sorted=False), "ours": lambda: kernels.top_k(scores, k)}, cfg.repeats)
    return seconds["torch"] / seconds["ours"]


selection = np.stack([selection_ratio(share) for share in cfg.kept_shares], axis=1)
rows, n = cfg.selected
figure = plots.over_ratio(np.array(cfg.kept_shares), selection, f"time of torch.topk / time of ours\n({rows:,} rows of {n:,})")
page.save_figure(figure, "selection", {"rows, n": cfg.selected, "n/k": cfg.kept_shares, "torch/ours": selection})

# %% [markdown]
# Below $n/k$ of some tens the function hands over to `torch.topk`, and the line lies at one. The control is what the speed rests on: rows of
# equal entries, where every group reaches the bound and nothing is left out. There the fast form is many times slower.


# %%
def recorded_ratios(sweep, at_least):
    """Medians over rounds of the recorded ratios, for each n / k from `at_least` on, each printed with its spread."""
    medians = {}
    for ratio, rounds in sweep["rounds"].items():
        medians[int(ratio)] = np.median(rounds)
        print(f"{sweep['what']}, {sizes(**sweep['sizes'])}, n / k = {ratio}: {medians[int(ratio)]:.2f} ({min(rounds):.2f} to {max(rounds):.2f})")
    return [median for ratio, median in medians.items() if ratio >= at_least]


if sweeps is not None:
    page.check(
        "speed.top-k",
        recorded_ratios(sweeps["selection"], 256),
        control={"rows of equal entries, where the bound leaves nothing out": recorded_ratios(sweeps["selection of equal entries"], 256)},
    )

# %% [markdown]
# **The step**, at one $n$ and ever smaller $k$. The dense form does not care what $k$ is. The sparse form pays $8Bdk$ in gathers, and a gathered
# operation is far slower than one in a matrix product: at $n/k = 2$ sparse is the wrong form.


# %%
def step_ratio(n_over_k):
    step = cfg.ranked._replace(k=cfg.ranked.n // n_over_k)
    forms = {"dense": dense, "sparse": lambda sae, x: sae(x)}
    seconds = cost.by_turns({name: whole_step(form, *example(step)) for name, form in forms.items()}, cfg.repeats)
    return seconds["dense"] / seconds["sparse"]


measured = np.stack([step_ratio(ratio) for ratio in cfg.ratios], axis=1)
steps = [cfg.ranked._replace(k=cfg.ranked.n // ratio) for ratio in cfg.ratios]
formula = np.array([sum(s.dense_flops().values()) / sum(s.sparse_flops().values()) for s in steps])
across = {symbol: size for symbol, size in cfg.ranked._asdict().items() if symbol in "Bdn"}
figure = plots.over_ratio(np.array(cfg.ratios), measured, f"time of the dense step / the sparse\n({sizes(**across)})", formula)
page.save_figure(figure, "step_time", across | {"n/k": cfg.ratios, "dense/sparse": measured, "formula": formula})

# %% [markdown]
# Operations promise more than the clock gives, because selection is not a product and gathers run at the speed of memory.

# %%
if sweeps is not None:
    page.check("speed.sparse-faster", recorded_ratios(sweeps["step"], 64), control={"n / k = 2": np.median(sweeps["step"]["rounds"]["2"])})

# %% [markdown]
# **Where the time goes.** The parts of both forms, each timed alone, in multiples of the encoder's product. The dense form cannot be below five,
# whatever is done to it: its five products alone take that long. The sparse form can.


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
        "dL/dW, both": lambda: [kernels.transposed_gather(pairs, values, x) for pairs in [by(indices, n)] for _ in "de"],
    }
    slow = {
        "selection": lambda: torch.zeros_like(product).scatter(1, (top := product.topk(step.k)).indices, top.values),
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
# All of it by turns, and the two whole steps with it.

# %%
common, fast, slow = parts_of(cfg.step)
calls = common | {"norm, Adam": norm_and_adam(cfg.step)}
calls |= {f"sparse {name}": call for name, call in fast.items()} | {f"dense {name}": call for name, call in slow.items()}
calls |= {"sparse": whole_step(lambda sae, x: sae(x), *example(cfg.step)), "dense": whole_step(dense, *example(cfg.step))}
seconds = cost.by_turns(calls, cfg.repeats)
products = {name: np.median(taken / seconds["encoder"]) for name, taken in seconds.items()}
products["sparse selection"] -= 1
bars = {}
for form in ("dense", "sparse"):
    bars[form] = {"encoder": 1.0} | {name: products[f"{form} {name}"] for name in fast} | {"norm, Adam": products["norm, Adam"]}
    bars[form]["the rest"] = max(0.0, products[form] - sum(bars[form].values()))
whole = {form: products[form] for form in bars}
figure = plots.parts(bars, f"time of a whole step / encoder product, one thread\n({sizes(**cfg.step._asdict())})", whole)
page.save_figure(figure, "time", {"parts": bars, "whole step": whole, "step": cfg.step._asdict()})

# %% [markdown]
# The number at a bar's end is the whole step. *The rest* is what the parts do not add up to: elementwise passes over arrays, memory that has
# to be fetched from the system, autograd. Selection costs more than the encoder's product itself, in both forms; in the dense form *the rest* costs
# nearly as much. As a claim on the
# whole step, at the sizes of the benchmark: five products are the floor of any dense form, however well it is written.

# %%
if record is not None:
    taken = {name: [shape["rows"][name]["ratio"] for shape in record["shapes"]] for name in ("ours", "dense reference")}
    page.check("speed.five-products", taken["ours"], control={"the dense step": taken["dense reference"]})

# %% [markdown]
# ## 4. Memory
# The $(B, n)$ array of pre-activations is what limits $B$ and $n$: at the paper's sizes 17 GB in float32, and a dense step holds several of
# them. The sparse step holds one block of rows: as many as fit a cache, but no fewer than an eighth of the batch or 512, whichever is less. Counted
# is what
# torch's allocator held at most during forward and backward, without the weights and without the gradients that the optimiser needs in any case.


# %%
def extra_share(form, n, B=cfg.step.B):
    step = cfg.step._replace(B=B, n=n, d=64)
    sae, x = example(step)
    gradients = 4 * step.parameters
    return (cost.peak_bytes(lambda: backward(sae, form(sae, x), x)) - gradients) / (4 * step.B * n)


forms = {"sparse": lambda sae, x: sae(x), "dense": dense}
shares = {name: np.array([extra_share(form, n) for n in cfg.widths]) for name, form in forms.items()}
page.save_figure(plots.held(cfg.widths, shares, 0.15), "memory", {"B": cfg.step.B, "n": cfg.widths, "extra / (B, n) array": shares})

# %% [markdown]
# At small $n$ the block is as large as the array. The claim is about the largest $n$, for three batch sizes; the nearest form that should fail is
# the one that stops half-way.

# %%
n, B = cfg.widths[-1], cfg.step.B
page.check(
    "speed.memory",
    [extra_share(forms["sparse"], n, each) for each in (B // 2, B, 2 * B)],
    control={"the code decoded as a matrix": extra_share(halfway, n), "the dense step": shares["dense"][-1]},
)

# %% [markdown]
# ## 5. Selecting in low precision
# On a processor with bfloat16 units the encoder's product can be done in bfloat16 for two fifths of the time or less, if it only decides
# *which* latents to keep: their values are then computed exactly. What differs are near ties. So `paths.LOW` takes a few more candidates than $k$
# in bfloat16 (a quarter more, at least four), computes them in float32 and keeps the $k$ largest of these. Beside it stand two selections
# that take exactly $k$: by bfloat16, and by entries of $x$ and $W$ rounded to seven levels.


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


def agreement(path, seed):
    sae, x = example(cfg.ranked._replace(k=16), seed)
    selected = [p.select(x, sae.W_enc.detach(), sae.b_enc.detach(), sae.k)[1] for p in (path, paths.EXACT)]
    return cost.overlap(*selected)


# %% [markdown]
# The share of float32's latents that each form finds, on random inputs and weights:

# %%
overlaps = {name: [agreement(path, seed) for seed in range(cfg.seeds)] for name, path in forms().items()}
page.check("speed.bf16-overlap", overlaps["bfloat16"], control={"bfloat16 without more candidates than k": overlaps["bfloat16, exactly k"]})

# %% [markdown]
# Training: planted sparse data (notebook 08, section 2), the same stream of batches for every form, several seeds. "dense" goes through the
# plain references, products and all; it shows what the fast forms change by rounding alone.


# %%
def train_each(config: Config) -> dict:
    curves = {}
    for seed in range(config.seeds):
        fresh = 10 + seed  # seeds 0 to 2 were the pilots that the bands rest on
        W = planted.directions(config.features, 64, run.generator(fresh, "features"))
        sample = planted.draw(W, config.density, 4096, run.generator(fresh, "sample")).acts
        for name, path in (forms() | {"dense": paths.REFERENCE}).items():
            batches = planted.batches(W, config.density, config.trained.batch, run.generator(fresh, "amounts"))
            fitted = train.fit(batches, config.trained, sample, run.generator(fresh, "sae"), path=path)
            curves[f"{name}/{seed}"] = torch.from_numpy(fitted.history["mse"])
    return curves


histories = memo.memo(train_each, cfg)
curves = {name: np.stack([histories[f"{name}/{seed}"].numpy() for seed in range(cfg.seeds)]) for name in (*forms(), "dense")}

# %% [markdown]
# One colour per form, one line per seed. The lines of dense, float32 and bfloat16 should coincide, while seeds differ visibly. The control is
# a form that does approximate: two independent runs of the reference would differ by more than one standard deviation whatever the step is,
# so another seed could not have been a control.

# %%
steps = np.minimum(np.arange(curves["dense"].shape[1]) * cfg.trained.log_every, cfg.trained.steps - 1)
shown = {name: curves[name] for name in ("dense", "float32", "bfloat16", "7 levels")}
page.save_figure(plots.losses(steps, shown), "losses", {"step": steps, "normalised mse": shown})


def apart(name):
    """Mean distance of a form's curve from the dense one, in standard deviations of the seeds."""
    return np.abs(curves[name] - curves["dense"]).mean(axis=1) / curves["dense"].std(axis=0, ddof=1).mean()


page.check("speed.same-curve", apart("float32"), control={"selection by seven levels": apart("7 levels")})

# %% [markdown]
# The end of training, over the last tenth of the steps, and what selection in low precision costs there:

# %%
last = max(1, curves["dense"].shape[1] // 10)
final = {name: curves[name][:, -last:].mean(axis=1) for name in forms()}
figure = plots.coarser(list(overlaps), np.array([np.mean(shares) for shares in overlaps.values()]), np.stack(list(final.values())))
page.save_figure(figure, "low_precision", {"overlap": overlaps, "normalised mse": final})
page.check("speed.bf16-loss", final["bfloat16"] / final["float32"], control={"selection by seven levels": final["7 levels"] / final["float32"]})

# %% [markdown]
# ## 6. Beside other libraries, as recorded
# **Nothing in this section was measured by this page.** `make bench` installs other libraries in an environment of their own, gives all of them
# the same inputs and weights, checks that their first reconstructions agree, and times one step of each library's own trainer in turns. If
# that record exists it is drawn here, with the machine it comes from. Everything is relative to the encoder's product in float32 on that
# machine, at the sizes over each panel. The path with bfloat16 selection pays only where the machine has matrix units for it.


# %%
def draw(record):
    names = [name for name in record["shapes"][0]["rows"] if not name.startswith("encoder")]
    table = {key: np.array([[shape["rows"][name][key] for shape in record["shapes"]] for name in names]) for key in ("ratio", "least", "most")}
    machine, threads = record["machine"], next(iter(record["versions"].values()))["threads"]
    units = "with" if machine["bf16_matrix_units"] else "without"
    source = f"recorded by make bench, not by this page: {machine['cpu']}, {threads} threads, {units} bf16 matrix units"
    shapes = [sizes(**shape["shape"]) for shape in record["shapes"]]
    return plots.recorded(names, table["ratio"], table["least"], table["most"], shapes, source), dict(zip(names, table["ratio"], strict=True))


if record is not None:
    figure, ratios = draw(record)
    page.save_figure(figure, "peers", {"machine": record["machine"], "time / encoder product": ratios})

# %% [markdown]
# Where a record exists it is held to what was asked of this package before it was written, with selection in bfloat16 where that machine has
# matrix units for it. The controls put the careful dense step in our place; the witnesses put the encoder's product alone there, which no exact
# step in float32 can beat.

# %%
if record is not None:
    units = record["machine"]["bf16_matrix_units"]
    chosen = ratios["ours, bf16 selection" if units else "ours"]
    limit = np.array([(1.3 if shape["shape"]["n"] < 2**14 else 1.0) if units else 1.6 for shape in record["shapes"]])
    page.check("speed.recorded-step", chosen / limit, control={"the dense step in our place": ratios["dense reference"] / limit}, witness=1 / limit)

# %% [markdown]
# And the other libraries, each in its own trainer. Asked was a factor of 8 for the first two and of 2.5 for sparsify:

# %%
factors = {"SAELens": 8, "dictionary_learning": 8, "sparsify": 2.5}


def over_asked(step):
    return np.concatenate([ratios[name] / step / factor for name, factor in factors.items()])


if record is not None:
    for name in factors:
        print(f"{name:20}", "; ".join(f"{times:.1f} times ours" for times in ratios[name] / chosen))
    page.check(
        "speed.peers", over_asked(chosen), control={"the dense step in our place": over_asked(ratios["dense reference"])}, witness=over_asked(1)
    )

# %% [markdown]
# ## 7. Company and other libraries' files, as recorded
# Also from `make bench`. Two processes with one thread each, with the work of one process each: they share the batch, or the latents. The bound is
# two processes that exchange nothing, since even these share memory and cache. With latents shared, work counts the latents as well. Whiskers
# are the extremes of the rounds: a difference smaller than they are long is not one.

# %%
if scaling is not None:
    setups = scaling["setups"]
    columns = ([setup[key] for setup in setups.values()] for key in ("efficiency", "least", "most"))
    source = f"recorded by make bench, not by this page: {scaling['machine']['cpu']}, one thread per process\n{sizes(**scaling['work_per_process'])}"
    page.save_figure(plots.company(list(setups), *columns, source), "company", {"machine": scaling["machine"], "setups": setups})

# %% [markdown]
# Files: random autoencoders of every kind, written by one library, read by the other, and asked for a reconstruction of the same activations in
# double precision. The largest relative difference of each direction must be rounding.

# %%
for group in sorted({(row["library"], row["version"], row["direction"]) for row in files["rows"]}) if files is not None else ():
    worst = [row["difference"] for row in files["rows"] if (row["library"], row["version"], row["direction"]) == group]
    print(f"{' '.join(group):45} {len(worst):3} files, largest difference {max(worst):.1e}")
    assert max(worst) < files["limit"]

# %% [markdown]
# ## What stood and what did not
# Claims, bands, controls and verdicts of this run:

# %%
if record is not None and sweeps is not None:
    page.close()
else:
    print("The claims about time need what `make bench` recorded, which is in the repository's folder figures/16_speed.")
