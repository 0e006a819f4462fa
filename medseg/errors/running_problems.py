"""Problems of calls, cases, bundles, outputs and the machine, by code."""

from __future__ import annotations

from medseg.errors.problem import REFUSED, SKIPPED, TOLERATED, Problem

RUNNING: dict[str, Problem] = {
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
    "CASES_FAULTY": Problem(
        REFUSED,
        "a data set to plan for has faults; the message has one a line, each with its own code",
        "mend all of them, then plan again",
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
    "CASES_PATIENT_IN_PARTS": Problem(
        REFUSED,
        "a patient has cases among those to train on and among those to test on",
        "move them all to one part",
    ),
    "CASES_SAME_IMAGE": Problem(REFUSED, "two cases are the same image, voxel for voxel", "keep one of them"),
    "CASES_SEVERAL_LABELS": Problem(
        REFUSED,
        "the derivatives of a BIDS tree hold several label maps of one case",
        "leave one, with all its labels",
    ),
    "CASE_FAILED": Problem(
        REFUSED, "a case failed in a way that has no code of its own", "see the message; please report it"
    ),
    "CHANNELS_MISMATCH": Problem(
        REFUSED,
        "a case has another number of channels than the model was trained with",
        "give as many images, in the model's order: a list of them, one a channel, or one 4D NIfTI",
    ),
    "CONFIG_BAD_VALUE": Problem(REFUSED, "a value of the wrong kind", "the message says what is allowed"),
    "CONFIG_UNKNOWN_KEY": Problem(
        REFUSED, "an override names a key that is not in the config", "the message names the nearest key"
    ),
    "DOWNLOAD_FAILED": Problem(
        REFUSED,
        "a data set could not be fetched: no network, a broken connection, a wrong checksum, a full disk",
        "the message says which; nothing was kept, so try again",
    ),
    "FORMAT_NEEDS_DICOM": Problem(
        REFUSED,
        "DICOM SEG or RTSTRUCT was asked for, and the case is no DICOM series they could refer to",
        "ask for `nifti`, or give the DICOM series",
    ),
    "GROUPS_BAD_TABLE": Problem(
        REFUSED,
        "a table of subgroups or patients that cannot be used: no column `case`, a case twice, no case of these, "
        "a column with a reserved name or with too many values, no `patient` of a case, not UTF-8",
        "the message says which and where ([evaluate](../how-to/evaluate.md#subgroups), "
        "[folds](../how-to/train.md#folds))",
    ),
    "LABEL_EMPTY": Problem(
        REFUSED,
        "a case without a labelled voxel, or a label that no case holds, in a data set to plan for",
        "take it out; if it is right so, plan with `allow_empty=True`",
    ),
    "LABEL_NOT_CONSECUTIVE": Problem(
        REFUSED,
        "the ids of a data set's labels are not 1, 2, 3 and so on",
        "number them so, in `dataset.json` and in the label maps",
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
    "NETWORK_BAD_OUTPUT": Problem(
        REFUSED,
        "a network's first output is no tensor with scores for each voxel that it was given",
        "use a network that gives such scores, or put a layer that makes them behind it",
    ),
    "OUTPUT_KEPT": Problem(
        TOLERATED,
        "a result was changed since medseg wrote it, by hand for example, and was about to be replaced; or it is "
        "of another input or model than the case's new record. It was moved to `kept/` in the output folder",
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
        "another `output_dir`, or `resume=False` (on MONAI's command line `--output_dir DIR` or `--resume False`)",
    ),
    "RUN_NOT_FINITE": Problem(
        REFUSED,
        "the loss of a training step is no number, or infinite; the run ends with the weights it had before",
        "look for images of extreme values (`medseg inspect --voxels`), or lower `learning_rate`",
    ),
    "WEIGHTS_MISMATCH": Problem(
        REFUSED, "a checkpoint of another network", "give the one that belongs to the bundle"
    ),
    "WEIGHTS_MISSING": Problem(
        REFUSED, "no checkpoint at that path", "train, then give `--weights OUTPUT_DIR/models/best.pt`"
    ),
}
