"""Training steps at which published models have weights on the hub, and the revision that holds each.

The schedules are those of `transformer_lens.tools.model_registry.checkpoints`; a test holds the two together.
"""

STANFORD = (*range(0, 100, 10), *range(100, 2000, 50), *range(2000, 20_000, 100), *range(20_000, 400_001, 1000))
"""609 steps of the five small models. Whether the medium ones have any is disputed, so they are not in the table."""
SEEDS = {"alias": 21, "battlestar": 49, "caprica": 81, "darkmatter": 343, "expanse": 777}
STANFORD_SMALL = tuple(f"stanford-crfm/{name}-gpt2-small-x{seed}" for name, seed in SEEDS.items())
PYTHIA_LINEAR = tuple(range(1000, 143_001, 1000))
"""143 steps, all that the first edition of Pythia has (names that end in -v0)."""
PYTHIA = (0, *(2**power for power in range(10)), *PYTHIA_LINEAR)
"""154 steps: also the powers of two up to 512, and the start."""


def published_steps(name: str) -> tuple[int, ...]:
    """Steps published of a model of the hub, in order; none of one that is not in the table."""
    if name in STANFORD_SMALL:
        return STANFORD
    if name.startswith("EleutherAI/pythia-"):
        return PYTHIA_LINEAR if name.endswith("-v0") else PYTHIA
    return ()


def revision(name: str, step: int) -> str:
    """The revision that holds a step: step<N> of Pythia, checkpoint-<N> of Stanford's models and of others made with `transformers`."""
    return f"step{step}" if name.startswith("EleutherAI/pythia-") else f"checkpoint-{step}"
