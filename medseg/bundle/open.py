"""Open and run a bundle's configs, so that the command line, MONAI's own and Python do the same thing."""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError, cause_of, exit_cleanly

if TYPE_CHECKING:
    pass

from medseg.bundle.overrides import check_overrides

CONFIG_OF = {"training": "train", "inference": "inference", "evaluating": "evaluate"}


def run_bundle(bundle: str | Path, job: str, **overrides: Any) -> Any:
    """Run `job` of a bundle in this process, as ``python -m monai.bundle run JOB`` does, and return its result.

    Parameters
    ----------
    bundle
        The bundle's folder.
    job
        ``"training"``, ``"inference"`` or ``"evaluating"``.
    overrides
        Config values by id, such as ``max_epochs=3`` or ``**{"optimizer#weight_decay": 0.1}``.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`, `CONFIG_UNKNOWN_KEY`, and whatever the job refuses.
    """
    from monai.bundle import create_workflow

    config = config_file(bundle, job)
    check_overrides([config], overrides)
    overrides = {key: "$None" if value is None else value for key, value in overrides.items()}  # MONAI drops None
    try:
        with _quiet():
            workflow = create_workflow(config_file=str(config), logging_file=False, run_id=job, **overrides)
        result = workflow.run()  # `finalize` only turns failures into an exit status, for the command line
    except Exception as error:  # MONAI wraps what a config raises; callers get the cause
        found = cause_of(error)
        if found is None or found is error:
            raise
        raise found from None
    return result[-1]


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


def config_file(bundle: str | Path, job: str) -> Path:
    """Return the path of the config that does `job`."""
    path = Path(bundle).expanduser().resolve() / "configs" / f"{CONFIG_OF[job]}.json"
    if not path.is_file():
        raise InputError("BUNDLE_MISSING", f"{bundle} is no bundle that does {job}: it has no configs/{path.name}")
    return path


def begin() -> None:
    """Check the call of the config that runs this; the first step of every config's ``initialize``.

    MONAI takes a mistyped override for a new config item and ignores it: here it is refused, before
    anything is read or written.
    """
    exit_cleanly()
    call = _calling_workflow()
    if call is not None:
        check_overrides(call["config_file"], call["_args"])


def root() -> str:
    """Return the absolute path of the bundle whose config is being run, wherever it was started from."""
    from monai.bundle import ConfigWorkflow

    for frame in inspect.stack():
        workflow = frame.frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return str(Path(workflow.config_root_path).resolve().parent)
    return str(Path.cwd())


def _calling_workflow() -> Mapping[str, Any] | None:
    """Return the arguments of the `monai.bundle` call in progress: MONAI hands configs no reference to it."""
    for frame in inspect.stack():
        if frame.function == "create_workflow" and frame.frame.f_globals["__name__"].startswith("monai.bundle"):
            return frame.frame.f_locals
    return None
