"""Windows in order, finished slabs out: never the scores of every class at every voxel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from monai.utils import optional_import

from medseg.infer.windows import Stop, Windows, among, which_are_constant

Forward = Callable[[torch.Tensor], torch.Tensor]
CHUNK = 1 << 19  # scores added at a time, so that a chunk and what it is added to stay in the cache


class Job(NamedTuple):
    """A window (channels, …) to run, its row along the axis of the slabs, its place, and if it has one value."""

    row: int
    place: Sequence[Stop]
    window: torch.Tensor
    constant: bool


def blended_slabs(
    images: Sequence[torch.Tensor],
    forward: Forward,
    windows: Windows,
    *,
    axis: int = 0,
    batch_size: int = 1,
    keep_on: torch.device | None = None,
    part: tuple[int, int, int] | None = None,
    progress: bool = False,
) -> Iterator[torch.Tensor]:
    """Yield blended scores slab by slab, each a view (classes, I, J, K), float32, that is valid until the next.

    Parameters
    ----------
    images
        Each (channels, I, J, K), all of one shape; the slabs of the first come first.
    forward
        From windows (B, channels, *size) to scores (B, classes, *size).
    windows
        Where they stand.
    axis
        Slabs follow each other along it. They are kept to the depth of a window, so the longest axis needs the
        least memory, and the first is the fastest.
    batch_size
        Windows the network sees at once, of whatever slab and image.
    keep_on
        Where scores are added up; by default where the network leaves them.
    part
        (axis, from, to): only these planes of an axis other than `axis`, with the very scores they would have in
        the whole; the windows at its ends are run for either side.
    progress
        Show a bar that counts the windows.
    """
    inside = windows.inside(images[0].shape[1:])
    across = [n for n in range(3) if n != axis]
    if part is not None:
        low, high = (inside[part[0]].start + n for n in part[1:])
        inside[part[0]] = slice(low, high)
    stops = [among(each, inside[n]) if n in across else each for n, each in enumerate(windows.stops)]
    ends = [*(stop.first for stop in stops[axis][1:]), stops[axis][-1].end]

    places = [
        (row, _in_order(axis, stop, *pair))
        for row, stop in enumerate(stops[axis])
        for pair in product(*(stops[n] for n in across))
    ]
    walk: Iterable[Job] = _jobs(images, windows, places)
    if progress:
        walk = _with_bar(walk, len(images) * math.prod(map(len, stops)))
    per_row, importance = math.prod(len(stops[n]) for n in across), windows.importance_map()
    for count, (job, scores) in enumerate(_scored(walk, forward, batch_size)):
        if count % (per_row * len(ends)) == 0:
            kept = _Kept(stops, axis, [inside[n] for n in across], keep_on, importance)
        kept.add(job.place, scores)
        if count % per_row == per_row - 1:
            slab = kept.finished(ends[job.row], inside[axis])
            if slab.shape[0]:
                yield _in_image_order(slab, axis)
            kept.forget(ends[job.row])


def kept_planes(stops: Sequence[Stop]) -> int:
    """Return how many planes of scores `blended_slabs` holds along the axis of these stops."""
    firsts = [0, *(stop.first for stop in stops[1:])]
    return max(stop.end - first for stop, first in zip(stops, firsts, strict=True))


def _jobs(
    images: Sequence[torch.Tensor], windows: Windows, places: Sequence[tuple[int, Sequence[Stop]]]
) -> Iterator[Job]:
    for image in images:
        padded = windows.padded(image)
        views = [windows.window(padded, place) for _, place in places]
        for (row, place), view, constant in zip(places, views, which_are_constant(views), strict=True):
            yield Job(row, place, view, constant)


def _scored(jobs: Iterable[Job], forward: Forward, batch_size: int) -> Iterator[tuple[Job, torch.Tensor]]:
    """Yield each job with its scores (classes, …), in order.

    The network is run over full batches, and over windows of one constant value, such as padding, once for all.
    It is given memory of its own, for it may work in place, and may give the same memory again at each call.
    """
    waiting: list[tuple[Job, torch.Tensor | None]] = []  # the scores of a constant window are known
    constant, known = b"", torch.empty(0)
    unknown = 0
    for job in jobs:
        scores = None
        if job.constant:
            corner = job.window[:, 0, 0, 0].clone(memory_format=torch.contiguous_format)
            name = b"constant" + corner.view(torch.uint8).cpu().numpy().tobytes()  # in its own precision
            if constant != name:
                constant, known = name, forward(job.window[None].clone())[0].clone()
            scores = known
        unknown += scores is None
        waiting.append((job, scores))
        if unknown in (0, batch_size):
            yield from _of_batch(waiting, forward)
            waiting, unknown = [], 0
    yield from _of_batch(waiting, forward)


def _of_batch(
    waiting: Sequence[tuple[Job, torch.Tensor | None]], forward: Forward
) -> Iterator[tuple[Job, torch.Tensor]]:
    windows = [job.window[None] for job, scores in waiting if scores is None]
    found = iter(forward(windows[0].clone() if len(windows) == 1 else torch.cat(windows)) if windows else ())
    for job, scores in waiting:
        yield job, next(found) if scores is None else scores


def _with_bar(jobs: Iterable[Job], count: int) -> Iterable[Job]:
    tqdm, _ = optional_import("tqdm", name="tqdm")
    return tqdm(jobs, total=count)


class _Kept:
    """The planes that later windows may still add to, laid out (plane, across, across, class)."""

    def __init__(
        self,
        stops: Sequence[Sequence[Stop]],
        axis: int,
        across: Sequence[slice],
        device: torch.device | None,
        importance: torch.Tensor | None,
    ) -> None:
        self.planes, self.axis, self.across, self.device = kept_planes(stops[axis]), axis, across, device
        self.first = 0  # the plane of the image that is the first here
        self.sums: torch.Tensor | None = None
        self.importance = None if importance is None else importance.permute(_axes(axis))[..., None]
        self.totals: torch.Tensor | None = None  # of the importance, by which sums are divided
        self.maps: dict[tuple[int, ...], torch.Tensor] = {}  # weights where the sums are, by those of the stops

    def add(self, place: Sequence[Stop], scores: torch.Tensor) -> None:
        """Add the scores (classes, …) of a window at `place`."""
        if self.sums is None:
            self._begin(scores)
        assert self.sums is not None
        scores = scores.to(self.sums.device)
        along, *sides = ordered = [place[n] for n in _axes(self.axis)]
        used = tuple(slice(s.first - s.start, s.end - s.start) for s in ordered)
        scores = scores.permute(*(1 + n for n in _axes(self.axis)), 0)[used]
        first = (self.first, *(span.start for span in self.across))
        spans = tuple(slice(s.first - n, s.end - n) for s, n in zip(ordered, first, strict=True))
        into = self.sums[spans]
        step = max(CHUNK // max(scores[0].numel(), 1), 1) if scores.device.type == "cpu" else len(scores)
        if self.importance is not None and self.totals is not None:
            weights = self.importance[used]
            self.totals[spans].add_(weights)
            for n in range(0, len(scores), step):
                into[n : n + step].addcmul_(scores[n : n + step], weights[n : n + step])
            return
        weight, weights = self._weights(*sides)[None, ..., None], self._weights(along)[:, None, None, None]
        for n in range(0, len(scores), step):
            into[n : n + step].addcmul_(scores[n : n + step], weights[n : n + step] * weight)

    def _begin(self, scores: torch.Tensor) -> None:
        shape = (self.planes, *(span.stop - span.start for span in self.across))
        device = self.device or scores.device
        self.sums = torch.zeros((*shape, scores.shape[0]), device=device)
        if self.importance is not None:
            self.importance, self.totals = self.importance.to(device), torch.zeros((*shape, 1), device=device)

    def _weights(self, *stops: Stop) -> torch.Tensor:
        """Return the weights of stops of one or two axes, (n,) or (n, m); made and moved to the device once."""
        name = tuple(id(stop.weights) for stop in stops)
        if name not in self.maps:
            assert self.sums is not None
            one, *other = (stop.weights for stop in stops)
            self.maps[name] = (torch.outer(one, other[0]) if other else one).to(self.sums.device)
        return self.maps[name]

    def finished(self, end: int, inside: slice) -> torch.Tensor:
        assert self.sums is not None
        low, high = max(inside.start, self.first), min(inside.stop, end)
        done = slice(max(low - self.first, 0), max(high - self.first, 0))
        if self.totals is not None:
            self.sums[done].div_(self.totals[done])
        return self.sums[done]

    def forget(self, end: int) -> None:
        """Move what is not finished to the front, plane by plane, for the two places may overlap."""
        assert self.sums is not None
        gone = end - self.first
        left = max(self.planes - gone, 0)
        for kept in (self.sums,) if self.totals is None else (self.sums, self.totals):
            for n in range(left):
                kept[n].copy_(kept[n + gone])
            kept[left:].zero_()
        self.first = end


def _axes(axis: int) -> list[int]:
    """Return the three axes with the one that slabs follow first."""
    return [axis, *(n for n in range(3) if n != axis)]


def _in_order(axis: int, along: Stop, first: Stop, second: Stop) -> list[Stop]:
    place = [first, second]
    place.insert(axis, along)
    return place


def _in_image_order(slab: torch.Tensor, axis: int) -> torch.Tensor:
    order = [0, 0, 0]
    for n, place in enumerate(_axes(axis)):
        order[place] = n
    return slab.permute(3, *order)
