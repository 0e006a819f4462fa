"""Run a bundle's job, by medseg or by MONAI's own command line: both check the same and find the same folder."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from medseg.bundle.monai_command_line import monai_command_line
from medseg.bundle.open import Config, open_config, open_files
from medseg.errors import exit_cleanly, unwrapped

PATHS = {"cases", "dataset_dir", "output_dir", "weights", "init_from", "patients", "split_file"}
# Python's search path when a config began: MONAI puts a bundle's folder there when it runs, and leaves it there
_path_before: list[str] = []
# The overrides of the job that `run_bundle` runs; nested jobs, as evaluating runs inference, each have their own
_given: ContextVar[Mapping[str, Any] | None] = ContextVar("given", default=None)


def run_bundle(bundle: str | Path, job: str, **overrides: Any) -> Any:
    """Run `job` of a bundle in this process, as ``python -m monai.bundle run JOB`` does, and return its result.

    Parameters
    ----------
    bundle, job, overrides
        As for `open_config`.

    Raises
    ------
    InputError
        As `open_config`, and whatever the job refuses.
    """
    from monai.bundle import create_workflow

    config = open_config(bundle, job, overrides)
    token = _given.set(overrides)
    overrides = {key: "$None" if value is None else value for key, value in overrides.items()}  # MONAI drops None
    for key in PATHS & overrides.keys():  # a file may be called $…, which MONAI would run
        overrides[key] = f"$medseg.bundle.given({key!r})"
    arguments: dict[str, Any] = {"bundle_root": str(config.root), "logging_file": False, "run_id": job}
    try:
        with unwrapped():
            with _quiet():
                workflow = create_workflow(config_file=str(config.file), **{**arguments, **overrides})
            return workflow.run()[-1]  # `finalize` only turns failures into an exit status, for the command line
    finally:
        _given.reset(token)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep MONAI from reporting to medseg's users how it opens the config that medseg gave it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*GHSA-873f-pvrv-4x83.*")
            yield
    finally:
        logging.disable(before)


def begin() -> None:
    """Check the call, where MONAI's command line made it; the first step of every config's ``initialize``.

    MONAI takes a mistyped override for a new config item and ignores it: here it is refused, before anything is
    read or written.
    """
    exit_cleanly()
    _path_before[:] = sys.path
    arguments = monai_command_line(sys.argv)
    if _given.get() is None and (files := _json_files(arguments)):
        open_files(files, arguments)


def given(key: str) -> Any:
    """Return an override of the job that `run_bundle` runs, as it was given: nothing in it is computed."""
    return (_given.get() or {})[key]


def root() -> str:
    """Return the absolute path of the bundle that is being run, wherever it was started from.

    MONAI puts a bundle's folder on Python's search path, behind the first entry, when it runs one of its configs.
    Who reads a config without running it gives ``bundle_root``, or is in that folder. What an earlier run left on
    the path does not count.
    """
    before, now = _path_before[1:], sys.path[1:]
    since = next((n for n in range(len(now) + 1) if before and now[n : n + len(before)] == before), 0)
    running = (path for path in now[:since] if Path(path, "configs", "metadata.json").is_file())
    return str(Path(next(running, "")).resolve())


def config_sha256(bundle: str | Path, settings: Any) -> str:
    """Return the hash of what makes the labels in the run that asks; see `Config.sha256`."""
    return config_in_use(bundle, "inference").sha256(settings)


def config_in_use(bundle: str | Path, job: str) -> Config:
    """Return the config of the job that is running, with what it was given in it."""
    given, arguments = _given.get(), monai_command_line(sys.argv)
    if given is None and (files := _json_files(arguments)):
        return open_files(files, arguments)
    return open_config(bundle, job, given)


def _json_files(arguments: Mapping[str, Any]) -> list[Path]:
    """Return the configs that MONAI's command line names; none where one is no JSON, which is MONAI's to read."""
    named = arguments.get("config_file", ())
    files = [Path(str(name)).resolve() for name in ([named] if isinstance(named, str) else named)]
    return files if all(file.suffix == ".json" for file in files) else []
