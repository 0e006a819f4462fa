"""The words of a bundle that is made of folds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata

PAGE = """# {name}

{task}

## Measured

Each of {cases} cases was predicted by the network that had held it out, on the case's own grid. It chose that
fold's epoch, and all of them the postprocessing (`largest_component` {chosen}), and nothing else.

| label | Dice | 95 % interval | HD95 mm |
|---|---|---|---|
{rows}

Every case is in `out_of_fold/cases.csv`. This bundle's label maps are of the mean of the {folds} networks.

| fold | best epoch | steps | minutes |
|---|---|---|---|
{runs}

## Use

```text
medseg predict {folder} INPUT OUTPUT
```

`LICENSE`, if it is there, is that of the configs that were copied. The licence of the weights may follow from that
of the data.
"""


def folds_page(folder: Path, metadata: Metadata, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return ``docs/README.md`` of an ensemble of folds."""
    entries = [*((label["name"], label) for label in summary["labels"].values()), ("**mean**", summary["mean"])]
    return PAGE.format(
        name=metadata.name,
        task=metadata.task,
        cases=summary["mean"]["dice"]["n"],
        chosen=result["largest_component"],
        rows="\n".join(_row(name, entry) for name, entry in entries),
        folds=len(result["folds"]),
        runs="\n".join(
            f"| {k} | {run['best']['epoch']} | {run['steps']} | {run['minutes']} |"
            for k, run in sorted(result["folds"].items())
        ),
        folder=folder.name,
    )


def _row(name: str, entry: Mapping[str, Any]) -> str:
    dice, hd95_mm = entry["dice"], entry["hd95_mm"]
    values = [dice["mean"], *dice["ci95"], hd95_mm["mean"]]
    mean, low, high, distance = ("" if value is None else f"{value:.4f}" for value in values)
    return f"| {name} | {mean} | {low} to {high} | {distance} |"
