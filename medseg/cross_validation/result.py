"""What all folds give together: Dice out of fold, the postprocessing, and a bundle that is their ensemble."""

from __future__ import annotations

import json
import logging
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata, read_metadata
from medseg.cases import Case, as_labels
from medseg.cross_validation.page import folds_page
from medseg.cross_validation.postprocessing import Choice, choose_components
from medseg.evaluation import Options, evaluate_cases
from medseg.files import atomic, write_json
from medseg.infer import keep_largest_component
from medseg.read import read_volume
from medseg.training import copy_configs, write_readme
from medseg.write import write_label_map

log = logging.getLogger(__name__)


def write_result(
    output: Path, held_out: Mapping[int, Sequence[Case]], record: Mapping[str, Any]
) -> dict[str, Any]:
    """Judge the folds together and make their folder a bundle; see `medseg.cross_validation.train_folds`.

    ``out_of_fold/`` gets each case's final label map and its evaluation; where a postprocessing was chosen,
    compared in pairs with the label maps without it.
    """
    runs = {k: output / f"fold_{k}" for k in held_out}
    first = next(iter(runs.values()))
    metadata = json.loads(json.dumps(read_metadata(first).values))
    raw = [
        {**case, "prediction": str(runs[k] / "predictions" / f"{case['id']}.nii.gz")}
        for k, cases in held_out.items()
        for case in cases
    ]
    chosen, tried = _choose(raw, Metadata(metadata))
    for choice, dice in tried:
        log.info("largest_component %s: mean Dice %.4f out of fold", choice, dice)
    final = _written(raw, chosen, output / "out_of_fold" / "predictions")
    summary = evaluate_cases(final, output / "out_of_fold", Options(bundle=first))
    metadata["medseg"]["postprocessing"] = {
        **metadata["medseg"].get("postprocessing", {}),
        "largest_component": chosen,
    }
    copy_configs(first, output)
    write_json(output / "configs/metadata.json", metadata)
    for old in (output / "models").glob("fold_*.pt"):
        if old.stem not in {run.name for run in runs.values()}:
            old.unlink()
    for run in runs.values():
        with atomic(output / "models" / f"{run.name}.pt") as part:
            shutil.copyfile(run / "models" / "model.pt", part)
    result = {**record, "largest_component": chosen, "tried": tried, "summary": summary["mean"]}
    write_json(output / "folds.json", result)
    write_readme(output, folds_page(output, Metadata(metadata), result, summary))
    dice = summary["mean"]["dice"]
    log.info(
        "mean Dice %.4f (%.4f to %.4f) of %d cases out of fold; %s is a bundle now. To use it:\nmedseg predict %s "
        "INPUT OUTPUT",
        *(dice["mean"], *(dice["ci95"] if None not in dice["ci95"] else [dice["mean"]] * 2)),
        *(len(final), output, shlex.quote(str(output))),
    )
    return result


def _choose(raw: Sequence[Case], metadata: Metadata) -> tuple[Choice, list[tuple[Choice, float]]]:
    """Choose components to delete; of overlapping regions none, for they are in no label map alone."""
    if metadata.values["medseg"].get("regions"):
        return [], []
    return choose_components(raw, list(metadata.label_names))


def _written(raw: Sequence[Case], chosen: Choice, folder: Path) -> list[Case]:
    final = []
    for case in raw:
        path = folder / f"{case['id']}.nii.gz"
        volume = read_volume(case["prediction"])
        kept = keep_largest_component(as_labels(volume, case["prediction"]), chosen)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(path, kept, volume.affine, like=Path(case["prediction"]))
        final.append({**case, "prediction": str(path), **({"second": case["prediction"]} if chosen else {})})
    return final
