"""What the commands print as tables. Light to import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

SHOWN = (("dice", "Dice", 3), ("hd95_mm", "HD95 mm", 2), ("nsd", "NSD", 3))


INSPECTED = ("source", "files", "modality", "series", "shape", "spacing mm", "axes", "verdict", "codes: remedy")


def inspection_table(rows: list[dict[str, Any]], root: Path) -> Table:
    """Return `api.inspect`'s rows as a table; sources are given below `root`."""
    table = Table()
    for name in INSPECTED[:-1]:
        table.add_column(name, overflow="fold")
    table.add_column(INSPECTED[-1], overflow="fold", min_width=28)  # the longest codes on one line
    for row in rows:
        *cells, remedies = _inspected(row, root)
        table.add_row(*cells, "\n".join(remedies))
    return table


def inspection_lines(rows: list[dict[str, Any]], root: Path) -> Iterator[str]:
    """Yield the same as lines for other programs: one a row, cells apart by tabs, the headings first."""
    for *cells, remedies in ([*INSPECTED[:-1], [INSPECTED[-1]]], *(_inspected(row, root) for row in rows)):
        yield "\t".join(" ".join(cell.split()) for cell in (*cells, "; ".join(remedies)))


def _inspected(row: dict[str, Any], root: Path) -> list[Any]:
    source, root = Path(row["source"]), root.expanduser().resolve()
    shape, spacing_mm = (row[key] or [] for key in ("shape", "spacing_mm"))
    return [
        printable(
            str(source.relative_to(root) if source.is_relative_to(root) and source != root else source.name)
        ),
        str(row["files"]),
        row["modality"],
        printable(f"{row.get('series_number', '')} {row.get('description', '')}".strip()),
        "×".join(map(str, shape)) + (f", {row['channels']} channels" if row["channels"] > 1 else ""),
        "×".join(f"{mm:.3g}" for mm in spacing_mm),
        row["orientation"] or "",
        row["verdict"],
        [f"{code}: {remedy}" for code, remedy in zip(row["codes"], row["remedy"], strict=True)],
    ]


def inspection_summary(rows: list[dict[str, Any]]) -> str:
    """Return how many rows have which verdict, and how many cases hold several volumes."""
    verdicts = Counter(row["verdict"] for row in rows)
    volumes = Counter(row["case"] for row in rows if row["verdict"] != "skipped")
    several = sum(count > 1 for count in volumes.values())
    told = f"{verdicts['ok']} ok, {verdicts['refused']} refused, {verdicts['skipped']} skipped"
    which = "name one by --series-uid, --description or --modality"
    return told if not several else f"{told}; cases of several volumes: {several}, {which}"


def fingerprint_table(data: dict[str, Any]) -> Table:
    """Return what a data set is like as a table: median, smallest and largest."""
    table = _table(
        "", "median", "smallest", "largest", title=f"{data['cases']} cases, {' and '.join(data['modalities'])}"
    )
    for key, heading in (("spacing_mm", "spacing mm"), ("shape", "shape"), ("shape_cropped", "shape, cropped")):
        table.add_row(
            heading, *("×".join(f"{n:.3g}" for n in data[key][part]) for part in ("median", "min", "max"))
        )
    for name, facts in data["labelled_voxels"].items():
        cells = (f"{facts[part]:.4g}" for part in ("median", "low", "high"))
        table.add_row(printable(f"{name}, labelled voxels (0.5 to 99.5 %)"), *cells)
    return table


def labels_table(data: dict[str, Any]) -> Table:
    """Return a data set's labels as a table."""
    table = _table("label", "name", "cases", "median ml (range)", "pieces (most)", title=None)
    for i, facts in data["labels"].items():
        ml, pieces = facts["ml"], facts["pieces"]
        size = f"{ml['median']:.3g} ({ml['min']:.3g} to {ml['max']:.3g})"
        table.add_row(
            i, printable(facts["name"]), str(facts["cases"]), size, f"{pieces['median']:g} ({pieces['max']})"
        )
    return table


def choices_lines(choices: dict[str, Any]) -> Iterator[str]:
    """Yield a plan's choices, one a line as it could be given, each with its reason."""
    for key, choice in choices.items():
        yield printable(f"{key}={choice['value']}  # {choice['reason']}")


def batch_table(records: list[dict[str, Any]], before: dict[str, Any], elapsed_s: float) -> Table:
    """Return how a batch ended: what was done now and what before, and which codes what failed has."""
    old = sum(record == before.get(record["case"]) for record in records)
    failed = Counter(record["codes"][0] for record in records if record["status"] == "failed")
    tried = len(records) - old
    table = Table("cases", "")
    table.add_row("done", str(tried - failed.total()))
    table.add_row("done before", str(old))
    for code, count in failed.most_common():
        table.add_row(f"failed {code}", str(count))
    table.add_row("cases/min", f"{60 * tried / elapsed_s:.1f}" if tried else "–")
    return table


def printable(text: str) -> str:
    """Return `text` without what no terminal can show: bytes of a file's name that are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def summary_table(summary: dict[str, Any], *, title: str | None = None) -> Table:
    """Return a model's part of ``summary.json`` as a table: mean and 95 % interval of each label."""
    table = _table("label", "cases", *(f"{heading} (95 %)" for _, heading, _ in SHOWN), title=title)
    rows = [(entry["name"], entry) for entry in summary["labels"].values()]
    for name, entry in [*rows, ("mean", summary["mean"])]:
        cells = [_mean_and_interval(entry[metric], digits) for metric, _, digits in SHOWN]
        table.add_row(printable(name), str(entry["n"]), *cells)
    return table


def difference_table(comparison: dict[str, Any]) -> Table:
    """Return the paired differences of two models as a table: mean, 95 % interval and Holm-corrected p."""
    shown = SHOWN[:2]  # what a line has room for
    headings = (column for _, heading, _ in shown for column in (f"{heading} (95 %)", "p"))
    table = _table("label", "pairs", *headings, title=f"{' minus '.join(comparison['models'])}, paired")
    labels, mean = comparison["difference"]["labels"], comparison["difference"]["mean"]
    names = {i: entry["name"] for i, entry in comparison["second"]["labels"].items()}
    for name, entry in [*((names[i], labels[i]) for i in labels), ("mean", mean)]:
        cells = []
        for metric, _, digits in shown:
            p = entry[metric]["p_holm"]
            cells.append(_mean_and_interval(entry[metric], digits))
            cells.append("–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}")
        table.add_row(printable(name), str(entry["dice"]["n"]), *cells)
    return table


def _table(*headings: str, title: str | None) -> Table:
    look: dict[str, Any] = {"box": SIMPLE_HEAD, "show_edge": False, "padding": (0, 1, 0, 0)}  # fits 80 characters
    return Table(*headings, title=title, title_justify="left", **look)


def _mean_and_interval(entry: dict[str, Any], digits: int) -> str:
    mean, (low, high) = entry["mean"], entry["ci95"]
    if mean is None:
        return "–"
    return f"{mean:.{digits}f}" if low is None else f"{mean:.{digits}f} ({low:.{digits}f}, {high:.{digits}f})"
