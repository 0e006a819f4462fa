"""Every named problem: what it means and what to do about it; ``docs/reference/codes.md`` is this table.

A code is refused (an `InputError`), skipped (nothing to segment) or tolerated (in `Volume.codes`); which of
them it was stands beside it wherever it is reported.
"""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "BUNDLE_MISSING": (
        "the folder has no config for the job, or no readable `metadata.json`",
        "give the bundle's folder, the one with `configs/`",
    ),
    "CASES_DUPLICATE_ID": ("two cases have the same name, such as `a.nii` and `a.nii.gz`", "rename one"),
    "CASES_EMPTY": (
        "no case was found, or too few for the split, none in the subset, or none with a labelled voxel to "
        "validate on",
        "check the folder's layout ([data](../how-to/data.md))",
    ),
    "CASES_MISSING_LABEL": (
        "a case to train or evaluate on has no label",
        "add the file or take the image out",
    ),
    "CASES_NOT_IN_DATASET": (
        "a split file names cases that the data set has not",
        "give the split that belongs to the data",
    ),
    "CASE_FAILED": (
        "a case failed in a way that has no code of its own",
        "see the message; please report it",
    ),
    "CONFIG_BAD_VALUE": ("a value of the wrong kind", "the message says what is allowed"),
    "CONFIG_UNKNOWN_KEY": (
        "an override names a key that the config has not",
        "the message names the nearest key",
    ),
    "DICOM_BURNED_IN_ANNOTATION": (
        "text is burned into the pixels (`BurnedInAnnotation` is YES); tolerated, but no picture is drawn of it",
        "have the text removed before sharing the images",
    ),
    "DICOM_DUPLICATE_DROPPED": (
        "a slice was there twice, to the last pixel; one of the two was dropped",
        "nothing to do; the export sent it twice",
    ),
    "DICOM_MONOCHROME1": (
        "the images are shown inverted (`MONOCHROME1`); the values are read as stored and rescaled",
        "nothing to do for CT; otherwise check that high values mean what the model expects",
    ),
    "DICOM_MULTIFRAME": (
        "a multi-frame object that does not say where each frame lies",
        "export it as enhanced CT or MR, or as single frames",
    ),
    "DICOM_NOT_AN_IMAGE": (
        "a report, dose, presentation state, segmentation or other object without slices; skipped",
        "nothing to do",
    ),
    "DICOM_NO_PREAMBLE": (
        "the file lacks the 128 bytes and `DICM` that begin a DICOM file; read all the same",
        "nothing to do",
    ),
    "DICOM_NO_SUCH_SERIES": (
        "no series matches `series_uid`, `description` or `modality`",
        "`medseg inspect` lists what is there",
    ),
    "DICOM_OUTSIDE_ROOT": (
        "a `DICOMDIR` names a file outside its own folder; it was not opened",
        "copy the medium again, or give the folder of images itself",
    ),
    "DICOM_PIXELS_UNREADABLE": (
        "the pixel data is damaged, or in a form that has no decoder here",
        "export the series again, uncompressed",
    ),
    "DICOM_SCOUT": (
        "a scout (localizer) image, not part of a volume; left out",
        "nothing to do",
    ),
    "DICOM_SECONDARY_CAPTURE": (
        "a screen capture without a place in the patient; skipped",
        "nothing to do; the original images are needed",
    ),
    "DICOM_SEVERAL_SERIES": (
        "more than one volume is there, and which one is meant is not said",
        "name it by `series_uid`, `description` or `modality`; `medseg inspect` lists them",
    ),
    "DICOM_SPLIT": (
        "one series held several volumes (echoes, phases, time points, orientations); each was read by itself",
        "nothing to do",
    ),
    "DOWNLOAD_FAILED": (
        "a data set could not be fetched: no network, a broken connection, a wrong checksum, a full disk",
        "the message says which; nothing was kept, so try again",
    ),
    "FILE_MISSING": ("a path does not exist", "check the path"),
    "FILE_TOO_LARGE": (
        "a file needs more memory than this machine has, or unpacks to more than its header says",
        "crop or resample it elsewhere; a file that unpacks to more than it says is damaged or hostile",
    ),
    "FILE_TRUNCATED": ("a file holds less than its header promises", "copy or export it again"),
    "FILE_UNREADABLE": ("a file is damaged or not what its name says", "export it again"),
    "FORMAT_NEEDS_DICOM": (
        "DICOM SEG or RTSTRUCT was asked for, and the case is no DICOM series they could refer to",
        "ask for `nifti`, or give the DICOM series",
    ),
    "GEOMETRY_BAD_AFFINE": (
        "the orientation has NaN, infinite, zero or dependent axes",
        "export it again with a valid orientation",
    ),
    "GEOMETRY_DUPLICATE_SLICE": (
        "two different slices at one position, and nothing in their headers tells them apart",
        "take one out, or put the two series in folders of their own",
    ),
    "GEOMETRY_FORMS_DISAGREE": (
        "sform and qform place the voxels differently",
        "delete the wrong one; which one is right only the file's maker knows",
    ),
    "GEOMETRY_GANTRY_TILT": (
        "slices shift sideways from one to the next (tilted gantry)",
        "resample to an orthogonal grid first",
    ),
    "GEOMETRY_LABEL_GRID": (
        "two volumes that belong together lie on different grids",
        "resample the label by nearest neighbour",
    ),
    "GEOMETRY_MISSING_POSITION": (
        "a slice has no position, orientation or pixel spacing",
        "export it from the PACS again",
    ),
    "GEOMETRY_MISSING_SLICE": ("a gap in the series", "complete it"),
    "GEOMETRY_MIXED_ORIENTATION": ("slices of one series lie in different planes", "split the series"),
    "GEOMETRY_MIXED_SIZES": ("slices of one series differ in size or pixel spacing", "split the series"),
    "GEOMETRY_NOT_3D": ("not one volume with three axes", "split 4D files"),
    "GEOMETRY_NO_FORM": (
        "neither sform nor qform is set, so nothing says how the voxels lie in the patient",
        "export it again with its orientation",
    ),
    "GEOMETRY_ROUNDED_POSITIONS": (
        "slice positions are up to 0.1 mm off an even grid; read as even",
        "nothing to do; the export rounded them",
    ),
    "GEOMETRY_SHEARED": (
        "the axes are not at right angles",
        "resample to an orthogonal grid first",
    ),
    "GEOMETRY_SINGLE_SLICE": (
        "one slice alone: how thick it is only its header says; a 3D model refuses it",
        "give the whole series",
    ),
    "GEOMETRY_UNEVEN_SPACING": ("slices are not evenly spaced", "resample the series evenly"),
    "IMAGE_CONSTANT": ("all voxels have the same value; read all the same", "check that it is the right file"),
    "IMAGE_EMPTY": ("an image without voxels", "export it again"),
    "IMAGE_NOT_FINITE": ("NaN or infinite voxels", "replace them"),
    "IMAGE_NOT_SCALAR": ("colours, complex numbers or vectors", "convert to a scalar image"),
    "IMAGE_NO_SCALING": (
        "the scaling in the header is not a number; the voxels are read as stored",
        "check that values are in the units you expect",
    ),
    "LABEL_NOT_INTEGER": ("a label map with fractions", "it was interpolated: export it again"),
    "LABEL_UNKNOWN_ID": (
        "a label id that the bundle does not know",
        "correct the file, or add the label to the bundle's `channel_def`",
    ),
    "RUN_DIFFERENT_SETTINGS": (
        "the output folder holds a run made with other values",
        "another `--output_dir`, or `--resume False`",
    ),
    "WEIGHTS_MISMATCH": ("a checkpoint of another network", "give the one that belongs to the bundle"),
    "WEIGHTS_MISSING": (
        "no checkpoint at that path",
        "train, then give `--weights OUTPUT_DIR/models/best.pt`",
    ),
}


def remedy(code: str) -> str:
    """Return what to do about a problem, in plain words."""
    return CODES[code][1].replace("`", "")
