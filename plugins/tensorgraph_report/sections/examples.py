"""Examples: some training images of each class, as the model is given them."""

from __future__ import annotations

import numpy as np

from tensorgraph_report.sections import sized
from tensorgraph_report.study import Study

MOST, EACH = 60, 8  # images in all, and of one class


def examples(study: Study) -> str:
    dataset = study.dataset
    if dataset is None or study.task == "regression" or not len(dataset.names):
        return ""
    train = np.asarray(dataset.splits.get("train", ()))
    labels = np.asarray(dataset.labels)[train]
    each = max(2, min(EACH, MOST // max(len(dataset.classes), 1)))
    body = ""
    for i, name in enumerate(dataset.classes[: MOST // each]):
        own = train[labels[:, i] == 1 if labels.ndim == 2 else labels == i]
        if not len(own):
            continue
        chosen = own[np.linspace(0, len(own) - 1, min(each, len(own))).astype(int)]
        body += study.gallery(
            [str(dataset.names[j]) for j in chosen],
            [""] * len(chosen),
            f"{name}: {len(chosen)} of {len(own):,} training images, at equal distances in the "
            "order of the data.",
            f"a training image of class {name}",
        )
    if not body:
        return ""
    shape = dataset.images.shape[1:]
    middle = " Of a volume its middle slice is shown." if len(shape) > 3 else ""
    intro = study.text(
        f"As the model is given them: {sized(shape)}, before standardisation.{middle} "
        "Look for labels, markers and borders that are on the images of one class only: a model "
        "learns them sooner than the disease."
    )
    return intro + body
