"""The public verbs: each runs a bundle's job, as ``python -m monai.bundle run`` does. Light to import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def plan(
    dataset: str | Path, output_bundle: str | Path, *, dims: int | None = None, **choices: Any
) -> dict[str, Any]:
    """Plan a model for a labelled data set, and write it as a new bundle, ready to be trained.

    Every case is read and checked first. Each number then follows from what the data is like by a written rule;
    ``output_bundle/docs/README.md`` has the reasons, ``configs/plan.json`` what the data is like.

    Parameters
    ----------
    dataset
        A data-set folder, see `medseg.cases.find_cases`.
    output_bundle
        The bundle's folder: a new one, or an empty one.
    dims
        3 for volumes, 2 for a network that goes slice by slice; by default as the data is.
    choices
        Values in place of the rules', such as ``spacing_mm=[1, 1, 1]``, ``patch_size``, ``batch_size``,
        ``max_minutes``, ``device``, ``budget_mib``, ``labels={1: "liver"}``; ``docs/how-to/plan.md`` has all.

    Returns
    -------
    dict
        ``fingerprint``, and ``choices``: ``value`` and ``reason`` of each.

    Raises
    ------
    InputError
        `CASES_FAULTY`: the data set has faults; the message names every one, and nothing was written.
        `OUTPUT_WOULD_OVERWRITE`, `CONFIG_UNKNOWN_KEY`, `CONFIG_BAD_VALUE`, and what finding the cases refuses.
    """
    from medseg.planning import plan_bundle

    return plan_bundle(dataset, output_bundle, {**choices, **({} if dims is None else {"dims": dims})})


def train(
    bundle: str | Path, data: str | Path, *, folds: str | Sequence[int] | None = None, **overrides: Any
) -> dict[str, Any]:
    """Train a bundle's model on a labelled data set.

    The same as ``python -m monai.bundle run training --config_file BUNDLE/configs/train.json
    --dataset_dir DATA --KEY VALUE ...``.

    Parameters
    ----------
    bundle
        The bundle's folder, or the name of one that ships with medseg, such as ``"hippocampus_mr_unet3d"``.
    data
        A data-set folder, see `medseg.cases.find_cases`.
    folds
        ``"all"``, or some of 0 to 4: train nnU-Net's folds into ``output_dir/fold_k`` one after the other, and
        make ``output_dir`` the bundle of their ensemble.
    overrides
        Config values such as ``output_dir``, ``max_minutes``, ``max_epochs``, ``seed``.

    Returns
    -------
    dict
        The run's record, as in ``OUTPUT_DIR/run.json``: best epoch, its metrics, minutes. Of folds, that in
        ``OUTPUT_DIR/folds.json``.
    """
    if folds is not None:
        from medseg.cross_validation import train_folds

        return train_folds(bundle, data, folds, overrides)
    from medseg.bundle import run_bundle

    return run_bundle(bundle, "training", dataset_dir=str(data), **overrides)


def predict(
    bundle: str | Path,
    data: Any,
    output: str | Path | None = None,
    *,
    weights: str | Path | Sequence[str | Path] | None = None,
    device: str = "auto",
    formats: str | Sequence[str] | None = None,
    affine: Any = None,
    **overrides: Any,
) -> Any:
    """Write a label map for every case, on the case's own grid; or, without `output`, return it.

    The grid of a case that was repaired is the straight one; its DICOM SEG and RTSTRUCT lie on the slices read.

    Parameters
    ----------
    bundle
        The bundle's folder, or the name of one that ships with medseg, such as ``"hippocampus_mr_unet3d"``.
    data
        A file or folder, see `medseg.cases.find_cases`, or a list of cases ``{"id": ..., "image": ...}``, where
        ``image`` may be a list of paths, one a channel. Without `output`: a path to one volume, a `Volume`, an
        array (I, J, K), or a list of those. For a model of several channels: a 4D NIfTI, an array (channels, I, J,
        K), a list of paths, volumes or arrays, one a channel, or a list of such lists or arrays.
    output
        Folder for ``<case id>.nii.gz`` (``.seg.dcm``, ``.rtstruct.dcm``) and ``manifest.jsonl``. Cases already
        done there are skipped.
    weights
        A checkpoint; by default the bundle's ``models/model.pt``. Of several the mean probabilities are taken.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:n``.
    formats
        Some of ``"nifti"``, ``"dicom-seg"``, ``"rtstruct"`` and ``"probabilities"``; by default what the bundle
        says, NIfTI alone.
    affine
        Of an array: 4×4, voxel index to RAS+ mm.
    overrides
        Further config values, such as ``seg_type="LABELMAP"``, or ``series_uid``, ``description`` (a pattern)
        and ``modality`` to say which DICOM series is meant, and ``repair`` (``"tilt"``, ``"uneven"``) to resample
        one that lies on no straight grid (see `medseg.read_volume`); ``jobs``, the processes that read;
        ``shard="i/n"``, a share of the cases; ``read_timeout_s``; ``budget_mib``; ``mirror_axes``.

    Returns
    -------
    list of dict, Volume, or list of Volume
        With `output`, one manifest record a case. Without, the labels of each volume on its own grid, as
        `Volume.array`, for one input or for a list of them; the model stays in memory for the next call.

    Raises
    ------
    InputError
        The call is wrong, or `output` cannot be written to: `OUTPUT_UNWRITABLE`, `OUTPUT_NO_SPACE`. Without
        `output` also what is wrong with a volume.
    CasesFailed
        The manifest can no longer be appended to. A case that fails raises nothing: its record says so.
    """
    if weights is not None:
        overrides["weights"] = str(weights) if isinstance(weights, (str, Path)) else [*map(str, weights)]
    overrides["device"] = device
    if output is None:
        from medseg.prediction import open_model

        model = open_model(bundle, **overrides)
        if isinstance(data, (list, tuple)) and not (model.channels > 1 and _are_channels(data)):
            return [model(one, affine) for one in data]
        return model(data, affine)

    from medseg.bundle import run_bundle
    from medseg.prediction import check_is_not_input, records_if_finished

    if isinstance(data, (str, Path)):
        check_is_not_input(data, output)
        overrides["dataset_dir"] = str(data)
    else:
        overrides["cases"] = _cases(data)
    if formats is not None:
        overrides["formats"] = [formats] if isinstance(formats, str) else list(formats)
    overrides["output_dir"] = str(output)
    finished = records_if_finished(bundle, overrides)
    if finished is not None:
        return [record.as_json() for record in finished]
    return run_bundle(bundle, "inference", **overrides)


def _are_channels(data: Sequence[Any]) -> bool:
    """Say whether a list is one input's channels, for a model of several, and not a list of such inputs."""
    several = (isinstance(one, (list, tuple)) or getattr(one, "ndim", 3) == 4 for one in data)
    return not any(several) and not any(getattr(one, "further", ()) for one in data)


