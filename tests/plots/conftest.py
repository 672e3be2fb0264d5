from types import SimpleNamespace

import pytest


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, in turn: bundles, widgets, and pictures, which an update replaces."""
    outputs = []

    def display(data, display_id=None, **_):
        outputs.append(data)
        at = len(outputs) - 1
        return SimpleNamespace(update=lambda new: outputs.__setitem__(at, new))

    monkeypatch.setattr("IPython.display.display", display)
    return outputs
