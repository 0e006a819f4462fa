"""What each argument and option of the commands is called, and its help; the commands say their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Version = Annotated[bool, typer.Option("--version", help="Print medseg's version.", is_eager=True)]

BundleDir = Annotated[
    Path,
    typer.Argument(
        help="The bundle's folder, or the name of one that ships with medseg: hippocampus_mr_unet3d, "
        "hippocampus_mr_unet2d, spleen_ct_unet3d (no weights).",
        show_default=False,
    ),
]
DataSet = Annotated[Path, typer.Argument(help="Labelled data set.", show_default=False)]
NewBundle = Annotated[Path, typer.Argument(help="The bundle's folder, new or empty.", show_default=False)]
Dims = Annotated[int | None, typer.Option(help="3 for volumes, 2 for slices. [default: as the data is]")]
TrainingDevice = Annotated[
    str | None, typer.Option("--device", help="To be trained on: auto, cpu, cuda, cuda:n. [default: auto]")
]
TrainingMib = Annotated[
    float | None,
    typer.Option("--budget-mib", help="Memory for training. [default: half of what is free; GPU 8192]"),
]
Choices = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="Choices in place of the rules'.")
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="Config values to change.")]
Folds = Annotated[
    str | None,
    typer.Option(help="all, or some of 0 to 4 as 0,1: train nnU-Net's folds one after the other, and join them."),
]
Data = Annotated[
    Path, typer.Option(help="Labelled data set: MSD, nnU-Net raw or BIDS folder, or images/ and labels/.")
]

# predict
Input = Annotated[Path, typer.Argument(help="A NIfTI file, a DICOM folder, or a folder of either.")]
OutputDir = Annotated[Path, typer.Argument(help="Folder for the results and manifest.jsonl; not the input's.")]
Weights = Annotated[
    list[Path] | None,
    typer.Option(
        help="A checkpoint, or a folder of a run or bundle, instead of the bundle's own; repeat for an ensemble."
    ),
]
Mirror = Annotated[
    list[int] | None, typer.Option(help="Also run mirrored along this axis, 0 to 2; repeat for several.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:n.")]
Format = Annotated[
    list[str] | None,
    typer.Option(help="nifti, dicom-seg, rtstruct or probabilities; repeat for several. [default: nifti]"),
]
SegType = Annotated[
    str | None, typer.Option(help="Kind of DICOM SEG to write: BINARY or LABELMAP. [default: BINARY]")
]
SeriesUid = Annotated[str | None, typer.Option(help="SeriesInstanceUID of the series to read, of several.")]
Description = Annotated[str | None, typer.Option(help="Pattern for its SeriesDescription, with * and ?.")]
Modality = Annotated[str | None, typer.Option(help="Its modality; the bundle's by default.")]
Repair = Annotated[
    list[str] | None,
    typer.Option(
        help="tilt or uneven: resample such a DICOM series to a straight grid instead of refusing it; repeat for "
        "both."
    ),
]
Jobs = Annotated[
    int | None, typer.Option(help="Processes that read cases; with 1, a thread of this process. [default: 1]")
]
Shard = Annotated[str | None, typer.Option(help="i/n: predict only this share of the cases, such as 2/4.")]
BudgetMib = Annotated[
    float | None,
    typer.Option(help="How large the process may grow. [default: its size and 90 % of the free memory]"),
]
SaveProbabilities = Annotated[
    bool, typer.Option("--save-probabilities", help="The same as --format probabilities, beside the others.")
]
Log = Annotated[
    Path | None,
    typer.Option(
        help="A file that gets a line for each case; where there is no terminal, standard error does too."
    ),
]

# evaluate
Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="PREDICTIONS [PREDICTIONS_B] REFERENCES OUTPUT",
        help="Folder of predicted label maps, one or two models'; folder of reference label maps of the same "
        "names, or a labelled data set; and last the folder to write to.",
        show_default=False,
    ),
]
LabelsOf = Annotated[Path | None, typer.Option(help="A bundle, folder or name, that names the labels.")]
Metric = Annotated[
    list[str] | None,
    typer.Option(
        help="Computed beside the default ones: f_beta, boundary_iou, cldice, lesion_f1, lesion_precision, "
        "lesion_recall, lesions, lesions_predicted, ece, or NSD at another tolerance as nsd_2mm; repeat for "
        "several."
    ),
]
Hd95 = Annotated[str, typer.Option(help="Definition of the distances: directed-max, area-weighted or pooled.")]
ToleranceMm = Annotated[
    list[str] | None,
    typer.Option(help="Tolerance of NSD in mm; or LABEL=MM, repeated for each label. [default: 1]"),
]
Resample = Annotated[
    bool,
    typer.Option("--resample", help="Bring predictions on another grid to the reference's, by nearest neighbour."),
]
GroupsTable = Annotated[
    Path | None, typer.Option(help="CSV with a column `case`; the others put cases into subgroups.")
]
Show = Annotated[
    list[str] | None, typer.Option(help="A case to scroll through in the report; repeat for several.")
]

# inspect, download
AnyPath = Annotated[Path, typer.Argument(help="A file, or a folder, searched with its subfolders.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Voxels = Annotated[bool, typer.Option("--voxels", help="Read the voxels too, not headers alone.")]
Collection = Annotated[str, typer.Argument(help="msd (Medical Segmentation Decathlon).", show_default=False)]
Name = Annotated[str, typer.Argument(help="Such as Task09_Spleen.", show_default=False)]
Destination = Annotated[Path, typer.Argument(help="The folder to put it in.", show_default=False)]
