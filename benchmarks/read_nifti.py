"""Reading one .nii.gz, medseg beside nibabel, SimpleITK and MONAI: ``python benchmarks/read_nifti.py``.

A CT-like volume is written to a temporary folder as dcm2niix would compress it (deflate's level 6); each reader
reads it in turn, several times over, and medians are printed with the ratio to nibabel's. Then what a header
that claims 100 GB costs, and a file that unpacks to far more than its header says, each in a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import isal
import monai
import nibabel
import numpy as np
import SimpleITK
from common import machine, medians
from monai.transforms import LoadImage
from scipy import ndimage

from medseg.read.nifti import read_nifti

HOSTILE = """
import time
from medseg.errors import InputError
from medseg.read.nifti import read_nifti
def kib(name):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name)))
open("/proc/self/clear_refs", "w").write("5")  # Linux: the peak starts again from what is held now
before, start, code = kib("VmRSS"), time.perf_counter(), "read"
try:
    read_nifti({path!r})
except InputError as error:
    code = error.code
print(code, time.perf_counter() - start, (kib("VmHWM") - before) / 1024)
"""


def ct_like(shape: tuple[int, int, int]) -> np.ndarray:
    """Return air, a body, lungs and a spine in HU, smoothly uneven, under a scanner's noise (sigma 12 HU)."""
    rng = np.random.default_rng(0)
    x, y = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape[:2])
    x, y = x[:, None], y[None, :]
    coarse = rng.normal(size=(32, 32, 20)).astype(np.float32)
    texture = ndimage.zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    lungs = sum(((x - side) / 0.25) ** 2 + (y / 0.35) ** 2 < 1 for side in (-0.35, 0.35))
    volume = np.empty(shape, np.int16, order="F")
    for k in range(shape[2]):
        hu = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40 + 15 * texture[:, :, k], -1000)
        hu = np.where(lungs, -850 + 40 * texture[:, :, k], hu)
        hu = np.where((x / 0.1) ** 2 + ((y - 0.45) / 0.1) ** 2 < 1, 400 + 200 * texture[:, :, k], hu)
        hu = np.where(x**2 + y**2 < 1, hu + rng.normal(0, 12, shape[:2]), -1024)  # outside the field of view
        volume[:, :, k] = np.clip(np.round(hu), -1024, 3071)
    return volume


def time_readers(path: Path, repeats: int) -> dict[str, float]:
    """Return each reader's median time in s; they take turns, so that a busy machine slows all of them."""
    monai_reader = LoadImage(reader="NibabelReader", image_only=True)
    readers = {
        f"medseg (isal {isal.__version__})": lambda: read_nifti(path),
        f"nibabel {nibabel.__version__}": lambda: np.asanyarray(nibabel.load(path).dataobj),
        f"SimpleITK {SimpleITK.__version__}": lambda: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)),
        f"MONAI {monai.__version__} LoadImage(NibabelReader)": lambda: monai_reader(path),
    }
    return medians(readers, repeats)


def cost_of_refusal(path: Path, repeats: int) -> tuple[str, float, float]:
    """Return the code, and the medians of time in s and memory taken in MiB, each time in a new process."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, "-c", HOSTILE.format(path=str(path))]
        runs.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    return runs[0][0], median(float(run[1]) for run in runs), median(float(run[2]) for run in runs)


def hostile_files(folder: Path) -> dict[str, Path]:
    small = bytearray(nibabel.Nifti1Image(np.zeros((64, 64, 64), np.int16), np.eye(4)).to_bytes())
    bomb = folder / "bomb.nii.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as stream:
        stream.write(small)
        for _ in range(1024):
            stream.write(bytes(2**20))
    struct.pack_into("<4h", small, 40, 3, 3684, 3684, 3684)  # dim; 100 GB of int16
    claims = {".nii": bytes(small), ".nii.gz": gzip.compress(bytes(small))}
    for suffix, data in claims.items():
        (folder / f"claim{suffix}").write_bytes(data)
    return {
        "`.nii` of 0.5 MB that claims 100 GB": folder / "claim.nii",
        "`.nii.gz` that claims 100 GB": folder / "claim.nii.gz",
        f"`.nii.gz` of {bomb.stat().st_size / 1e6:.1f} MB that claims 0.5 MB and unpacks to 1.1 GB": bomb,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--level", type=int, default=6, help="of deflate; dcm2niix and pigz take 6, nibabel 1")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.nii.gz"
        image = nibabel.Nifti1Image(ct_like(tuple(arguments.shape)), np.diag([0.7, 0.7, 1, 1]))
        path.write_bytes(gzip.compress(image.to_bytes(), arguments.level))
        np.testing.assert_array_equal(read_nifti(path).array, image.dataobj)
        times = time_readers(path, arguments.repeats)
        refusals = {name: cost_of_refusal(file, 3) for name, file in hostile_files(Path(folder)).items()}
        size = path.stat().st_size
    nibabel_s = next(value for name, value in times.items() if name.startswith("nibabel"))
    voxels = " × ".join(map(str, arguments.shape))
    print(f"{voxels} int16, {image.dataobj.nbytes / 1e6:.0f} MB as a .nii.gz of {size / 1e6:.0f} MB ", end="")
    print(f"(level {arguments.level}); {machine('medseg', 'numpy')}; medians of {arguments.repeats} turns.\n")
    print("| reader | s | times as fast as nibabel |\n|---|---:|---:|")
    for name, value in times.items():
        print(f"| {name} | {value:.3f} | {nibabel_s / value:.2f} |")
    print("\n| file | refused as | ms | memory taken, MiB |\n|---|---|---:|---:|")
    for name, (code, seconds, mib) in refusals.items():
        print(f"| {name} | `{code}` | {1000 * seconds:.1f} | {mib:.1f} |")


if __name__ == "__main__":
    main()
