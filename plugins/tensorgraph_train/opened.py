"""What other plugins open of a run folder: its model, and its images."""

from __future__ import annotations

from pathlib import Path

import tensorgraph as tg
from tensorgraph_train import checkpoint, prepare, runfile


def model(folder: Path) -> tg.Layer:
    """The walk ``trained_model``: the model, ready to predict."""
    return checkpoint.load_model(folder)[1]


def images(folder: Path) -> tg.Dataset:
    """The walk ``run_images``: the run's own data, as its model takes them."""
    card, _ = checkpoint.read_model(folder)
    stored_at = folder / prepare.RUN_FILE
    settings = runfile.settings(runfile.read(stored_at), {}, str(stored_at))
    return prepare.dataset_for(card, settings, None)
