"""The command ``tensorgraph plugin_name``."""

import tensorgraph as tg
from tensorgraph.errors import ConfigError


def run(model: str, classes: int = 10, image: str = "1,28,28") -> None:
    """Count the parameters of a model.

    IMAGE is channels,height,width: the size of the first weights may depend on it.
    """
    try:
        spec = tg.Spec((1, *map(int, image.split(","))), "float32")
    except ValueError:
        raise ConfigError(f"--image {image!r}: give numbers, such as 3,32,32") from None
    layer = tg.models[model](classes=classes)
    layer.infer_shape(spec)
    parameters = layer.named_parameters()
    for name, p in parameters.items():
        print(f"{p.size:>12,}  {name} {list(p.shape)}")
    print(f"{sum(p.size for p in parameters.values()):>12,}  in all")
