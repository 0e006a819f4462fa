"""The commands: one thin function each over its twin in `medseg.api`. Heavy imports wait until they are needed."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from medseg.cli import options, tables, training_keys
from medseg.cli.arguments import parse_overrides, parse_tolerances
from medseg.cli.logs import case_log, training_log
from medseg.errors import CasesFailed, InputError, some, stopped

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, run and judge CT and MR segmentation models as MONAI bundles.",
)
out = Console(markup=False, soft_wrap=True)
# Where others compute too, such as processes that read, threads that wait in circles cost up to 20 times as much;
# torch takes large pages: fewer faults for short-lived tensors
FOR_TORCH = {"OMP_WAIT_POLICY": "PASSIVE", "THP_MEM_ALLOC_ENABLE": "1"}


def _set_up_torch() -> None:
    os.environ.update({key: value for key, value in FOR_TORCH.items() if key not in os.environ})


@app.callback(invoke_without_command=True)
def medseg(version: options.Version = False) -> None:
    if version:
        from importlib import metadata

        out.print(f"medseg {metadata.version('medseg')}")
        raise typer.Exit


@app.command()
def plan(
    dataset: options.DataSet,
    output_bundle: options.NewBundle,
    choices: options.Choices = None,
    dims: options.Dims = None,
    device: options.TrainingDevice = None,
    budget_mib: options.TrainingMib = None,
) -> None:
    """Check a labelled data set and write a bundle planned for it: medseg plan DATASET BUNDLE max_minutes=30."""
    from medseg import api

    given = {"dims": dims, "device": device, "budget_mib": budget_mib}
    given = {key: value for key, value in given.items() if value is not None}
    planned = api.plan(dataset, output_bundle, **{**parse_overrides(choices or []), **given})
    out.print(tables.fingerprint_table(planned["fingerprint"]))
    out.print(tables.labels_table(planned["fingerprint"]))
    for line in tables.choices_lines(planned["choices"]):
        out.print(line)
    out.print(f"bundle: {output_bundle}; its docs/README.md has these reasons")
    name = planned["choices"]["name"]["value"]
    bundle, data = (shlex.quote(str(path)) for path in (output_bundle, dataset))
    out.print(f"next: medseg train {bundle} --data {data} output_dir=runs/{name}")


@app.command(epilog=training_keys.listed())
def train(
    bundle: options.BundleDir,
    data: options.Data,
    overrides: options.Overrides = None,
    folds: options.Folds = None,
) -> None:
    """Train a bundle: medseg train BUNDLE --data DATASET max_minutes=15 output_dir=runs/a."""
    _set_up_torch()
    from medseg import api

    try:
        with training_log():
            given = parse_overrides(overrides or [])
            chosen = {} if folds is None else parse_overrides([f"folds={folds}"])
            api.train(bundle, data, **{**given, **chosen})
    except KeyboardInterrupt as stop:
        raise typer.Exit(stopped(stop)) from None


@app.command()
def predict(
    bundle: options.BundleDir,
    input: options.Input,
    output: options.OutputDir,
    weights: options.Weights = None,
    mirror: options.Mirror = None,
    device: options.Device = "auto",
    format: options.Format = None,
    seg_type: options.SegType = None,
    series_uid: options.SeriesUid = None,
    description: options.Description = None,
    modality: options.Modality = None,
    repair: options.Repair = None,
    jobs: options.Jobs = None,
    shard: options.Shard = None,
    budget_mib: options.BudgetMib = None,
    save_probabilities: options.SaveProbabilities = False,
    log: options.Log = None,
) -> None:
    """Write a label map for every case; a rerun skips finished cases."""
    _set_up_torch()
    from medseg.prediction import read_newest

    overrides: dict[str, Any] = {"seg_type": seg_type, "series_uid": series_uid, "description": description}
    overrides |= {"modality": modality, "jobs": jobs, "shard": shard, "budget_mib": budget_mib}
    lists = {"repair": repair, "mirror_axes": mirror, "weights": weights, "formats": format}
    overrides |= {key: value or None for key, value in lists.items()}
    if save_probabilities:
        overrides["formats"] = [*(format or ["nifti"]), "probabilities"]
    overrides = {key: value for key, value in overrides.items() if value is not None}
    before = {name: record.as_json() for name, record in read_newest(output).items()}
    start_s = time.monotonic()
    with case_log(log):
        records = _predict_or_exit(bundle, input, output, device=device, **overrides)
    failed = _print_cases(records)
    if len(records) > 1:
        out.print(tables.batch_table(records, before, time.monotonic() - start_s))
        out.print(f"manifest: {output / 'manifest.jsonl'}")
    out.print(f"{len(records) - len(failed)} of {len(records)} cases done, in {output}")
    if failed:
        raise typer.Exit(CasesFailed.exit_status)


def _print_cases(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print which cases failed, are unlike the training images, or had results moved; return those that failed."""
    from medseg.read import UNLIKE_TRAINING

    failed = [record for record in records if record["status"] == "failed"]
    for record in failed:
        out.print(tables.printable(f"failed {record['case']}: {record['codes'][0]}: {record['message']}"))
    told = {
        UNLIKE_TRAINING: f"unlike the training images ({UNLIKE_TRAINING}, see the manifest)",
        "OUTPUT_KEPT": "moved to kept/ (OUTPUT_KEPT)",
    }
    for code, text in told.items():
        having = [record["case"] for record in records if code in record["codes"]]
        if having:
            out.print(tables.printable(f"{text}: {some(having)}"))
    return failed


