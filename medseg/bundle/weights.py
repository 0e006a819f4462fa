"""Weights to a network: plain state dicts, nothing that runs code."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.bundle.find import shipped_bundles
from medseg.errors import InputError
from medseg.read import TrainingImages

if TYPE_CHECKING:
    import torch

TRAINING_IMAGES = "medseg training images"  # no module of a network has spaces in its name


def check_weights(path: str | Path) -> Path:
    """Return the path of a checkpoint, or refuse one that is not there.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`.
    """
    if not Path(path).is_file():
        raise InputError(
            "WEIGHTS_MISSING",
            f"{path} does not exist; train the bundle and give --weights OUTPUT_DIR/models/best.pt",
        )
    return Path(path)


def weights_of(place: str | Path) -> list[Path]:
    """Return the files of weights that a file, a bundle (folder or name) or a training run's folder stands for.

    Of a folder these are ``models/model.pt``, else the ensemble ``models/fold_*.pt``, else ``models/best.pt``,
    else the best weights of the runs in ``fold_*/``.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`.
    """
    if Path(place).is_file():
        return [Path(place)]
    shipped = shipped_bundles()
    folder = Path(place).expanduser() if Path(place).expanduser().is_dir() else shipped.get(str(place))
    if folder is not None:
        models = folder / "models"
        choices = [[models / "model.pt"], sorted(models.glob("fold_*.pt")), [models / "best.pt"]]
        choices.append(sorted(folder.glob("fold_*/models/best.pt")))
        found = next((paths for paths in choices if paths and all(path.is_file() for path in paths)), None)
        if found:
            return found
    raise InputError(
        "WEIGHTS_MISSING",
        f"{place} is no file of weights, and no folder of a bundle or run that has some in models/; train it, or "
        f"give a bundle that ships with weights: {', '.join(n for n in shipped if _has_weights(shipped[n]))}",
    )


def weight_files(weights: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that one or several weights are in; a folder stands for those in it, see `weights_of`.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`: a folder without weights; a file need not be there.
    """
    given = [weights] if isinstance(weights, (str, Path)) else list(weights)
    return [file for each in given for file in (weights_of(each) if Path(each).is_dir() else [Path(each)])]


def own_weights(bundle: str | Path) -> str | list[str]:
    """Return the path of a bundle's own weights, or of each fold's where it is an ensemble, there or not."""
    models = Path(bundle) / "models"
    folds = [] if (models / "model.pt").is_file() else sorted(models.glob("fold_*.pt"))
    return [*map(str, folds)] or f"{bundle}/models/model.pt"


def _has_weights(bundle: Path) -> bool:
    return (bundle / "models" / "model.pt").is_file()


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """Fill `network` from a state dict or from a training checkpoint, and return it in evaluation mode.

    Nothing but tensors and plain values is read from the file (``weights_only``). Half precision becomes float32.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`, `FILE_UNREADABLE` or `WEIGHTS_MISMATCH`.
    """
    path = check_weights(path)
    state = read_state(path)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            "WEIGHTS_MISMATCH",
            f"{path} does not fit the network in the bundle's metadata: {_difference(network, state, error)}; "
            "give the weights that were trained with it, or train anew",
        ) from error
    return network.float().eval()


def _difference(network: torch.nn.Module, state: Any, error: Exception) -> str:
    """Return what differs; the number of labels, which the last tensor is as long as, in words of its own."""
    ours = network.state_dict()
    if isinstance(state, dict) and list(state) == list(ours):
        found, needed = (list(getattr([*each.values()][-1], "shape", ()))[:1] for each in (state, ours))
        if found and needed and found != needed:
            return f"it is of {found[0]} labels, background included, and medseg, network, labels is {needed[0]}"
    return str(error).splitlines()[-1].strip()


def training_images(weights: str | Path | Sequence[str | Path]) -> TrainingImages | None:
    """Return what the images were like that weights were trained on; of several the range of all.

    It lies in the file beside the tensors, where a state dict keeps what is no tensor (``_metadata``): so it goes
    where the weights go, and whoever reads a plain state dict does not notice.

    Returns
    -------
    TrainingImages or None
        None where a file does not say.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`, `FILE_UNREADABLE`.
    """
    paths = weight_files(weights)
    joined = None
    for n, path in enumerate(paths):
        held = getattr(read_state(check_weights(path)), "_metadata", {})
        found = TrainingImages.from_json(held.get(TRAINING_IMAGES))
        joined = found if n == 0 else joined and found and joined.joined(found)
    return joined


def with_training_images(state: OrderedDict[str, Any], images: TrainingImages) -> OrderedDict[str, Any]:
    """Return a network's state dict with what its training images are like, for `training_images` to find."""
    marked = OrderedDict(state)
    marked._metadata = {**getattr(state, "_metadata", {}), TRAINING_IMAGES: images.as_json()}  # type: ignore
    return marked


def read_state(path: Path) -> Any:
    """Return the state dict in a file of one or of a training checkpoint; it may hold tensors and plain values.

    Raises
    ------
    InputError
        `FILE_UNREADABLE`.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the broken bytes led it to
        raise InputError("FILE_UNREADABLE", f"{path} holds no tensors ({type(error).__name__})") from error
    return state.get("network", state) if isinstance(state, dict) else state


def load_model(
    network: torch.nn.Module,
    weights: str | Path | Sequence[str | Path],
    mirror_axes: Sequence[int] = (),
    regions: Mapping[str, Sequence[int]] | None = None,
) -> torch.nn.Module:
    """Return `network` with its weights, or an `Ensemble` where there are several or the image is also mirrored.

    Where there are `regions`, its channels are sigmoids, not a softmax.

    Raises
    ------
    InputError
        As `load_weights`; `CONFIG_BAD_VALUE`: an axis that the network does not have.
    """
    from medseg.networks import Ensemble, spatial_dims_of

    paths = weight_files(weights)
    dims = spatial_dims_of(network)
    if not paths:
        raise InputError("CONFIG_BAD_VALUE", "weights is empty: give at least one file")
    if len(set(mirror_axes)) < len(mirror_axes) or not set(mirror_axes) <= set(range(dims)):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"mirror_axes {list(mirror_axes)}: give each axis from 0 to {dims - 1} at most once",
        )
    if len(paths) == 1 and not mirror_axes:
        return load_weights(network, paths[0])
    return Ensemble([load_weights(deepcopy(network), path) for path in paths], mirror_axes, bool(regions)).eval()
