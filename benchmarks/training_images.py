"""What the shipped weights know of their training images, and on which images that raises the alarm.

    python benchmarks/training_images.py [--write]

Describes the training cases of each shipped hippocampus bundle (its own split of Task04_Hippocampus), and with
``--write`` puts the numbers into its ``models/model.pt``, whose tensors stay as they are. Then it counts
`INPUT_UNLIKE_TRAINING`: on cases not trained on, where each is a false alarm, of hippocampus, cardiac MR and
CT crops; and on images that are not what the bundle is for, where each missing one is a miss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import BUNDLES, DATA

from medseg.bundle import read_metadata, with_training_images
from medseg.cases import Case, choose_cases, find_cases, split_cases
from medseg.files import write_torch
from medseg.read import TrainingImages, Volume, compared, in_words, read_volume
from medseg.training import describe_images

MR, CT = {"kind": "mr"}, {"kind": "ct"}


def held_out(cases: Sequence[Case], split: dict[str, list[str]], images: TrainingImages) -> str:
    """Return how many of the cases that are not in training raise the alarm, and in what."""
    others = [case for case in cases if case["id"] not in split["training"]]
    alarms = [far for case in others if (far := compared(read_volume(case["image"]), images)[1])]
    return "; ".join([f"{len(alarms)} of {len(others)}", *map(in_words, alarms)])


def strangers(labelled: Case) -> Iterable[tuple[str, Volume]]:
    """Yield what a hippocampus bundle is not for: other images, and a hippocampus changed."""
    crop = read_volume(labelled["image"])
    yield "torso CT", read_volume(DATA / "ct/torso_3mm.nii.gz")
    yield "torso CT, DICOM", read_volume(DATA / "dicom/ct_torso_series")
    head = read_volume(DATA / "ct/head_ct_avm.nii.gz")
    yield "head CT", head
    middle = tuple(slice(n // 2 - 25, n // 2 + 25) for n in head.array.shape)
    yield "head CT, a crop of 36 × 36 × 50 mm", replace(head, array=head.array[middle])
    yield "torso MR", read_volume(DATA / "mr/torso_mr_3mm_crop.nii.gz")
    yield "whole head T1", read_volume(DATA / "dicom/mr_brain_study/t1")
    yield "label map of the hippocampus", read_volume(labelled["label"])
    yield "hippocampus less 1000", replace(crop, array=crop.array.astype(np.float32) - 1000)
    yield "hippocampus and 1000", replace(crop, array=crop.array.astype(np.float32) + 1000)
    yield "hippocampus, 5 times as large", replace(crop, affine=np.diag([5.0, 5, 5, 1]) @ crop.affine)


def write(bundle: Path, images: TrainingImages) -> None:
    path = bundle / "models/model.pt"
    write_torch(path, with_training_images(torch.load(path, map_location="cpu", weights_only=True), images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the numbers into the shipped weights")
    arguments = parser.parse_args()
    cases = find_cases(DATA / "Task04_Hippocampus", labelled=True)
    for bundle in sorted(path.parents[1] for path in BUNDLES.glob("*/models/model.pt")):
        numbers = read_metadata(bundle).values["medseg"]
        split = split_cases(cases, **numbers["split"])
        images = describe_images(choose_cases(cases, split, "training"), numbers["preprocessing"]["intensity"])
        print(f"{bundle.name}: {images.cases} training cases, {images.ranges}")
        print(f"  false alarms on cases held out: {held_out(cases, split, images)}")
        if arguments.write:
            write(bundle, images)
    for name, volume in strangers(cases[0]):
        print(f"  {name}: {in_words(compared(volume, images)[1] or []) or 'NO ALARM'}")
    for name, kind in [("acdc", MR), ("sts_ct", CT)]:
        others = find_cases(DATA / name, labelled=True)
        alike = split_cases(others, validation=0.3)
        images = describe_images(choose_cases(others, alike, "training"), kind)
        print(f"{name}: false alarms on cases held out: {held_out(others, alike, images)}")
        if kind is CT:
            for other, path in [("torso MR", "mr/torso_mr_3mm_crop.nii.gz"), ("cardiac MR", None)]:
                found = DATA / path if path else find_cases(DATA / "acdc")[0]["image"]
                print(f"  {other}: {in_words(compared(read_volume(found), images)[1] or []) or 'NO ALARM'}")


if __name__ == "__main__":
    main()
