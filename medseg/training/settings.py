"""Numbers of a training run that a bundle's metadata may hold, and what they are where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULTS: Mapping[str, Any] = {
    "loss": "dice_focal",
    "class_weights": None,
    "dice_background": True,
    "optimizer": "adamw",
    "weight_decay": None,
    "decay": "cosine",
    "warmup": 0.02,
    "average_decay": 0.998,
    "clip_norm": 12.0,
    "accumulation_steps": 1,
    "iterations_per_epoch": 0,
    "patience": 0,
}


def setting(numbers: Mapping[str, Any], key: str) -> Any:
    """Return `key` of the section ``training`` of a bundle's metadata, or its default."""
    return numbers.get(key, DEFAULTS[key])
