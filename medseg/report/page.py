"""``report.html``: one file that needs nothing else, and PNG of the worst cases beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medseg.files import atomic, write_text
from medseg.metrics import lower_is_better
from medseg.report import pictures
from medseg.report.distributions import distribution
from medseg.report.evidence import Evidence, gather
from medseg.report.findings import findings
from medseg.report.numbers import case_number, direction, has, mean, metrics_of, number, shown, title
from medseg.report.scenes import Scene, Views

TEMPLATE = Path(__file__).with_name("template")
OVERLAYS = 3  # of the worst cases, written as PNG
NAMED_AT_ONCE = 8  # longer lists are folded


def write_report(
    output: Path,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    cases: Sequence[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], Views],
    *,
    show: Sequence[str] = (),
) -> None:
    """Write ``report.html`` and, below ``overlays/``, PNG of the worst cases.

    Parameters
    ----------
    output
        Folder to write to.
    summary
        What ``summary.json`` holds.
    rows
        The rows of ``cases.csv`` as Python values, None where there is none.
    cases
        The compared cases, each with its ``id``.
    read
        Gives a case's `Views`; called from several threads.
    show
        Ids of cases whose slices must be in the report whatever their place.
    """
    models = summary.get("comparison", {}).get("models") or [None]
    metrics, main = metrics_of(summary)
    names = {i: label["name"] for i, label in summary["labels"].items()}
    listed = worst_first(cases, rows, models, main)
    by_id = {case["id"]: case for case in cases}
    worst = {case["id"]: case for case in listed[:OVERLAYS]}
    draw = partial(_poster, worst=worst, models=models, main=main)
    evidence = gather([by_id[case["id"]] for case in listed], read, show=show, names=names, draw=draw)
    _write_overlays(output / "overlays", list(worst), evidence)
    context = {
        "summary": summary,
        "models": models,
        "metrics": metrics,
        "main": main,
        "definitions": {metric: text for metric, text in summary["definitions"].items() if metric in metrics},
        "policy": {key: value for key, value in summary["policy"].items() if key != "empty_cases"},
        "cases": listed,
        "evidence": evidence,
        "plots": [distribution(metric, rows, names, models) for metric in main],
        "differences": _differences(summary, main) if len(models) > 1 else [],
        "legend": pictures.LEGEND,
        "places": {case["id"]: place for place, case in enumerate(listed, start=1)},
        **_volumes(evidence),
        "whose_facts": {key: value for key, value in summary["provenance"].items() if key != "sha256"},
        "groups": summary.get("groups") or {},
        "hashes": summary["provenance"].get("sha256") or {},
        **findings(summary, rows, main[0]),
    }
    write_text(output / "report.html", _environment(summary).get_template("report.html.jinja").render(context))


def _poster(
    case: Mapping[str, Any],
    scene: Scene,
    *,
    worst: Mapping[str, Mapping[str, Any]],
    models: Sequence[str | None],
    main: Sequence[str],
) -> bytes | None:
    """Draw a picture of its own for one of the worst cases."""
    if case["id"] not in worst:
        return None
    means = worst[case["id"]]["models"]
    return pictures.poster(scene, case["id"], [_caption(m, means[m]["means"], main) for m in models])


def _write_overlays(folder: Path, worst: Sequence[str], evidence: Mapping[str, Evidence]) -> None:
    for old in folder.glob("worst_[0-9]*_*.png"):  # an earlier evaluation's
        old.unlink(missing_ok=True)
    for place, name in enumerate(worst, start=1):
        poster = evidence[name].poster if name in evidence else None
        if poster:
            with atomic(folder / f"worst_{place}_{file_name(name)}.png") as part:
                part.write_bytes(poster)


def _volumes(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Return the volumes to scroll through, and what the page's script has to know of them.

    Their base64 needs no escaping.
    """
    packed = [(name, its) for name, its in evidence.items() if its.volume and its.facts]
    facts = {
        "cases": [{"id": name, **(its.facts or {})} for name, its in packed],
        "colours": {
            "reference": pictures.REFERENCE,
            "prediction": pictures.PREDICTION,
            "missed": pictures.MISSED,
            "invented": pictures.INVENTED,
            "confused": pictures.CONFUSED,
        },
        "opacity": pictures.FILL_OPACITY,
        "no_image": pictures.NO_IMAGE,
    }
    return {
        "volumes": facts,
        "packed": [(name, Markup(its.volume)) for name, its in packed],
    }


