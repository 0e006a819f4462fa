"""The keys that ``medseg train -h`` lists; ``docs/reference/bundles.md`` has the others too."""

from __future__ import annotations

OF_BUNDLE = "the bundle's"
# Key: default, meaning
TRAINING_KEYS: dict[str, tuple[str, str]] = {
    "output_dir": ("runs/<name>", "where the run goes; a bundle at its end"),
    "max_minutes": (OF_BUNDLE, "end after so long; 0 for no limit"),
    "max_epochs": (OF_BUNDLE, "end after so many epochs"),
    "val_interval": (OF_BUNDLE, "epochs between validations"),
    "batch_size": (OF_BUNDLE, "patches in a step"),
    "patches_per_case": (OF_BUNDLE, "patches drawn from a case in an epoch"),
    "learning_rate": (OF_BUNDLE, "the peak rate"),
    "seed": ("0", "of weights, order and augmentation"),
    "fold": ("null", "hold out one of nnU-Net's five folds, 0 to 4"),
    "patients": ("null", "CSV with case and patient, for the split"),
    "split_file": ("output_dir/split.json", "a split to use"),
    "init_from": ("null", "a bundle, run or file of weights to start from"),
    "freeze": ("0", "levels from the input that are not trained"),
    "resume": ("true", "go on from last.pt if it is there"),
    "device": ("auto", "auto, cpu, cuda or cuda:n"),
    "precision": ("auto", "auto, float32 or bfloat16"),
    "num_workers": ("0", "loader processes"),
    "cache_rate": ("1.0", "share of the cases kept in memory"),
}


def listed() -> str:
    """Return the keys as lines of help."""
    lines = [f"{key}={default}: {meaning}." for key, (default, meaning) in TRAINING_KEYS.items()]
    return "\n\n".join(["Keys, with their defaults (more are in docs/reference/bundles.md):", *lines])