def _predict_or_exit(bundle: Path, input: Path, output: Path, **settings: Any) -> list[dict[str, Any]]:
    """Return the records; where the batch was stopped, exit with its status and say how to go on."""
    from medseg import api
    from medseg.prediction import stopped_by_sigterm

    try:
        with stopped_by_sigterm():
            return api.predict(bundle, input, output, **settings)
    except CasesFailed as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_status) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        status = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
        print(f"stopped: the finished cases are in {output}; run the same line again to go on", file=sys.stderr)
        raise typer.Exit(status) from None  # type: ignore[arg-type]


@app.command()
def evaluate(
    folders: options.Folders,
    bundle: options.LabelsOf = None,
    metric: options.Metric = None,
    hd95: options.Hd95 = "directed-max",
    tolerance_mm: options.ToleranceMm = None,
    resample: options.Resample = False,
    groups: options.GroupsTable = None,
    show: options.Show = None,
) -> None:
    """Dice, IoU, HD95 and NSD in mm, volumes and more of every case; their summary and a report to look at."""
    from medseg import api

    if len(folders) not in (3, 4):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"{len(folders)} folders were given; PREDICTIONS [PREDICTIONS_B] REFERENCES OUTPUT are needed",
        )
    predictions, *second, references, output = folders
    summary = api.evaluate(
        predictions,
        references,
        output,
        bundle=bundle,
        compare_with=second[0] if second else None,
        metrics=metric,
        hd95=hd95,
        tolerance_mm=parse_tolerances(tolerance_mm) if tolerance_mm else 1.0,
        resample=resample,
        groups=groups,
        show=show or (),
    )
    _print_summary(summary, output)


def _print_summary(summary: dict[str, Any], output: Path) -> None:
    comparison = summary.get("comparison")
    if comparison:
        for model, entries in zip(comparison["models"], (summary, comparison["second"]), strict=True):
            out.print(tables.summary_table(entries, title=model))
        out.print(tables.difference_table(comparison))
    else:
        out.print(tables.summary_table(summary))
    for warning in summary["warnings"]:
        out.print(tables.printable(f"warning: {warning}"))
    out.print(f"cases.csv, summary.json and overlays/ are in {output}")
    out.print(f"report: {output / 'report.html'}")


@app.command()
def inspect(input: options.AnyPath, json: options.Json = False, voxels: options.Voxels = False) -> None:
    """What would be read: one row a series or file, its verdict, codes and the remedy."""
    from medseg import api

    rows = api.inspect(input, voxels=voxels, descriptions=True)
    if json:
        from json import dumps

        typer.echo(dumps(rows, indent=2, ensure_ascii=False))
    elif out.is_terminal:
        out.print(tables.inspection_table(rows, input))
        out.print(tables.inspection_summary(rows))
    else:
        for line in (*tables.inspection_lines(rows, input), tables.inspection_summary(rows)):
            typer.echo(line)
    if any(row["verdict"] == "refused" for row in rows):
        raise typer.Exit(CasesFailed.exit_status)


@app.command()
def download(collection: options.Collection, name: options.Name, destination: options.Destination) -> None:
    """Fetch a public data set, checksum checked: medseg download msd Task09_Spleen DEST."""
    from medseg import api

    there = (destination.expanduser() / name).exists()
    folder = api.download(collection, name, destination)
    out.print(f"{folder} is there already" if there else f"{folder} is complete")
