"""Training cases preprocessed once: in memory as far as that is free, else in files that are read where needed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch.utils.data import Dataset

from medseg.files import sha256_of, write_torch
from medseg.preprocess import IMAGE, LABEL
from medseg.system_memory import free_bytes
from medseg.training.augment import FOREGROUND
from medseg.training.patch_places import labelled_voxels

FORMAT = 1  # of the files; another one makes them anew
SHARE = 0.5  # of the free memory that cases may take; the rest is the training's
log = logging.getLogger(__name__)


class CachedCases(Dataset):
    """Preprocessed cases as plain tensors: ``image`` float32 (C, I, J, K), ``label`` (1, I, J, K), ``foreground``.

    The labels are of the smallest type; ``foreground`` are the label's `labelled_voxels`. All cases are
    preprocessed when the object is made. Files are named for the content of image and label and for the settings,
    whole or not there, and checked before they are used; a file of the same name is used again, in whatever run.

    Parameters
    ----------
    cases
        Paths by ``image`` and ``label``.
    preprocessing
        From a case to its tensors.
    settings
        All that `preprocessing` depends on beside the case, as JSON.
    folder
        Where files go.
    in_memory
        Share of the cases that may be kept in memory, as far as `SHARE` of what is free holds them; 0 for files
        alone.
    ignore_label
        Voxels that no patch is centred on.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        *,
        settings: Any,
        folder: str | Path,
        in_memory: float = 1.0,
        ignore_label: int | None = None,
        threads: int = 2,
    ) -> None:
        self.preprocessing, self.settings, self.folder = preprocessing, settings, Path(folder)
        self.ignore_label = ignore_label
        self.left_bytes, self.lock = int(SHARE * free_bytes()), Lock()
        self.kept = round(in_memory * len(cases))
        with ThreadPoolExecutor(threads) as pool:
            self.cases = list(pool.map(self._made, range(len(cases)), cases))

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.cases[index]

    def _made(self, place: int, case: Mapping[str, Any]) -> dict[str, Any]:
        if place < self.kept and self.left_bytes > 0:
            made = self._preprocessed(case)
            needed = sum(tensor.nbytes for tensor in tensors_of(made).values())
            with self.lock:
                self.left_bytes -= needed
                if self.left_bytes > 0:
                    return made
            return self._in_file(case, made)
        return self._in_file(case)

    def _preprocessed(self, case: Mapping[str, Any]) -> dict[str, Any]:
        found = self.preprocessing({IMAGE: case[IMAGE], LABEL: case[LABEL]})
        image, label = (torch.as_tensor(found[key]).as_subclass(torch.Tensor) for key in (IMAGE, LABEL))
        largest = int(label.max())
        kind = next(each for each in (torch.uint8, torch.int16, torch.int32) if largest <= torch.iinfo(each).max)
        label = label.to(kind).contiguous()
        return {
            IMAGE: image.float().contiguous(),
            LABEL: label,
            FOREGROUND: labelled_voxels(label, self.ignore_label),
        }

    def _in_file(self, case: Mapping[str, Any], made: dict[str, Any] | None = None) -> dict[str, Any]:
        content = [content_sha256(case[key]) for key in (IMAGE, LABEL)]
        written = json.dumps([FORMAT, content, self.settings, self.ignore_label], sort_keys=True, default=str)
        path = self.folder / f"{hashlib.sha256(written.encode()).hexdigest()}.pt"
        found = read_case(path)
        if found is None:
            write_case(path, made or self._preprocessed(case))
            found = read_case(path)
        assert found is not None
        return found


def tensors_of(case: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the tensors of a preprocessed case by the names that they have in a file."""
    voxels = {f"{FOREGROUND}.{label}": each for label, each in case[FOREGROUND].items()}
    return {IMAGE: case[IMAGE], LABEL: case[LABEL], **voxels}


def write_case(path: Path, case: Mapping[str, Any]) -> None:
    """Write a preprocessed case with a checksum of its numbers.

    Raises
    ------
    InputError
        `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`.
    """
    tensors = tensors_of(case)
    write_torch(path, {"tensors": tensors, "sha256": _sha256(tensors)})


def read_case(path: Path) -> dict[str, Any] | None:
    """Return a preprocessed case whose numbers stay in the file; None where there is none, or a damaged one."""
    if not path.is_file():
        return None
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        tensors = held["tensors"]
        if _sha256(tensors) == held["sha256"]:
            places = {name: name.rpartition(".")[2] for name in tensors if name.startswith(f"{FOREGROUND}.")}
            voxels = {int(label): tensors[name] for name, label in places.items()}
            return {IMAGE: tensors[IMAGE], LABEL: tensors[LABEL], FOREGROUND: voxels}
    except Exception as error:  # torch raises what the broken bytes led it to
        log.debug("%s: %s", path, error)
    log.warning("%s is damaged and made anew", path)
    return None


def content_sha256(path: Any) -> str:
    """Return the hash of a file, of all files in a folder by name, or of several of these."""
    return hashlib.sha256("".join(_hashes(path)).encode()).hexdigest()


def _hashes(path: Any) -> Iterator[str]:
    if isinstance(path, (list, tuple)):
        for each in path:
            yield content_sha256(each)
    elif Path(path).is_dir():
        for file in sorted(each for each in Path(path).rglob("*") if each.is_file()):
            yield f"{file.relative_to(path)} {sha256_of(file)}"
    else:
        yield sha256_of(path)


def _sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()
