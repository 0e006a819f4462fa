"""The words of a trained bundle, ``docs/README.md``: what was measured, how it was trained, how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata

PAGE = """# {name}

{task}

## Measured

{measured}

{table}

## How it was trained

{trained}

```json
{settings}
```

## Use

```text
medseg predict {folder} INPUT OUTPUT
```

`LICENSE`, if it is there, is that of the configs that were copied. The licence of the weights may follow from that
of the data.
"""


def training_page(folder: Path, metadata: Metadata, record: Mapping[str, Any]) -> str:
    """Return the page of one run, with what its best validation measured."""
    split = json.loads((folder / "split.json").read_text(encoding="utf-8")) if _has(folder, "split.json") else {}
    cases = {name: len(split[name]) for name in ("training", "validation", "test") if name in split}
    outcome, machine, versions = record["outcome"], record["machine"], record["versions"]
    best = outcome["best"]
    rows = [
        (name, best.get(f"dice_{name}"), best.get(f"hd95_mm_{name}")) for name in metadata.label_names.values()
    ]
    measured = (
        f"On the {cases.get('validation', '')} validation cases of `split.json`, on the network's own grid, at "
        f"epoch {best['epoch']}.\nThey chose this epoch, so other cases will be somewhat worse."
    )
    trained = (
        f"{', '.join(f'{count} {name}' for name, count in cases.items())} cases; {outcome['epochs']} epochs, "
        f"{outcome['steps']} steps,\n{outcome['minutes']} minutes on {machine['processor']} ({machine['device']}, "
        f"{machine['threads']} threads), PyTorch {versions['torch']}, MONAI {versions['monai']}.\n"
        "All of it is in `run.json`."
    )
    return PAGE.format(
        name=metadata.name,
        task=metadata.task,
        measured=measured,
        table=table([*rows, ("**mean**", best["dice"], best.get("hd95_mm"))]),
        trained=trained,
        settings=json.dumps(record["settings"], indent=2),
        folder=folder.name,
    )


def table(rows: Sequence[tuple[str, float | None, float | None]]) -> str:
    """Return a table of a label's Dice and HD95, "" where there is no value."""
    lines = [
        f"| {name} | {'' if dice is None else f'{dice:.4f}'} | {'' if hd95_mm is None else f'{hd95_mm:.2f}'} |"
        for name, dice, hd95_mm in rows
    ]
    return "\n".join(["| label | Dice | HD95 mm |", "|---|---|---|", *lines])


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()
