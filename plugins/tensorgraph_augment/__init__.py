"""Augmentations: changes to whole batches of images, drawn anew for each image in each epoch."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_augment import geometry, intensity, mixing

FAMILIES = {
    geometry: "affine crop elastic flip_horizontal flip_vertical resize rotate scale shear "
    "translate",
    intensity: "blur brightness colour_jitter contrast erase gamma gaussian_noise speckle_noise",
    mixing: "cutmix mixup",
}


@hookimpl
def register_augmentations(register: Register) -> None:
    for module, names in FAMILIES.items():
        for name in names.split():
            register(name, getattr(module, name))


@hookimpl
def register_commands(register: Register) -> None:
    register("show", "tensorgraph_augment.command:show")