def _cases(data: Any) -> list[Any]:
    cases = list(data) if isinstance(data, Iterable) else [data]
    if not all(isinstance(case, Mapping) for case in cases):
        from medseg.errors import InputError

        raise InputError(
            "CONFIG_BAD_VALUE",
            "with an output folder a path is needed, or a list of cases {'id': …, 'image': path}; arrays and "
            "volumes are predicted without one",
        )
    return cases


def evaluate(
    predictions: str | Path,
    references: str | Path,
    output: str | Path,
    *,
    bundle: str | Path | None = None,
    compare_with: str | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    hd95: str = "directed-max",
    tolerance_mm: float | Mapping[int, float] = 1.0,
    resample: bool = False,
    groups: str | Path | None = None,
    show: str | Sequence[str] = (),
) -> dict[str, Any]:
    """Compare a folder of label maps, or two models' folders, with their references.

    Writes ``cases.csv``, ``summary.json``, ``report.html`` and ``overlays/`` to `output`. One case that cannot be
    compared refuses all, and nothing is written.

    Parameters
    ----------
    predictions
        Folder of ``<case id>.nii.gz``.
    references
        Folder of label maps of the same names, or a labelled data set.
    output
        Folder to write to: a new one, or one that was evaluated into.
    bundle
        Gives the labels their names, and refuses others; a folder or a name.
    compare_with
        A second model's predictions. The cases that both predict are compared, in pairs.
    metrics
        Computed beside `medseg.metrics.DEFAULT_METRICS`: names from `medseg.metrics.METRICS`, or ``nsd_<t>mm``.
    hd95
        Definition of HD95 and the other distances: ``directed-max``, ``area-weighted`` or ``pooled``.
    tolerance_mm
        Of ``nsd``: one for all labels, or ``{label: mm}``.
    resample
        Bring a prediction on another grid to the reference's by nearest neighbour, instead of refusing it.
    groups
        A CSV file with a column ``case``; each other column puts the cases into subgroups.
    show
        Ids of cases whose slices must be in the report, whatever their place.

    Returns
    -------
    dict
        What ``summary.json`` holds, see ``docs/reference/evaluation.md``.

    Raises
    ------
    InputError
        `CASES_EMPTY`, `CASES_MISSING_LABEL`, `CONFIG_BAD_VALUE`, `GEOMETRY_LABEL_GRID`, `GROUPS_BAD_TABLE`,
        `LABEL_NOT_INTEGER`, `LABEL_UNKNOWN_ID`, `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`, `PROBABILITIES_MISSING`,
        and what finding and reading refuse.
    """
    from medseg.evaluation import Options, evaluate_folders

    return evaluate_folders(
        predictions,
        references,
        output,
        Options(bundle, metrics, hd95, tolerance_mm, resample, groups, show),
        compare_with=compare_with,
    )


def inspect(path: str | Path, *, voxels: bool = False, descriptions: bool = False) -> list[dict[str, Any]]:
    """Say what would be read at `path`, one row a volume, refusal or skipped object of each case.

    Parameters
    ----------
    path
        A file or a folder; its cases are those that `predict` takes.
    voxels
        Read the voxels too, and so find what headers do not show: damaged data, NaN, constant images.
    descriptions
        Add ``series_number`` and ``description``, DICOM's own free text, in which sites also put names: to be
        looked at, not to be kept. The command shows them.

    Returns
    -------
    list of dict
        ``case`` (its id, as `predict` would call it; empty where a file is passed over), ``source``, ``files``,
        ``modality``, ``series_uid``, ``shape``, ``channels``, ``spacing_mm``, ``orientation``,
        ``verdict`` (``ok``, ``refused``, ``skipped``), ``codes``, ``message``, ``remedy``.
    """
    from medseg.cases import inspect_path

    return inspect_path(path, voxels=voxels, descriptions=descriptions)


def download(collection: str, name: str, destination: str | Path) -> Path:
    """Fetch a public data set, checksum checked, to ``destination/name``; the only verb that uses a network.

    Parameters
    ----------
    collection
        ``msd``, the Medical Segmentation Decathlon.
    name
        A task such as ``Task09_Spleen``.
    destination
        The folder to put it in.

    Returns
    -------
    Path
        The data set's folder, as `train` and `predict` take it. One that is there already is left as it is.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`, `DOWNLOAD_FAILED`; nothing is left behind.
    """
    from medseg.cases import fetch

    return fetch(collection, name, destination)
