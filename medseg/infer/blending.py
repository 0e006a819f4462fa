"""Windows in order, finished slabs out: never the scores of every class at every voxel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch

from medseg.infer.windows import Stop, Windows, among

Forward = Callable[[torch.Tensor], torch.Tensor]
Scored = tuple[Sequence[Stop], torch.Tensor]  # a window's place and its scores (classes, …)
CHUNK = 1 << 19  # scores added at a time, so that a chunk and what it is added to stay in the cache


def blended_slabs(
    image: torch.Tensor,
    forward: Forward,
    windows: Windows,
    *,
    axis: int = 0,
    batch_size: int = 1,
    keep_on: torch.device | None = None,
    part: tuple[int, int, int] | None = None,
) -> Iterator[torch.Tensor]:
    """Yield blended scores slab by slab, each a view (classes, I, J, K), float32, that is valid until the next.

    Parameters
    ----------
    image
        (channels, I, J, K).
    forward
        From windows (B, channels, *size) to scores (B, classes, *size).
    windows
        Where they stand.
    axis
        Slabs follow each other along it. They are kept to the depth of a window, so the longest axis needs the
        least memory, and the first is the fastest.
    batch_size
        Windows the network sees at once.
    keep_on
        Where scores are added up; by default where the network leaves them.
    part
        (axis, from, to): only these planes of an axis other than `axis`, with the very scores they would have in
        the whole; the windows at its ends are run for either side.
    """
    image, inside = windows.padded(image)
    across = [n for n in range(3) if n != axis]
    if part is not None:
        low, high = (inside[part[0]].start + n for n in part[1:])
        inside[part[0]] = slice(low, high)
    stops = [among(each, inside[n]) if n in across else each for n, each in enumerate(windows.stops)]
    kept = _Kept(stops, axis, [inside[n] for n in across], keep_on)
    run = _Runner(forward, windows.size, batch_size)
    for row, stop in enumerate(stops[axis]):
        places = [_in_order(axis, stop, *pair) for pair in product(*(stops[n] for n in across))]
        for scored in run(image, places):
            kept.add(*scored)
        finished = stops[axis][row + 1].first if row + 1 < len(stops[axis]) else image.shape[1 + axis]
        slab = kept.finished(finished, inside[axis])
        if slab.shape[0]:
            yield _in_image_order(slab, axis)
        kept.forget(finished)


def kept_planes(stops: Sequence[Stop]) -> int:
    """Return how many planes of scores `blended_slabs` holds along the axis of these stops."""
    firsts = [0, *(stop.first for stop in stops[1:])]
    return max(stop.end - first for stop, first in zip(stops, firsts, strict=True))


class _Runner:
    """The network over windows in batches; windows of one constant value, such as padding, once for all."""

    def __init__(self, forward: Forward, size: Sequence[int], batch_size: int) -> None:
        self.forward, self.size, self.batch_size = forward, size, batch_size
        self.constant: tuple[bytes, torch.Tensor] | None = None

    def __call__(self, image: torch.Tensor, places: Sequence[Sequence[Stop]]) -> Iterator[Scored]:
        waiting: list[tuple[Sequence[Stop], torch.Tensor]] = []
        for place in places:
            window = image[
                (slice(None), *(slice(s.start, s.start + n) for s, n in zip(place, self.size, strict=True)))
            ]
            if _is_constant(window):
                yield self._of_constant(place, window)
                continue
            waiting.append((place, window))
            if len(waiting) == self.batch_size:
                yield from self._of_batch(waiting)
                waiting = []
        if waiting:
            yield from self._of_batch(waiting)

    def _of_batch(self, waiting: Sequence[tuple[Sequence[Stop], torch.Tensor]]) -> Iterator[Scored]:
        windows = [window[None] for _, window in waiting]
        scores = self.forward(windows[0] if len(windows) == 1 else torch.cat(windows))
        for n, (place, _) in enumerate(waiting):
            yield place, scores[n]

    def _of_constant(self, place: Sequence[Stop], window: torch.Tensor) -> Scored:
        name = window[:, 0, 0, 0].float().cpu().numpy().tobytes()
        if self.constant is None or self.constant[0] != name:
            self.constant = (name, self.forward(window[None])[0])
        return place, self.constant[1]


def _is_constant(window: torch.Tensor) -> bool:
    """Whether each channel of a window (channels, I, J, K) has one value; most windows show it by two corners."""
    corner = window[:, :1, :1, :1]
    return torch.equal(corner, window[:, -1:, -1:, -1:]) and bool((window == corner).all())


class _Kept:
    """The planes that later windows may still add to, laid out (plane, across, across, class)."""

    def __init__(
        self, stops: Sequence[Sequence[Stop]], axis: int, across: Sequence[slice], device: torch.device | None
    ) -> None:
        self.planes, self.axis, self.across, self.device = kept_planes(stops[axis]), axis, across, device
        self.first = 0  # the plane of the image that is the first here
        self.sums: torch.Tensor | None = None

    def add(self, place: Sequence[Stop], scores: torch.Tensor) -> None:
        """Add the scores (classes, …) of a window at `place`."""
        if self.sums is None:
            shape = (self.planes, *(span.stop - span.start for span in self.across), scores.shape[0])
            self.sums = torch.zeros(shape, device=self.device or scores.device)
        scores = scores.to(self.sums.device)
        used = [slice(s.first - s.start, s.end - s.start) for s in place]
        along, *sides = (place[n] for n in _axes(self.axis))
        scores = scores[(slice(None), *used)].permute(*(1 + n for n in _axes(self.axis)), 0)
        first = (self.first, *(span.start for span in self.across))
        spans = [slice(s.first - n, s.end - n) for s, n in zip((along, *sides), first, strict=True)]
        into = self.sums[tuple(spans)]
        weight = torch.outer(sides[0].weights, sides[1].weights).to(scores.device)[None, ..., None]
        weights = along.weights.to(scores.device)[:, None, None, None]
        step = max(CHUNK // max(scores[0].numel(), 1), 1) if scores.device.type == "cpu" else len(scores)
        for n in range(0, len(scores), step):
            into[n : n + step].addcmul_(scores[n : n + step], weights[n : n + step] * weight)

    def finished(self, end: int, inside: slice) -> torch.Tensor:
        assert self.sums is not None
        low, high = max(inside.start, self.first), min(inside.stop, end)
        return self.sums[max(low - self.first, 0) : max(high - self.first, 0)]

    def forget(self, end: int) -> None:
        """Move what is not finished to the front, plane by plane, for the two places may overlap."""
        assert self.sums is not None
        gone = end - self.first
        left = max(self.planes - gone, 0)
        for n in range(left):
            self.sums[n].copy_(self.sums[n + gone])
        self.sums[left:].zero_()
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
