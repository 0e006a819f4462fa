"""The pictures of the worst cases, and their volumes packed for scrolling, as many as the report can carry."""

from __future__ import annotations

import base64
import math
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medseg.report.pictures import strip, webp
from medseg.report.scenes import Scene, Views, scene_of, to_grey

PICTURES_MIB, VOLUMES_MIB = 32, 12  # of the report's text; browsers and mail carry a file of this size
MAX_VOXELS = 2_000_000  # of a volume for scrolling: CT at 512 x 512 is thinned out to this
STRIP = {"width": 1040, "height": 400, "line": 2}  # pixels
THREADS = 2  # a case's volumes are in memory for each
MIB = 2**20


@dataclass(frozen=True)
class Picture:
    """A strip as the report holds it: a WebP file's bytes in base64, and its size in pixels."""

    base64: str
    width: int
    height: int


@dataclass(frozen=True)
class Evidence:
    """What the report shows of a case: a strip for each model and, where it fits, the volume."""

    pictures: tuple[Picture, ...]
    volume: str | None
    facts: Mapping[str, Any] | None
    poster: bytes | None


def gather(
    cases: Sequence[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], Views],
    *,
    show: Sequence[str],
    names: Mapping[str, str],
    draw: Callable[[Mapping[str, Any], Scene], bytes | None],
) -> dict[str, Evidence]:
    """Draw and pack cases, worst first, until the budgets are used up; those to show in any case.

    Parameters
    ----------
    cases
        In the order in which they may use the budgets.
    read
        Gives a case's volumes.
    show
        Ids of cases that are there whatever their place, beside the budgets.
    names
        The labels' names by id.
    draw
        Gives a file to be written beside the report, or None.

    Returns
    -------
    dict
        By case id, for the cases that have pictures. It follows from the cases alone, not from timing.
    """
    always = [case for case in cases if case["id"] in set(show)]
    others = deque(case for case in cases if case["id"] not in set(show))
    picture_room, volume_room = PICTURES_MIB * MIB, VOLUMES_MIB * MIB

    def work(case: Mapping[str, Any], with_volume: bool) -> Evidence:
        scene = scene_of(read(case))
        poster = draw(case, scene)
        return make_evidence(scene, names, with_volume=with_volume, poster=poster)

    found: dict[str, Evidence] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for case, evidence in zip(always, pool.map(lambda case: work(case, True), always), strict=True):
            found[case["id"]] = evidence
        pending: deque[tuple[str, Future[Evidence]]] = deque()
        while others or pending:
            while others and len(pending) < 2 * THREADS:
                case = others.popleft()
                pending.append((case["id"], pool.submit(work, case, volume_room > 0)))
            name, future = pending.popleft()
            evidence = future.result()
            size = sum(len(picture.base64) for picture in evidence.pictures)
            if size > picture_room:
                for _, ahead in pending:
                    ahead.cancel()
                break
            picture_room -= size
            packed = len(evidence.volume or "")
            if packed > volume_room:
                evidence, packed = replace(evidence, volume=None, facts=None), volume_room  # nor any after it
            volume_room -= packed
            found[name] = evidence
    return found


def make_evidence(
    scene: Scene, names: Mapping[str, str], *, with_volume: bool, poster: bytes | None = None
) -> Evidence:
    """Draw a strip for each prediction, and pack the volume."""
    pictures = []
    for prediction in scene.predictions:
        drawn = strip(scene, prediction, **STRIP)
        pictures.append(Picture(_text(webp(drawn)), drawn.width, drawn.height))
    volume, facts = pack(scene, names) if with_volume else (None, None)
    return Evidence(tuple(pictures), volume, facts, poster)


def pack(scene: Scene, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Pack a scene for the page's script.

    Returns
    -------
    str
        Base64 of zlib's deflate of bytes, the first axis fastest: grey values, each less its left neighbour's
        (modulo 256); the reference's places in ``names``; each prediction's, exclusive or the reference's. With
        ``wide``, places have two bytes, all low ones first.
    dict
        ``size``, ``spacing_mm``, ``stride``, ``file_axes``, ``names``, ``wide``, ``image``, ``point``.
    """
    stride = strides(scene.reference.shape, scene.spacing_mm)
    cut = tuple(slice(None, None, step) for step in stride)
    maps = [
        np.ascontiguousarray(labels[cut].transpose(2, 1, 0)) for labels in (scene.reference, *scene.predictions)
    ]
    ids = np.unique(np.concatenate([[0], *(np.unique(labels) for labels in maps)]))
    wide = len(ids) > 256
    kind = np.dtype("<u2" if wide else "u1")
    places = [np.searchsorted(ids, labels).astype(kind) for labels in maps]
    planes: list[np.ndarray] = []
    if scene.image is not None:
        grey = to_grey(scene.image[cut].transpose(2, 1, 0), scene.window)
        planes.append(np.diff(grey, axis=2, prepend=np.uint8(0)))
    for index in (places[0], *(other ^ places[0] for other in places[1:])):
        planes += [(index & 255).astype(np.uint8), (index >> 8).astype(np.uint8)] if wide else [index]
    facts = {
        "size": list(maps[0].shape[::-1]),
        "spacing_mm": [spacing * step for spacing, step in zip(scene.spacing_mm, stride, strict=True)],
        "stride": list(stride),
        "file_axes": [list(axis) for axis in scene.file_axes],
        "names": [names.get(str(i), str(i)) if i else "background" for i in ids.tolist()],
        "wide": wide,
        "image": scene.image is not None,
        "point": [place // step for place, step in zip(scene.point, stride, strict=True)],
    }
    return _text(zlib.compress(b"".join(plane.tobytes() for plane in planes), 6)), facts


def strides(shape: Sequence[int], spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """Return how many voxels to go along each axis so that at most `MAX_VOXELS` are met, the finest axis first."""
    steps = [1] * len(shape)
    while math.prod(-(-size // step) for size, step in zip(shape, steps, strict=True)) > MAX_VOXELS:
        axis = min(
            (a for a in range(len(shape)) if steps[a] < shape[a]),
            key=lambda a: (spacing_mm[a] * steps[a], -shape[a]),
        )
        steps[axis] += 1
    return tuple(steps)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
