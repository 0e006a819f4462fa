"""``make demo``: train, predict and evaluate on the sample data by the commands a user would type."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RUN = ROOT / "runs" / "demo"
BUNDLE = "bundles/hippocampus_mr_unet3d"
WEIGHTS = "runs/demo/training/models/best.pt"
STEPS = {
    "train": f"python -m monai.bundle run training --config_file {BUNDLE}/configs/train.json "
    "--dataset_dir sample_data/mr --output_dir runs/demo/training --max_minutes 1.5",
    "predict": f"medseg predict {BUNDLE} sample_data/mr_held_back runs/demo/predictions --weights {WEIGHTS}",
    "evaluate": "medseg evaluate runs/demo/predictions sample_data/mr_held_back runs/demo/evaluation "
    f"--bundle {BUNDLE}",
}


def main() -> None:
    """Run the steps one after the other and say what was made and how long it took."""
    shutil.rmtree(RUN, ignore_errors=True)  # the demo starts from nothing each time
    seconds = {}
    for step, line in STEPS.items():
        print(f"\n$ {line}", flush=True)
        program, *arguments = shlex.split(line)
        start = time.monotonic()
        subprocess.run([str(Path(sys.executable).parent / program), *arguments], cwd=ROOT, check=True)
        seconds[step] = time.monotonic() - start
    print("\nreport:       runs/demo/evaluation/report.html")
    print("TensorBoard:  .venv/bin/tensorboard --logdir runs/demo/training/tensorboard")
    print("label maps:   runs/demo/predictions")
    print("time:         " + ", ".join(f"{step} {spent:.0f} s" for step, spent in seconds.items()))


if __name__ == "__main__":
    main()
