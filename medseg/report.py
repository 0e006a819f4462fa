"""The report that people look at: one self-contained HTML file, and PNG beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from medseg.pictures import label_colours, may_be_shown, overlay, worst_slice
from medseg.scenes import Views
from medseg.write import atomic, write_text

__all__ = ["Views", "may_be_shown", "write_overlay", "write_report"]
TEMPLATES = Path(__file__).with_name("report_template")


def write_report(
    output: Path,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    cases: Sequence[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], Views],  # noqa: ARG001
    *,
    show: Sequence[str] = (),  # noqa: ARG001
) -> None:
    """Write ``report.html`` and the worst cases' PNG below ``overlays/``.

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
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("report.html.jinja")
    write_text(output / "report.html", page.render(summary=summary, rows=rows, cases=cases))


def write_overlay(
    path: str | Path,
    *,
    title: str,
    image: np.ndarray,
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: Sequence[float],
    label_names: Mapping[int, str],
) -> None:
    """Write a PNG: three orthogonal slices through the worst error, image, reference and prediction each.

    Parameters
    ----------
    image, reference, prediction
        Arrays (I, J, K) on one grid.
    spacing_mm
        Voxels are drawn in their true proportions.
    label_names
        Shown in the legend in their colours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(9, 9.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 3)
    for row, axis in enumerate((2, 1, 0)):
        turned = [np.moveaxis(volume, axis, 2) for volume in (image, reference, prediction)]
        spacing = [spacing_mm[a] for a in range(3) if a != axis]
        k = worst_slice(turned[2], turned[1])
        cut = [volume[..., k] for volume in turned]
        for column, labels in enumerate((np.zeros_like(cut[1]), cut[1], cut[2])):
            panel = axes[row, column]
            panel.imshow(overlay(cut[0], labels), aspect=spacing[1] / spacing[0], interpolation="nearest")
            panel.set_axis_off()
            if row == 0:
                panel.set_title(("image", "reference", "prediction")[column], fontsize=10)
    figure.suptitle(title, fontsize=11)
    figure.legend(
        handles=[Patch(color=tuple(label_colours(i) / 255), label=name) for i, name in label_names.items()],
        loc="outside lower center",
        ncols=min(6, len(label_names)),
        frameon=False,
    )
    with atomic(path) as part:
        figure.savefig(part, dpi=110, format="png")
