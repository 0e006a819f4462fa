"""Every key of ``metadata.json`` below ``medseg``, and of ``train.json`` to be set, with what it may be.

``docs/reference/metadata.md`` says what each means; tests compare the two.
"""

from __future__ import annotations

from medseg.bundle.rules import (
    ANYTHING,
    AXES,
    BOOLEAN,
    FRACTION,
    NULL,
    OBJECT,
    PATH,
    TEXT,
    Rule,
    either,
    integer,
    list_of,
    not_empty,
    number,
    one_of,
    rising,
)

POSITIVE, NOT_NEGATIVE = number(1e-12), number(0)
COUNT = integer(1)
TOP: dict[str, Rule] = {
    "patch_size": list_of(COUNT, 2, 3),
    "regions": either(OBJECT, NULL),
    "ignore_label": either(integer(0), NULL),
    "segments": OBJECT,
}
SECTIONS: dict[str, dict[str, Rule]] = {
    "split": {"seed": integer(0), "validation": FRACTION, "test": FRACTION, "by_patient": BOOLEAN},
    "preprocessing": {
        "intensity": either(OBJECT, list_of(OBJECT)),
        "orientation": TEXT,
        "spacing_mm": either(list_of(either(POSITIVE, one_of(-1)), 3), NULL),
        "crop_above": either(number(), NULL),
        "interpolation": one_of("linear", "cubic"),
        "coarse_axis": either(one_of(0, 1, 2), NULL),
    },
    "augmentation": {
        "flip_axes": AXES,
        "rotate_rad": either(NOT_NEGATIVE, list_of(NOT_NEGATIVE)),
        "scale": either(number(0, below=1), rising(POSITIVE)),
        "shear": NOT_NEGATIVE,
        "shift": NOT_NEGATIVE,
        "elastic_voxels": NOT_NEGATIVE,
        "probabilities": either(OBJECT, NULL),
        "foreground_patches": BOOLEAN,
        "foreground_share": either(FRACTION, NULL),
    },
    "network": {
        "architecture": TEXT,
        "spatial_dims": one_of(2, 3),
        "labels": COUNT,
        "features": not_empty(list_of(COUNT)),
        "channels": COUNT,
        "full_resolution": BOOLEAN,
        "residual_units": integer(0),
        "normalization": one_of("instance", "batch"),
        "activation": TEXT,
        "dropout": number(0, below=1),
        "kernels": either(list_of(list_of(COUNT)), NULL),
        "strides": either(list_of(list_of(COUNT)), NULL),
        "deep_supervision": BOOLEAN,
    },
    "training": {
        "max_epochs": COUNT,
        "max_minutes": either(NOT_NEGATIVE, NULL),
        "val_interval": COUNT,
        "batch_size": COUNT,
        "patches_per_case": COUNT,
        "learning_rate": POSITIVE,
        "loss": TEXT,
        "class_weights": either(list_of(NOT_NEGATIVE), NULL),
        "dice_background": BOOLEAN,
        "optimizer": TEXT,
        "weight_decay": either(NOT_NEGATIVE, NULL),
        "decay": TEXT,
        "warmup": FRACTION,
        "average_decay": number(0, below=1),
        "clip_norm": NOT_NEGATIVE,
        "accumulation_steps": COUNT,
        "iterations_per_epoch": integer(0),
        "patience": integer(0),
    },
    "inference": {
        "overlap": number(0, below=1),
        "batch_size": COUNT,
        "adapt": BOOLEAN,
        "mirror_axes": AXES,
    },
    "postprocessing": {"largest_component": list_of(either(integer(1), list_of(integer(1))))},
}
INTENSITY: dict[str, dict[str, Rule]] = {
    "mr": {"kind": TEXT, "percentiles": either(rising(number(0, 100)), NULL)},
    "ct": {
        "kind": TEXT,
        "window_hu": either(rising(number()), NULL),
        "percentiles": either(rising(number(0, 100)), NULL),
        "mean_hu": number(),
        "sd_hu": POSITIVE,
    },
}
REQUIRED = {"network": ("spatial_dims", "labels", "features"), "preprocessing": ("intensity",)}
# Ids of ``train.json``; those of `SECTIONS` ``training`` are there under the same names
TRAINING_IDS: dict[str, Rule] = {
    **SECTIONS["training"],
    "loss": ANYTHING,  # the loss and the optimizer themselves
    "optimizer": ANYTHING,
    "seed": integer(0, 2**32 - 1),
    "device": TEXT,
    "precision": one_of("auto", "float32", "bfloat16"),
    "num_workers": integer(0),
    "cache_rate": FRACTION,
    "resume": BOOLEAN,
    "fold": either(integer(0, 4), NULL),
    "patients": either(PATH, NULL),
    "init_from": either(PATH, NULL),
    "freeze": integer(0),
    "decay": one_of("cosine", "poly", "constant", "plateau"),
}
INFERENCE_IDS: dict[str, Rule] = {
    "mirror_axes": AXES,
    "device": TEXT,
    "precision": TRAINING_IDS["precision"],
    "jobs": COUNT,
}
