"""Every named problem: what happens, what it means, what to do; ``docs/reference/codes.md`` is this table.

Refused is an `InputError`. Skipped is left out, with its reason in `medseg.inspect`. Tolerated stands in
`Volume.codes` and the manifest.
"""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """What a code stands for, in Markdown."""

    outcome: str
    meaning: str
    remedy: str


REFUSED, SKIPPED, TOLERATED = "refused", "skipped", "tolerated"

CODES: dict[str, Problem] = {
    "BUNDLE_MISSING": Problem(
        REFUSED,
        "the folder has no config for the job, or no readable `metadata.json`; or there is no such folder or name",
        "give the bundle's folder, the one with `configs/`, or the name of one that ships with medseg",
    ),
    "CASES_BAD_ID": Problem(
        REFUSED,
        "a case without `id` or `image`, or an id that is no plain file name: empty, a path, or too long",
        "rename the case: its id names files of the output folder",
    ),
    "CASES_DUPLICATE_ID": Problem(
        REFUSED,
        "two cases have the same name, such as `a.nii` and `a.nii.gz`, or one that some file systems take for the "
        "same, such as `a` and `A`",
        "rename one",
    ),
    "CASES_EMPTY": Problem(
        REFUSED,
        "no case was found, too few for the split, none in the subset, none that two models share, or none with a "
        "label to validate or evaluate on",
        "check the folder's layout ([data](../how-to/data.md))",
    ),
    "CASES_MISSING_LABEL": Problem(
        REFUSED, "a case to train or evaluate on has no label", "add the file or take the image out"
    ),
    "CASES_NOT_IN_DATASET": Problem(
        REFUSED, "a split file names cases that are not in the data set", "give the split that belongs to the data"
    ),
    "CASES_PASSED_OVER": Problem(
        SKIPPED,
        "an image file that is no case here: a label, a result of medseg's, or a file that the data set's layout "
        "leaves out",
        "nothing to do; if it should be a case, move it to where cases are looked for",
    ),
    "CASE_FAILED": Problem(
        REFUSED, "a case failed in a way that has no code of its own", "see the message; please report it"
    ),
    "CONFIG_BAD_VALUE": Problem(REFUSED, "a value of the wrong kind", "the message says what is allowed"),
    "CONFIG_UNKNOWN_KEY": Problem(
        REFUSED, "an override names a key that is not in the config", "the message names the nearest key"
    ),
    "DICOM_BURNED_IN_ANNOTATION": Problem(
        TOLERATED,
        "text is burned into the pixels (`BurnedInAnnotation` is YES); but no picture is drawn of it",
        "have the text removed before sharing the images",
    ),
    "DICOM_DUPLICATE_DROPPED": Problem(
        TOLERATED,
        "the same slice was there twice, with identical pixels; one of the two was dropped",
        "nothing to do; the export sent it twice",
    ),
    "DICOM_MONOCHROME1": Problem(
        TOLERATED,
        "the images are shown inverted (`MONOCHROME1`); the values are read as stored and rescaled",
        "nothing to do for CT; otherwise check that high values mean what the model expects",
    ),
    "DICOM_MOSAIC": Problem(
        REFUSED,
        "a Siemens mosaic: all slices of a volume as tiles of one picture",
        "export single slices, or enhanced MR",
    ),
    "DICOM_MULTIFRAME": Problem(
        REFUSED,
        "a multi-frame object that does not say where each frame lies",
        "export it as enhanced CT or MR, or as single frames",
    ),
    "DICOM_NOT_AN_IMAGE": Problem(
        SKIPPED, "a report, dose, presentation state, segmentation or other object without slices", "nothing to do"
    ),
    "DICOM_NO_PREAMBLE": Problem(
        TOLERATED, "the file lacks the 128 bytes and `DICM` that begin a DICOM file", "nothing to do"
    ),
    "DICOM_NO_SUCH_SERIES": Problem(
        REFUSED,
        "no series matches `series_uid`, `description` or `modality`",
        "`medseg inspect` lists what is there",
    ),
    "DICOM_OUTSIDE_ROOT": Problem(
        REFUSED,
        "a `DICOMDIR` names a file outside its own folder; it was not opened",
        "copy the medium again, or give the folder of images itself",
    ),
    "DICOM_PIXELS_UNREADABLE": Problem(
        REFUSED,
        "the pixel data is damaged, or in a form that has no decoder here",
        "export the series again, uncompressed",
    ),
    "DICOM_SCOUT": Problem(SKIPPED, "a scout (localizer) image, not part of a volume; left out", "nothing to do"),
    "DICOM_SECONDARY_CAPTURE": Problem(
        SKIPPED, "a screen capture without a place in the patient", "nothing to do; the original images are needed"
    ),
    "DICOM_SEVERAL_SERIES": Problem(
        REFUSED,
        "several volumes are there and none was selected",
        "name it by `series_uid`, `description` or `modality`; `medseg inspect` lists them",
    ),
    "DICOM_SPLIT": Problem(
        TOLERATED,
        "one series held several volumes (echoes, phases, time points, orientations); each was read by itself",
        "nothing to do",
    ),
    "DOWNLOAD_FAILED": Problem(
        REFUSED,
        "a data set could not be fetched: no network, a broken connection, a wrong checksum, a full disk",
        "the message says which; nothing was kept, so try again",
    ),
    "FILE_CHANGED": Problem(
        REFUSED, "a file was written to while it was read", "run the same line again once it is whole"
    ),
    "FILE_MISSING": Problem(REFUSED, "a path does not exist", "check the path"),
    "FILE_TOO_LARGE": Problem(
        REFUSED,
        "a file needs more memory than this machine has, or unpacks to more than its header says",
        "crop or resample it elsewhere; a file that unpacks to more than it says is damaged or hostile",
    ),
    "FILE_TRUNCATED": Problem(REFUSED, "a file holds less than its header promises", "copy or export it again"),
    "FILE_UNREADABLE": Problem(REFUSED, "a file is damaged or not what its name says", "export it again"),
    "FORMAT_NEEDS_DICOM": Problem(
        REFUSED,
        "DICOM SEG or RTSTRUCT was asked for, and the case is no DICOM series they could refer to",
        "ask for `nifti`, or give the DICOM series",
    ),
    "GEOMETRY_BAD_AFFINE": Problem(
        REFUSED,
        "the orientation has NaN, infinite, zero or dependent axes",
        "export it again with a valid orientation",
    ),
    "GEOMETRY_DUPLICATE_SLICE": Problem(
        REFUSED,
        "two different slices at one position, and nothing in their headers tells them apart",
        "take one out, or put the two series in folders of their own",
    ),
    "GEOMETRY_FORMS_DISAGREE": Problem(
        "tolerated or refused",
        "sform and qform place the voxels differently",
        "delete the wrong one; which one is right only the file's maker knows",
    ),
    "GEOMETRY_GANTRY_TILT": Problem(
        REFUSED,
        "slices shift sideways from one to the next (tilted gantry)",
        "`--repair tilt` resamples it to a straight grid",
    ),
    "GEOMETRY_LABEL_GRID": Problem(
        REFUSED,
        "two volumes that belong together lie on different grids",
        "to train: resample the label by nearest neighbour; to evaluate: `--resample`, if the prediction is meant "
        "to lie on another grid",
    ),
    "GEOMETRY_MISSING_POSITION": Problem(
        REFUSED, "a slice has no position, orientation or pixel spacing", "export it from the PACS again"
    ),
    "GEOMETRY_MISSING_SLICE": Problem(
        REFUSED, "a gap in the series", "complete it; no `--repair` fills a gap with what nobody scanned"
    ),
    "GEOMETRY_MIXED_ORIENTATION": Problem(
        REFUSED, "slices of one series lie in different planes", "split the series"
    ),
    "GEOMETRY_MIXED_SIZES": Problem(
        REFUSED, "slices of one series differ in size or pixel spacing", "split the series"
    ),
    "GEOMETRY_NOT_3D": Problem(REFUSED, "not one volume with three axes", "split 4D files"),
    "GEOMETRY_NO_FORM": Problem(
        TOLERATED,
        "neither sform nor qform is set, so nothing says how the voxels lie in the patient",
        "export it again with its orientation",
    ),
    "GEOMETRY_REPAIRED_SPACING": Problem(
        TOLERATED,
        "slices at uneven distances were resampled to even ones, as `--repair uneven` asked",
        "nothing to do; `repair` in the manifest has the distances",
    ),
    "GEOMETRY_REPAIRED_TILT": Problem(
        TOLERATED,
        "slices of a tilted gantry were shifted onto a straight grid, as `--repair tilt` asked",
        "nothing to do; `repair` in the manifest has the angle",
    ),
    "GEOMETRY_ROUNDED_POSITIONS": Problem(
        TOLERATED,
        "slice positions are up to 0.1 mm off an even grid; read as even",
        "nothing to do; the export rounded them",
    ),
    "GEOMETRY_SHEARED": Problem(
        REFUSED, "the axes are not at right angles", "resample to an orthogonal grid first"
    ),
    "GEOMETRY_SINGLE_SLICE": Problem(
        "tolerated; refused by 3D models",
        "a single slice; its thickness is taken from the header",
        "give the whole series",
    ),
    "GEOMETRY_UNEVEN_SPACING": Problem(
        REFUSED,
        "slices are not evenly spaced, or not on one line",
        "`--repair uneven` resamples uneven distances evenly; what is not on one line needs another export",
    ),
    "GROUPS_BAD_TABLE": Problem(
        REFUSED,
        "a table of subgroups that cannot be used: no column `case`, a case twice, no case of these, a column "
        "with a reserved name or with too many values, not UTF-8",
        "the message says which and where ([evaluate](../how-to/evaluate.md#subgroups))",
    ),
    "IMAGE_CONSTANT": Problem(TOLERATED, "all voxels have the same value", "check that it is the right file"),
    "IMAGE_EMPTY": Problem(REFUSED, "an image without voxels", "export it again"),
    "IMAGE_NOT_FINITE": Problem(REFUSED, "NaN or infinite voxels", "replace them"),
    "IMAGE_NOT_SCALAR": Problem(
        REFUSED,
        "colours, complex numbers or vectors; in Python an array of truth values or objects too",
        "convert to a scalar image",
    ),
    "IMAGE_NO_SCALING": Problem(
        TOLERATED,
        "the scaling in the header is not a number; the voxels are read as stored",
        "check that values are in the units you expect",
    ),
    "INPUT_UNLIKE_TRAINING": Problem(
        TOLERATED,
        "the image is far from all that the weights were trained on: another modality, a label map, other units, "
        "another part of the body; its labels may mean nothing",
        "`unlike_training` in the manifest says in which number; check that image and bundle belong together",
    ),
    "LABEL_NOT_INTEGER": Problem(REFUSED, "a label map with fractions", "it was interpolated: export it again"),
    "LABEL_UNKNOWN_ID": Problem(
        REFUSED,
        "a label id that the bundle does not know",
        "correct the file, or add the label to the bundle's `channel_def`",
    ),
    "MEMORY_FELL_BACK": Problem(
        TOLERATED,
        "memory ran out on the way, and the case was done in one that takes less",
        "nothing to do; `memory` in the manifest says which way, and a lower `--budget-mib` takes it at once",
    ),
    "MEMORY_TOO_SMALL": Problem(
        REFUSED,
        "the case needs more memory than is free or allowed, in the smallest way there is",
        "raise `--budget-mib`, or run it where there is more memory",
    ),
    "OUTPUT_KEPT": Problem(
        TOLERATED,
        "a result that had been changed since medseg wrote it, by hand for example, was about to be replaced; it "
        "was renamed to `<name>.kept-<hash>` first",
        "look at both; delete the one that is not needed",
    ),
    "OUTPUT_NO_SPACE": Problem(
        REFUSED,
        "the disk, or the quota, is full; no result is left half-written",
        "free disk space, then run the same line again",
    ),
    "OUTPUT_UNWRITABLE": Problem(
        REFUSED,
        "a result could not be written: no permission, a read-only folder, a broken disk; none is half-written",
        "the message says why; mend it, then run the same line again",
    ),
    "OUTPUT_WOULD_OVERWRITE": Problem(
        REFUSED,
        "results would replace or lie among the images or labels that are read, or replace a file that the output "
        "folder's manifest does not name; nothing was started",
        "give an output folder of its own, or move the file away",
    ),
    "PROBABILITIES_MISSING": Problem(
        REFUSED,
        "the metric `ece` was asked for, and beside a prediction there are no probabilities",
        "predict with `--save-probabilities`",
    ),
    "READER_CRASHED": Problem(
        REFUSED,
        "the process that read a case died, by a fault in a decoder or for want of memory",
        "export the case again; with fewer `--jobs` each has more memory",
    ),
    "READER_HUNG": Problem(
        REFUSED,
        "a case was not read within `read_timeout_s`, and its process was ended",
        "export the case again, or give it more time",
    ),
    "RUN_DIFFERENT_SETTINGS": Problem(
        REFUSED,
        "the output folder holds a run made with other values",
        "another `--output_dir`, or `--resume False`",
    ),
    "WEIGHTS_MISMATCH": Problem(
        REFUSED, "a checkpoint of another network", "give the one that belongs to the bundle"
    ),
    "WEIGHTS_MISSING": Problem(
        REFUSED, "no checkpoint at that path", "train, then give `--weights OUTPUT_DIR/models/best.pt`"
    ),
}


def remedy(code: str) -> str:
    """Return what to do about a problem, in plain words."""
    return CODES[code].remedy.replace("`", "")


def table() -> str:
    """Return the table of all codes in Markdown."""
    rows = [f"| `{code}` | {p.outcome} | {p.meaning} | {p.remedy} |" for code, p in CODES.items()]
    return "\n".join(["| code | what happens | meaning | remedy |", "|---|---|---|---|", *rows])
