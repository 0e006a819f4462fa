"""The page that a planned bundle begins with: what the data is like, and why each number is what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medseg.planning.choices import Choices
from medseg.planning.fingerprint import Fingerprint


def readme(metadata: Mapping[str, Any], data: Fingerprint, chosen: Choices) -> str:
    """Return the text of the bundle's ``docs/README.md``."""
    name = metadata["name"]
    rows = [f"| `{key}` | {_cell(each.value)} | {_cell(each.reason)} |" for key, each in chosen.items()]
    labels = [_label_row(i, facts) for i, facts in data.labels.items()]
    lines = [
        f"# {name}",
        "",
        f"{metadata['description']}. **Not trained yet; nothing was measured.**",
        "",
        "## The data",
        "",
        f"{data.cases} labelled cases; `configs/plan.json` has the whole fingerprint.",
        "",
        "| label | name | cases | median ml | median pieces |",
        "|---|---|---|---|---|",
        *labels,
        "",
        "## The choices",
        "",
        "To change one, plan again with `KEY=VALUE`, or edit `configs/metadata.json`.",
        "",
        "| key | value | reason |",
        "|---|---|---|",
        *rows,
        "",
        "## Train and use",
        "",
        "```text",
        f"medseg train {name} --data DATASET output_dir=runs/{name}",
        f"medseg predict runs/{name} IMAGES runs/{name}/predictions",
        "```",
        "",
        "Research software; not a medical device. Configs: Apache-2.0; see `LICENSE` for the weights.",
        "",
    ]
    return "\n".join(lines)


def _label_row(label: int, facts: Mapping[str, Any]) -> str:
    ml, pieces = facts["ml"]["median"], facts["pieces"]["median"]
    return f"| {label} | {_cell(facts['name'])} | {facts['cases']} | {ml} | {pieces:g} |"


def _cell(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "×".join(f"{n:g}" if isinstance(n, (int, float)) else str(n) for n in value) or "none"
    return str(value).replace("|", "\\|").replace("\n", " ")
