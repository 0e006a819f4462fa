"""Two evaluations for the tests of the report: small volumes, hostile names, subgroups, two models."""

from __future__ import annotations

import base64
import csv
import zlib
from pathlib import Path

import nibabel
import numpy as np

from medseg.evaluation import Options, evaluate_cases

HOSTILE = '<script>document.title="taken"</script>"&\''
NAMES = {1: "liver", 2: '<b>"vein" & artery</b>', 5: "nowhere"}
SHAPE, SPACING_MM = (16, 14, 12), (1.0, 1.5, 2.0)
AFFINE = np.diag([*SPACING_MM, 1.0])


def volumes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reference = np.zeros(SHAPE, np.uint8)
    reference[3:9, 3:9, 3:8], reference[9:13, 4:10, 4:9] = 1, 2
    ours = np.roll(reference, rng.integers(-2, 3, 3), (0, 1, 2))
    theirs = np.roll(reference, rng.integers(-1, 2, 3), (0, 1, 2))
    if seed == 0:
        ours[ours == 2] = 0  # missed
    return reference, ours, theirs


def judge(folder: Path, ids: list[str], *, second: bool = False, image: bool = True, **how) -> Path:
    cases = []
    for seed, name in enumerate(ids):
        case = {"id": name}
        maps = dict(zip(("label", "prediction", "second"), volumes(seed), strict=True))
        if image:
            noise = np.random.default_rng(seed).normal(0, 8, SHAPE)
            maps["image"] = (100 + 60 * (maps["label"] > 0) + noise).astype(np.float32)
        for key, array in maps.items():
            if key == "second" and not second:
                continue
            path = folder / f"{key}_maps" / f"{seed}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
            case[key] = str(path)
        cases.append(case)
    without = ((),) * (1 + second)
    evaluate_cases(cases, folder / "out", Options(**how), names=NAMES, without_prediction=without)
    return folder / "out"


def judge_one(folder: Path) -> Path:
    """Return the report of one model, with hostile names and subgroups."""
    ids = [HOSTILE, "case two", "c/3", "fourth", "fifth"]
    with (folder / "groups.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["case", 'a "<i>'], *[[name, f"{i % 2}.5<T"] for i, name in enumerate(ids)]])
    return judge(folder, ids, groups=folder / "groups.csv")


def judge_two(folder: Path) -> Path:
    """Return the report of two models, without images."""
    return judge(folder, [f"case {i}" for i in range(8)], second=True, image=False)


def unpack(text: str, facts: dict) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """The inverse of `pack`, as viewer.js does it."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    shape = tuple(facts["size"][::-1])
    planes = list(data.reshape(-1, *shape))
    image = np.cumsum(planes.pop(0), axis=2, dtype=np.uint8) if facts["image"] else None
    if facts["wide"]:
        planes = [low + 256 * high.astype(np.uint16) for low, high in zip(planes[::2], planes[1::2], strict=True)]
    maps = [planes[0], *(plane ^ planes[0] for plane in planes[1:])]
    return image, maps
