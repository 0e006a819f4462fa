"""Problems of images and the files they are in, by code."""

from __future__ import annotations

from medseg.errors.problem import REFUSED, SKIPPED, TOLERATED, Problem

READING: dict[str, Problem] = {
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
        "`medseg inspect` lists what is there; a CT for an MR bundle needs `--modality CT`",
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
    "GEOMETRY_BAD_AFFINE": Problem(
        REFUSED,
        "the orientation has NaN, infinite, zero or dependent axes",
        "export it again with a valid orientation",
    ),
    "GEOMETRY_CHANNEL_GRID": Problem(
        REFUSED,
        "the channels of a case lie on different grids",
        "register the images and resample them onto one grid",
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
    "GEOMETRY_NOT_3D": Problem(
        REFUSED,
        "not one volume with three axes",
        "split 4D files; a model of several channels takes them as they are",
    ),
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
}
