"""Writes small autoencoders with the SAELens that is installed, each beside what that library makes of a few activations.

    python tests/benchmarks/saelens_fixtures.py FOLDER

`make test-peers` runs it under three versions, whose files differ: hook_point (2), flat keys (5), and what is current. What they
wrote is kept in tests/fixtures/saelens, where tests/sae/test_published.py opens it without any of them.
"""

import contextlib
import io
import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

warnings.filterwarnings("ignore")
with contextlib.redirect_stdout(io.StringIO()):
    import sae_lens

D, L, K, TOKENS = 6, 12, 3, 8
SITE = "blocks.1.hook_resid_pre"
GENERATION = int(sae_lens.__version__.partition(".")[0])
Case = tuple[str, Tensor, Tensor, float]
"""Folder, latents, reconstruction, and the factor that activations were multiplied by, 0 for none."""


def drawn(*size: int, seed: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


ACTS = 2 + drawn(TOKENS, D, seed=1) * (0.5 + torch.arange(TOKENS)[:, None] / TOKENS)


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """The model with every tensor drawn anew; thresholds above zero."""
    for seed, (name, tensor) in enumerate(sorted(model.state_dict().items())):
        if "scaling_factor" not in name:
            values = drawn(*tensor.shape, seed=seed)
            tensor.copy_(0.2 + values.abs() if name == "threshold" else 0.4 * values)
    return model


@torch.no_grad()
def answers(model: torch.nn.Module, name: str, acts: Tensor = ACTS, factor: float = 0.0) -> Case:
    latents = model.encode(acts)
    return name, latents, model.decode(latents), factor


# --- version 6 ---


def current(folder: Path) -> Iterator[Case]:
    for name, architecture, settings in (
        ("standard_none", "standard", {}),
        ("standard_float16", "standard", dict(dtype="float16", normalize_activations="layer_norm")),
        ("topk_rescaled", "topk", dict(k=K, rescale_acts_by_decoder_norm=True, normalize_activations="constant_norm_rescale")),
        ("gated_rescaled", "gated", dict(normalize_activations="constant_norm_rescale", apply_b_dec_to_input=False)),
        ("jumprelu_bfloat16", "jumprelu", dict(dtype="bfloat16")),
        ("jumprelu_scaled", "jumprelu", dict(normalize_activations="expected_average_only_in")),
        ("topk_scaled", "topk", dict(k=K, rescale_acts_by_decoder_norm=False, normalize_activations="expected_average_only_in")),
    ):
        which, config = sae_lens.registry.get_sae_class(architecture)
        metadata = sae_lens.saes.sae.SAEMetadata(model_name="tiny", hook_name=SITE)
        randomised(which(config(d_in=D, d_sae=L, metadata=metadata, **settings))).save_model(folder / name)
        yield scaled(name, sae_lens.SAE.load_from_disk(folder / name, dtype="float32"))
    yield published_keys(folder)
    yield gemma_scope(folder)


def scaled(name: str, model: torch.nn.Module) -> Case:
    """With its factor estimated and folded in by the library, where it has one."""
    if model.cfg.normalize_activations != "expected_average_only_in":
        return answers(model, name)
    from sae_lens.training.activation_scaler import ActivationScaler

    scaler = ActivationScaler()
    scaler.estimate_scaling_factor(D, iter([ACTS]), n_batches_for_norm_estimate=1)
    model.fold_activation_norm_scaling_factor(scaler.scaling_factor)
    return answers(model, name, factor=scaler.scaling_factor)


def published_keys(folder: Path) -> Case:
    """The keys of gpt2-small-res-jb, which state no version and that the model's writing weights were centred."""
    which, config = sae_lens.registry.get_sae_class("standard")
    randomised(which(config(d_in=D, d_sae=L))).save_model(folder / "res_jb")
    keys = dict(model_name="gpt2-small", hook_point=SITE, hook_point_layer=1, hook_point_head_index=None, d_in=D, d_sae=L, dtype="torch.float32")
    keys |= dict(dataset_path="Skylion007/openwebtext", is_dataset_tokenized=False, context_size=128, device="mps", seed=42, expansion_factor=2)
    keys |= dict(total_training_tokens=300000000, l1_coefficient=8e-05, use_ghost_grads=False, from_pretrained_path=None, lr_scheduler_name=None)
    keys |= dict(b_dec_init_method="geometric_median", model_from_pretrained_kwargs=dict(center_writing_weights=True))
    (folder / "res_jb" / "cfg.json").write_text(json.dumps(keys))
    model = sae_lens.SAE.load_from_disk(folder / "res_jb")
    return answers(model, "res_jb", ACTS - ACTS.mean(dim=1, keepdim=True))


def gemma_scope(folder: Path) -> Case:
    """The arrays of a params.npz, through the library's own reader of them, the download apart."""
    from sae_lens.loading import pretrained_sae_loaders as loaders

    (folder / "gemma_scope").mkdir()
    path = folder / "gemma_scope" / "params.npz"
    shapes = dict(W_enc=(D, L), W_dec=(L, D), b_enc=(L,), b_dec=(D,), threshold=(L,))
    arrays = {name: 0.4 * drawn(*size, seed=seed).numpy() for seed, (name, size) in enumerate(shapes.items())}
    np.savez(path, **arrays | dict(threshold=0.2 + np.abs(arrays["threshold"])))
    with mock.patch.object(loaders, "hf_hub_download", return_value=str(path)):
        sizes = dict(d_in=D, d_sae=L)
        found = loaders.gemma_2_sae_huggingface_loader("google/gemma-scope-2b-pt-res", "layer_20/width_16k/average_l0_71", "cpu", cfg_overrides=sizes)
    model = sae_lens.SAE.from_dict(loaders.handle_config_defaulting(found[0]))
    model.load_state_dict(found[1])
    return answers(model, "gemma_scope")


# --- before version 6 ---


def flat(folder: Path) -> Iterator[Case]:
    """Version 5: flat keys, four architectures in one class, and factors of the latents that are in use."""
    common = dict(model_name="tiny", hook_name=SITE, hook_layer=1, hook_head_index=None, d_in=D, d_sae=L, dtype="float32", device="cpu")
    common |= dict(prepend_bos=True, dataset_path="none", dataset_trust_remote_code=False, context_size=8, sae_lens_training_version="5.11.0")
    for name, settings in dict(
        standard_finetuned=dict(architecture="standard", finetuning_scaling_factor=True, apply_b_dec_to_input=False),
        topk_layer_norm=dict(architecture="standard", activation_fn_str="topk", activation_fn_kwargs=dict(k=K), normalize_activations="layer_norm"),
        gated_rescaled=dict(architecture="gated", normalize_activations="constant_norm_rescale"),
        jumprelu_scaled=dict(architecture="jumprelu", normalize_activations="expected_average_only_in"),
    ).items():
        defaults = dict(activation_fn_str="relu", normalize_activations="none", apply_b_dec_to_input=True, finetuning_scaling_factor=False)
        model = randomised(sae_lens.SAE(sae_lens.SAEConfig(**common | defaults | settings)))
        if settings.get("finetuning_scaling_factor"):
            model.finetuning_scaling_factor.data = 1 + 0.3 * drawn(L, seed=9)
        model.save_model(str(folder / name), sparsity=drawn(L, seed=8))
        factor = 0.0
        if model.cfg.normalize_activations == "expected_average_only_in":
            model.fold_activation_norm_scaling_factor(factor := 0.75)
        yield answers(model, name, factor=factor)


def hook_point(folder: Path) -> Iterator[Case]:
    """Version 2: the configuration of a training run, and factors of the latents that are all ones."""
    from sae_lens.training.config import LanguageModelSAERunnerConfig
    from sae_lens.training.sparse_autoencoder import SparseAutoencoder

    for name, settings in dict(standard=dict(), standard_uncentred=dict(apply_b_dec_to_input=False)).items():
        sizes = dict(model_name="tiny", hook_point=SITE, hook_point_layer=1, d_in=D, d_sae=L, expansion_factor=2, log_to_wandb=False, device="cpu")
        sizes |= dict(b_dec_init_method="zeros", dtype=torch.float32, checkpoint_path="none", wandb_id="none", verbose=False)
        config = LanguageModelSAERunnerConfig(**sizes, **settings)
        model = randomised(SparseAutoencoder(config))
        model.save_model(str(folder / name))
        yield answers(model, name)


def main() -> None:
    folder = Path(sys.argv[1]) / sae_lens.__version__
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.redirect_stdout(io.StringIO()):
        for name, latents, rebuilt, factor in {2: hook_point, 5: flat, 6: current}[GENERATION](folder):
            kept = dict(acts=ACTS, latents=latents, rebuilt=rebuilt, factor=torch.tensor(factor, dtype=torch.float64))
            save_file({key: value.detach().contiguous() for key, value in kept.items()}, folder / name / "expected.safetensors")
    print(f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())} bytes in {folder}")


if __name__ == "__main__":
    main()
