"""``run.json``: how a run is made, so that it can be made again, and is resumed the same way."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import monai
import torch

from medseg.errors import InputError
from medseg.files import write_json
from medseg.infer import choose_device, fast_dtype
from medseg.training.log_file import open_log


def open_run(output_dir: str | Path, settings: Mapping[str, Any], *, device: str, resume: bool) -> dict[str, Any]:
    """Record how a run is made in ``OUTPUT_DIR/run.json``, or check that a resumed one is made the same way.

    From here on ``OUTPUT_DIR/training.log`` is written.

    Raises
    ------
    InputError
        `RUN_DIFFERENT_SETTINGS`: the run there was started with other values.
    """
    path = Path(output_dir) / "run.json"
    open_log(output_dir)
    chosen = choose_device(device)
    settings = json.loads(json.dumps(settings))
    if resume and path.is_file() and (path.parent / "models" / "last.pt").is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
        for key, value in settings.items():
            before = record["settings"].get(key, value)  # an earlier version knew fewer settings
            if before != value:
                raise InputError(
                    "RUN_DIFFERENT_SETTINGS",
                    f"{output_dir} holds a run with {key} = {before}, not {value}; "
                    "give another output_dir, or resume=False to start it anew (on MONAI's command line "
                    "--output_dir DIR or --resume False)",
                )
        return record
    record = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": settings,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "monai": monai.__version__,
        },
        "machine": {
            "processor": torch.cpu.get_capabilities().get("cpu_name", platform.processor()),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "cpu",
            "fast_precision": str(fast_dtype(chosen.type)).removeprefix("torch."),
        },
    }
    write_json(path, record)
    return record
