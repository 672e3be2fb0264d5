"""A tiny model of every architecture, with random weights large enough that everything in it matters."""

import pytest
import torch

SIZES = dict(vocab_size=512, num_hidden_layers=3, hidden_size=32, num_attention_heads=4, intermediate_size=48, initializer_range=0.3)
ONES = dict(bos_token_id=0, eos_token_id=0, pad_token_id=None)
GROUPED = dict(num_key_value_heads=2, head_dim=8, tie_word_embeddings=False)
WINDOW = dict(sliding_window=5, layer_types=["sliding_attention", "full_attention", "sliding_attention"])


def configs():
    """model_type, or a name with a variant, -> configuration."""
    import transformers as hf

    neox = SIZES | ONES | dict(rope_parameters=dict(rope_type="default", rope_theta=10_000.0, partial_rotary_factor=0.25))
    gemma3 = SIZES | ONES | GROUPED | WINDOW
    caps = dict(final_logit_softcapping=2.0, attn_logit_softcapping=3.0)
    eyes = hf.SiglipVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    return {
        "gpt2": hf.GPT2Config(vocab_size=512, n_positions=32, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3, **ONES),
        "gpt_neox": hf.GPTNeoXConfig(**neox),
        "gpt_neox, one after the other": hf.GPTNeoXConfig(**neox, use_parallel_residual=False),
        "llama": hf.LlamaConfig(**SIZES, **ONES, **GROUPED),
        "gemma": hf.GemmaConfig(**SIZES, **ONES, **GROUPED),
        "gemma2": hf.Gemma2Config(**SIZES, **ONES, **GROUPED, **WINDOW, **caps),
        "gemma3_text": hf.Gemma3TextConfig(**gemma3),
        "mistral": hf.MistralConfig(**SIZES, **ONES, **GROUPED, sliding_window=5),
        "gemma3": hf.Gemma3Config(text_config=gemma3, vision_config=eyes, mm_tokens_per_image=4),
    }


def of_architecture(name: str):
    """The model, in evaluation mode; its norms multiply with random numbers too."""
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(configs()[name]).eval().requires_grad_(False)
        for path, parameter in model.named_parameters():
            if "norm" in path or "ln_" in path:
                parameter += 0.3 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="session")
def make():
    """`make("llama")` is a new one each time."""
    return of_architecture
