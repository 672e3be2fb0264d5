"""The language model under study: its corpus, its training, its residual stream."""
