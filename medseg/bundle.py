"""Open and run a bundle's configs, so that the command line, MONAI's own and Python do the same thing."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError, cause_of, exit_cleanly

if TYPE_CHECKING:
    import torch

CONFIG_OF = {"training": "train", "inference": "inference", "evaluating": "evaluate"}
MONAI_ARGUMENTS = {"meta_file", "logging_file", "init_id", "run_id", "final_id", "tracking", "workflow_name"}
META = "_meta_"


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


def check_overrides(configs: str | Path | Sequence[str | Path], overrides: Mapping[str, Any]) -> None:
    """Refuse an override that no config or metadata has, or whose value is of another kind.

    Raises
    ------
    InputError
        `CONFIG_UNKNOWN_KEY` with the nearest known key; `CONFIG_BAD_VALUE`.
    """
    from monai.bundle import ConfigParser

    files = [Path(file).resolve() for file in ([configs] if isinstance(configs, (str, Path)) else configs)]
    known = {META: read_metadata(files[0].parent.parent), **ConfigParser.load_config_files(files)}
    for key, value in overrides.items():
        if key in MONAI_ARGUMENTS:
            continue
        place: Any = known
        for part in key.replace("::", "#").removeprefix("+").split("#"):
            names = list(place) if isinstance(place, dict) else list(map(str, range(_length(place))))
            if part not in names:
                raise _unknown_key(key, part, names, files)
            place = place[part] if isinstance(place, dict) else place[int(part)]
        if _is_number(place) and isinstance(value, str) and not value.startswith(("$", "@", "%")):
            raise InputError("CONFIG_BAD_VALUE", f"--{key} {value!r}: a number such as {place} is needed")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unknown_key(key: str, part: str, names: list[str], files: list[Path]) -> InputError:
    settable = [name for name in names if name not in (META, "imports", "initialize", "run", "finalize")]
    near = difflib.get_close_matches(part, settable, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(settable))}"
    return InputError("CONFIG_UNKNOWN_KEY", f"--{key}: {files[0].name} has no {part!r}; {hint}")


def read_metadata(bundle: str | Path) -> dict[str, Any]:
    """Return a bundle's ``configs/metadata.json``."""
    path = Path(bundle) / "configs" / "metadata.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("BUNDLE_MISSING", f"{bundle} is no bundle: {path} cannot be read ({error})") from error


def label_names(metadata: Mapping[str, Any]) -> dict[int, str]:
    """Return the label ids of a bundle and their names, background left out."""
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    return {int(i): name for i, name in channels.items() if int(i) != 0}


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """Fill `network` from a state dict or from a training checkpoint, and return it in evaluation mode.

    Nothing but tensors is read from the file (``weights_only``). Half precision becomes float32.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`, `FILE_UNREADABLE` or `WEIGHTS_MISMATCH`.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise InputError(
            "WEIGHTS_MISSING",
            f"{path} does not exist; train the bundle and give --weights OUTPUT_DIR/models/best.pt",
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the broken bytes led it to
        raise InputError("FILE_UNREADABLE", f"{path} holds no tensors ({type(error).__name__})") from error
    state = state.get("network", state) if isinstance(state, dict) else state
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            "WEIGHTS_MISMATCH",
            f"{path} does not fit the network in the bundle's metadata: {str(error).splitlines()[-1].strip()}",
        ) from error
    return network.float().eval()


def load_model(
    network: torch.nn.Module, weights: str | Path | Sequence[str | Path], mirror_axes: Sequence[int] = ()
) -> torch.nn.Module:
    """Return `network` with its weights, or an `Ensemble` where there are several or the image is also mirrored.

    Raises
    ------
    InputError
        As `load_weights`; `CONFIG_BAD_VALUE`: an axis that the network has not.
    """
    from medseg.fused import spatial_dims_of
    from medseg.networks import Ensemble

    paths = [weights] if isinstance(weights, (str, Path)) else list(weights)
    dims = spatial_dims_of(network)
    if not paths or len(set(mirror_axes)) < len(mirror_axes) or not set(mirror_axes) <= set(range(dims)):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"weights {paths}, mirror_axes {list(mirror_axes)}: a file or more, different axes of 0 to {dims - 1}",
        )
    if len(paths) == 1 and not mirror_axes:
        return load_weights(network, paths[0])
    return Ensemble([load_weights(deepcopy(network), path) for path in paths], mirror_axes).eval()