def _environment(summary: Mapping[str, Any]) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "named_at_once": NAMED_AT_ONCE,
        "num": partial(number, summary),
        "has": partial(has, summary),
        "case_num": case_number,
        "title": title,
        "direction": direction,
        "maker": maker,
        "plain": lambda name: Markup((TEMPLATE / name).read_text(encoding="utf-8")),  # style and script, our own
    }
    return made


def maker(bundle: Mapping[str, Any]) -> str:
    """Return what made predictions: the bundle, and the weights where they are not its own."""
    told = f"{bundle['name']} {bundle['version']}"
    if not bundle.get("weights"):
        return told
    hashes = bundle["weights_sha256"]
    digests = [hashes] if isinstance(hashes, str) else hashes
    given = (f"{name} (SHA-256 {digest[:12]}…)" for name, digest in zip(bundle["weights"], digests, strict=False))
    return f"the network of {told} with weights that are not its own: {', '.join(given)}"


def worst_first(
    cases: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    models: Sequence[str | None],
    main: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the cases by their mean of the first metric over labels (and models), the worst first, None last.

    Each has ``id`` and ``models``: by model the ``means`` of the main metrics and the ``worst`` row, or None.
    """
    rows_of: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for row in rows:
        rows_of.setdefault((row["case"], row.get("model")), []).append(row)
    sign = 1 if lower_is_better(main[0]) else -1

    def entry(name: str) -> dict[str, Any]:
        by_model = {}
        for model in models:
            found = rows_of.get((name, model), [])
            scored = [row for row in found if row[main[0]] is not None]
            by_model[model] = {
                "means": {metric: mean([row[metric] for row in found]) for metric in main},
                "worst": max(scored, key=lambda row: sign * row[main[0]], default=None),
            }
        return {"id": name, "models": by_model}

    def badness(case: Mapping[str, Any]) -> tuple[bool, float, str]:
        score = mean([model["means"][main[0]] for model in case["models"].values()])
        return score is None, 0.0 if score is None else -sign * score, case["id"]

    return sorted((entry(case["id"]) for case in cases), key=badness)


def _caption(model: str | None, means: Mapping[str, float | None], main: Sequence[str]) -> str:
    numbers = "   ".join(f"{title(metric)} {shown(means[metric], metric)}" for metric in main)
    return f"mean over labels:   {numbers}" if model is None else f"{model}:   {numbers}"


def file_name(case: str) -> str:
    """Return a case's id as a part of a file's name, which may have 255 bytes in all."""
    return re.sub(r"[^\w.-]+", "_", case)[:100].encode()[:200].decode(errors="ignore")


def _differences(summary: Mapping[str, Any], main: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each main metric the lines of its table, with where the intervals lie on a common axis."""
    found = summary["comparison"]["difference"]
    tables = []
    for metric in main:
        paths = [("mean",), *(("labels", i) for i in summary["labels"])]
        entries = [found["mean"][metric], *(found["labels"][i][metric] for i in summary["labels"])]
        ends = [abs(end) for entry in entries for end in (*entry["ci95"], entry["mean"]) if end is not None]
        widest = max(ends, default=0.0) or 1.0
        lines = []
        for path, entry in zip(paths, entries, strict=True):
            low, high = entry["ci95"]
            at = None if low is None else [round(500 + 480 * end / widest) for end in (low, entry["mean"], high)]
            lines.append({"path": path, "at": at, "apart": low is not None and (low > 0 or high < 0)})
        tables.append({"metric": metric, "lines": lines})
    return tables
