"""The commands: one thin function each over its twin in `medseg.api`. Heavy imports wait until they are needed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from medseg.cli.arguments import parse_overrides, parse_tolerances
from medseg.cli.tables import batch_table, difference_table, inspection_table, printable, summary_table
from medseg.errors import CasesFailed, InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, run and judge CT and MR segmentation models as MONAI bundles.",
)


out = Console(markup=False, soft_wrap=True)


BundleDir = Annotated[Path, typer.Argument(help="The bundle's folder.", show_default=False)]


Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="Config values to change.")]


@app.command()
def train(
    bundle: BundleDir,
    data: Annotated[Path, typer.Option(help="Labelled data set: MSD folder, or images/ and labels/.")],
    overrides: Overrides = None,
) -> None:
    """Train a bundle: medseg train BUNDLE --data DATASET max_minutes=15 output_dir=runs/a."""
    from medseg import api

    record = api.train(bundle, data, **parse_overrides(overrides or []))
    best = record["outcome"]["best"]
    out.print(
        f"best epoch {best['epoch']}: Dice {best['dice']:.4f}, HD95 {best['hd95_mm']:.2f} mm "
        f"after {record['outcome']['minutes']} minutes"
    )


@app.command()
def predict(
    bundle: BundleDir,
    input: Annotated[Path, typer.Argument(help="A NIfTI file, a DICOM folder, or a folder of either.")],
    output: Annotated[Path, typer.Argument(help="Folder for the results and manifest.jsonl.")],
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint, instead of the bundle's models/model.pt; repeat for an ensemble."),
    ] = None,
    mirror: Annotated[
        list[int] | None, typer.Option(help="Also run mirrored along this axis, 0 to 2; repeat for several.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:n.")] = "auto",
    format: Annotated[
        list[str] | None,
        typer.Option(help="nifti, dicom-seg, rtstruct or probabilities; repeat for several. [default: nifti]"),
    ] = None,
    seg_type: Annotated[str | None, typer.Option(help="Of dicom-seg: BINARY or LABELMAP.")] = None,
    series_uid: Annotated[str | None, typer.Option(help="The DICOM series that is meant, of several.")] = None,
    description: Annotated[str | None, typer.Option(help="Pattern for its SeriesDescription: * and ?.")] = None,
    modality: Annotated[str | None, typer.Option(help="Its modality; the bundle's by default.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes that read; 1: a thread, no process. [default: 1]")
    ] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: this share of the cases alone, such as 2/4.")] = None,
    budget_mib: Annotated[
        float | None, typer.Option(help="How large the process may grow. [default: what is free, less a tenth]")
    ] = None,
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="The same as --format probabilities, beside the others.")
    ] = False,
) -> None:
    """Write a label map for every case; a rerun does only what is not done."""
    # Where others compute too, such as processes that read, threads waiting in circles cost up to 20 times as much
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault(
        "THP_MEM_ALLOC_ENABLE", "1"
    )  # torch takes large pages: fewer faults for short-lived tensors
    from medseg import api
    from medseg.prediction import read_newest, stopped_by_sigterm

    given: dict[str, Any] = {
        "seg_type": seg_type,
        "series_uid": series_uid,
        "description": description,
        "modality": modality,
    }
    given |= {"jobs": jobs, "shard": shard, "budget_mib": budget_mib, "mirror_axes": mirror or None}
    how = {key: value for key, value in given.items() if value is not None}
    formats = [*(format or ["nifti"]), "probabilities"] if save_probabilities else format or None
    before, start_s = read_newest(output), time.monotonic()
    try:
        with stopped_by_sigterm():
            records = api.predict(
                bundle, input, output, weights=weights or None, device=device, formats=formats, **how
            )
    except CasesFailed as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_status) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        status = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
        print(f"stopped: what is done stands in {output}; run the same line again to go on", file=sys.stderr)
        raise typer.Exit(status) from None  # type: ignore[arg-type]
    failed = [record for record in records if record["status"] == "failed"]
    for record in failed:
        out.print(printable(f"failed {record['case']}: {record['codes'][0]}: {record['message']}"))
    if len(records) > 1:
        out.print(batch_table(records, before, time.monotonic() - start_s))
        out.print(f"manifest: {output / 'manifest.jsonl'}")
    out.print(f"{len(records) - len(failed)} of {len(records)} cases done, in {output}")
    if failed:
        raise typer.Exit(CasesFailed.exit_status)


@app.command()
def evaluate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS [PREDICTIONS_B] REFERENCES OUTPUT",
            help="Folder of predicted label maps, one or two models'; folder of reference label maps of the same "
            "names, or a labelled data set; and last the folder to write to.",
            show_default=False,
        ),
    ],
    bundle: Annotated[Path | None, typer.Option(help="Gives the labels their names.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Computed beside the default ones: f_beta, boundary_iou, cldice, lesion_f1, lesion_precision, "
            "lesion_recall, lesions, lesions_predicted, ece, or NSD at another tolerance as nsd_2mm; repeat for "
            "several."
        ),
    ] = None,
    hd95: Annotated[
        str, typer.Option(help="Definition of HD95 and distances: directed-max, area-weighted or pooled.")
    ] = "directed-max",
    tolerance_mm: Annotated[
        list[str] | None,
        typer.Option(help="Of NSD, in mm; or LABEL=MM, repeated for each label. [default: 1]"),
    ] = None,
    resample: Annotated[
        bool,
        typer.Option(
            "--resample", help="Bring predictions on another grid to the reference's, nearest neighbour."
        ),
    ] = False,
    groups: Annotated[
        Path | None, typer.Option(help="CSV with a column `case`; the others put cases into subgroups.")
    ] = None,
    show: Annotated[
        list[str] | None, typer.Option(help="A case to scroll through in the report; repeat for several.")
    ] = None,
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
    if second:
        comparison = summary["comparison"]
        for model, entries in zip(comparison["models"], (summary, comparison["second"]), strict=True):
            out.print(summary_table(entries, title=model))
        out.print(difference_table(comparison))
    else:
        out.print(summary_table(summary))
    for warning in summary["warnings"]:
        out.print(printable(f"warning: {warning}"))
    out.print(f"cases.csv, summary.json and overlays/ are in {output}")
    out.print(f"report: {output / 'report.html'}")


@app.command()
def inspect(
    input: Annotated[Path, typer.Argument(help="A file, or a folder to be searched to its depth.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    voxels: Annotated[bool, typer.Option("--voxels", help="Read the voxels too, not headers alone.")] = False,
) -> None:
    """What would be read: one row a series or file, its verdict, codes and the remedy."""
    from medseg import api

    rows = api.inspect(input, voxels=voxels)
    if json:
        from json import dumps

        typer.echo(dumps(rows, indent=2, ensure_ascii=False))
    else:
        out.print(inspection_table(rows, input))
    if any(row["verdict"] == "refused" for row in rows):
        raise typer.Exit(CasesFailed.exit_status)


@app.command()
def download(
    collection: Annotated[str, typer.Argument(help="msd (Medical Segmentation Decathlon).", show_default=False)],
    name: Annotated[str, typer.Argument(help="Such as Task09_Spleen.", show_default=False)],
    destination: Annotated[Path, typer.Argument(help="The folder to put it in.", show_default=False)],
) -> None:
    """Fetch a public data set, checksum checked: medseg download msd Task09_Spleen DEST."""
    from medseg import api

    there = (destination.expanduser() / name).exists()
    folder = api.download(collection, name, destination)
    out.print(f"{folder} is there already" if there else f"{folder} is complete")
