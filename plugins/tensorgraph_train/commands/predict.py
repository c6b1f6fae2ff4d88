"""``tensorgraph predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import tensorgraph as tg
from tensorgraph_train.commands import common
from tensorgraph_train.runfile import Settings


def predict(
    folder: common.Folder,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Image files.", show_default=False)
    ],
    backend: common.Backend = None,
    as_json: common.Json = False,
) -> None:
    """Say which class each image is of.

    Images are brought to the size and the channels that the model was trained with.
    """
    import numpy as np

    from tensorgraph_train import display, scores, steps
    from tensorgraph_train.checkpoint import load_model
    from tensorgraph_train.feed import Feed

    with common.scope(Settings(), backend, "")[1], tg.no_grad():
        card, model = load_model(folder)
        channels, *size = card.input
        worth = steps.pays(model, tg.Spec((1, *card.input), card.dtype), len(images), 1)
        infer, found = steps.inference(model, worth), []
        for path in images:
            one = tg.datasets["image"].load(path, resize=tuple(size), channels=channels)
            x = Feed(one, card.mean, card.std, card.dtype).images(np.arange(1))
            outputs, decision = scores.finite(infer(x).numpy()), card.decision or {}
            row = scores.probabilities(outputs, card.task, decision.get("temperature", 1.0))[0]
            best = int(row.argmax())
            found.append(
                {
                    "image": str(path),
                    "class": card.classes[best],
                    "probability": float(row[best]),
                    "probabilities": dict(zip(card.classes, map(float, row), strict=True)),
                }
            )
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        display.predictions(found)
