"""Explanations: what decides the answers to a few test images, and whether the maps hold."""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import TensorgraphError
from tensorgraph_explain import pictures
from tensorgraph_explain.asking import answers
from tensorgraph_explain.methods import method, usual
from tensorgraph_explain.sanity import sanity

MOST = 4  # images
CONTROL = "edges"  # has to fail the check


def explanations(study: Any) -> str:
    """The section ``explanations`` of the report. It names no image."""
    if not study.card or study.task == "regression" or study.dataset is None:
        return ""
    try:
        model = study.model
    except (TensorgraphError, OSError):
        return ""  # the section on the model says why
    chosen = _chosen(study.dataset)
    x = _inputs(study, chosen)
    target = answers(model, x, None)
    maps, failed, rows = {}, [], []
    for asked in map(method, [*usual(model), CONTROL]):
        found = sanity(
            asked.run, model, x, target, draws=1, most=1
        )  # of large models it takes long
        rows.append([asked.name, asked.says, f"{int(found.passed.sum())} of {len(chosen)}"])
        if asked.name != CONTROL:
            maps[asked.name] = found.own
            failed += [asked.name] * (not found.passed.all())
    figure = _drawn(study, chosen, maps, [study.classes[t] for t in target])
    body: str = study.text(
        "What in an image decides the answer, for a few test images. A map counts only if "
        "it is another once the weights are random (Adebayo et al., 2018)."
    )
    if failed:
        body += study.text(
            f"The sanity check fails for some of these images with {', '.join(failed)}: such a map "
            "does not show what the model has learnt.",
            "caution",
        )
    said = (
        "On the left the images with the class that has the highest score, then each method's "
        "map: orange speaks for that class, blue against it."
    )
    body += study.figure(figure, said, f"{said} {len(chosen)} images, {len(maps)} methods.")
    return body + str(
        study.table(
            ["method", "shows", "sanity check passed"],
            rows,
            "The sanity checks. The control has to fail.",
        )
    )


def _chosen(dataset: tg.Dataset) -> Any:
    """Test images, the first of each class, and as many more as there is room for."""
    split = next((s for s in ("test", "val", "train") if len(dataset.splits.get(s, ()))), "train")
    indices = np.asarray(dataset.splits[split])
    labels = np.asarray(dataset.labels)[indices]
    kinds = labels if labels.ndim == 1 else labels.argmax(1)
    first = [int(np.argmax(kinds == k)) for k in np.unique(kinds)]
    return indices[[*first, *(i for i in range(len(indices)) if i not in first)][:MOST]]


def _inputs(study: Any, chosen: Any) -> tg.Tensor:
    """The images as the model takes them."""
    card, dataset = study.card, study.dataset
    raw = np.asarray(dataset.images[chosen], np.float64) / dataset.white
    per_channel = (1, -1, *(1,) * (raw.ndim - 2))
    mean, std = (np.reshape(card[key], per_channel) for key in ("mean", "std"))
    return tg.tensor(((raw - mean) / std).astype(card["dtype"]))


def _drawn(study: Any, chosen: Any, maps: Any, said: list[str]) -> Any:
    columns = len(maps) + 1
    figure = study.plot(1.5 * columns, 1.6 * len(chosen))
    grid = figure.subplots(len(chosen), columns, squeeze=False)
    for row, (place, label) in enumerate(zip(chosen, said, strict=True)):
        image = np.asarray(study.dataset.images[np.array([place])])[0]
        shown = [(label, pictures.grey(pictures.flat(image), study.dataset.white))]
        for name, values in maps.items():
            at = pictures.slice_of(values[row])
            drawn = pictures.over(image, study.dataset.white, values[row], at)
            shown.append((name.replace("_", " ") if row == 0 else "", drawn))
        for axes, (title, colours) in zip(grid[row], shown, strict=True):
            axes.imshow(colours)
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
    return figure
