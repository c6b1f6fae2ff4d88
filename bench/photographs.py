"""EfficientNet-Lite0 with ImageNet's weights: the classes of photographs, beside PyTorch's.

python bench/photographs.py    writes the table of docs/transfer.md; needs the extra peers

The photographs ship with scikit-learn and scikit-image, the names of the classes with timm. PyTorch
runs another port of the model (the package efficientnet-lite-pytorch) on the same pixels.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
from PIL import Image

import tensorgraph as tg

PHOTOGRAPHS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
)
NAMES = "data/_info/imagenet"  # of the classes; read, as timm itself imports torchvision
SIZE, BEST = 224, 5


def path_of(package, file):
    return Path(util.find_spec(package).origin).parent / file


def pixels(path, mean, std):
    """The square in the middle, 7/8 of the shorter side, as 224x224."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        side = round(min(image.size) * 7 / 8)
        left, top = ((n - side) // 2 for n in image.size)
        square = (left, top, left + side, top + side)
        x = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, square))
    x = (x.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def ours(x):
    """Probabilities of the 1,000 classes."""
    model = tg.models.efficientnet_lite0(1000)
    model.infer_shape(tg.Spec((1, 3, SIZE, SIZE), "float32"))
    tg.plugins.walk("transfer", model).load("pretrained", "efficientnet_lite0", head="keep")
    with tg.no_grad():
        return tg.ops.softmax(model.eval()(tg.tensor(x)), axis=-1).numpy()


def theirs(x):
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    path = tg.plugins.walk("published_weights", "efficientnet_lite0").path
    model.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        return model(torch.from_numpy(x)).softmax(1).numpy()


def named(probabilities):
    """The likeliest classes, with their percentages."""
    synsets = path_of("timm", f"{NAMES}_synsets.txt").read_text().split()
    lines = path_of("timm", f"{NAMES}_synset_to_lemma.txt").read_text().splitlines()
    words = dict(line.split("\t", 1) for line in lines)
    best = np.argsort(-probabilities)[:BEST]
    return [(words[synsets[i]].partition(",")[0], 100 * float(probabilities[i])) for i in best]


def table():
    """The rows, and how far apart the probabilities are at most."""
    scaling = tg.plugins.walk("published_weights", "efficientnet_lite0")
    files = [path_of(*photograph) for photograph in PHOTOGRAPHS]
    x = np.stack([pixels(file, scaling.mean, scaling.std) for file in files])
    one, two = ours(x), theirs(x)
    rows = [(file.name, named(p), named(q)) for file, p, q in zip(files, one, two)]
    return rows, float(np.abs(one - two).max())


def main():
    rows, apart = table()
    print("| photograph | TensorGraph | PyTorch |\n|---|---|---|")
    for name, *sides in rows:
        shown = (", ".join(f"{label} {share:.1f} %" for label, share in side) for side in sides)
        print(f"| `{name}` | {' | '.join(shown)} |")
    same = sum([a for a, _ in p] == [b for b, _ in q] for _, p, q in rows)
    print(f"\n{same} of {len(rows)} alike; probabilities differ by at most {apart:.1g}")


if __name__ == "__main__":
    main()
