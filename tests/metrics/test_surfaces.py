"""Surfaces, their areas and the distances between them, against plain definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from medseg.metrics.label_pairs import lay_out
from medseg.metrics.nearest import REACH, ball, length_mm, nearest_mm, reach
from medseg.metrics.surface_areas import surface_areas
from medseg.metrics.surface_metrics import distance_metrics
from medseg.metrics.surfaces import Directed, boundary_voxels, distances_by_code, surface_elements

LABELS = (1, 2, 3)


def laid_out(labels: np.ndarray, other: np.ndarray | None = None):
    """Return the pair, its corner's place in the arrays given, and a way back from positions to indices."""
    pair = lay_out(labels, labels if other is None else other, LABELS, (3,) * labels.ndim)
    there = np.isin(labels, LABELS) | (False if other is None else np.isin(other, LABELS))
    corner = np.argwhere(there).min(axis=0)

    def indices(positions: np.ndarray) -> np.ndarray:
        found = np.stack(np.unravel_index(positions, pair.shape), axis=1)
        return found[:, [pair.axes.index(axis) for axis in range(labels.ndim)]] + corner

    return pair, indices


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    order=st.sampled_from("CF"),
)
def test_boundary_voxels_are_what_erosion_takes_away(seed, shape, order):
    labels = np.random.default_rng(seed).integers(-1, 5, shape)
    labels.flat[0] = 1
    labels = np.asarray(labels, order=order)
    pair, indices = laid_out(labels)
    found = boundary_voxels(pair.reference, pair)
    for label in LABELS:
        mask = labels == label
        expected = np.argwhere(mask & ~binary_erosion(mask))
        code = pair.codes[label]
        ours = indices(found[code].positions) if code in found else np.zeros((0, labels.ndim))
        np.testing.assert_array_equal(sorted(ours.tolist()), expected.tolist() if len(expected) else [])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    order=st.sampled_from("CF"),
)
def test_surface_elements_are_the_mixed_corners_with_the_area_of_their_code(seed, shape, order):
    labels = np.random.default_rng(seed).integers(0, 5, shape)
    labels.flat[0] = 1
    spacing_mm = (0.7, 1.9, 3.1)[: len(shape)]
    pair, indices = laid_out(np.asarray(labels, order=order))
    found = surface_elements(pair.reference, pair, spacing_mm)
    for label in LABELS:
        padded = np.pad(labels == label, 1)
        expected = {}
        for corner in itertools.product(*(range(n + 1) for n in shape)):
            inside = padded[tuple(slice(i, i + 2) for i in corner)].ravel()
            if inside.any() and not inside.all():
                code = sum(int(is_inside) << bit for bit, is_inside in enumerate(inside))
                expected[corner] = surface_areas(spacing_mm)[code]
        surface = found.get(pair.codes[label])
        ours = {}
        if surface is not None:
            ours = dict(zip(map(tuple, indices(surface.positions).tolist()), surface.areas, strict=True))
        assert ours == expected


def test_areas_of_shapes_that_are_known():
    a, b, c = spacing_mm = (0.5, 1.5, 4.0)
    areas = surface_areas(spacing_mm)
    i, j, k = np.indices((2, 2, 2))

    def area(inside, areas=areas):
        return areas[sum(1 << bit for bit, is_inside in enumerate(inside.ravel()) if is_inside)]

    assert areas[0] == areas[255] == 0
    assert area(i == 0) == pytest.approx(b * c)  # a plane across each axis
    assert area(j == 1) == pytest.approx(a * c)
    assert area(k == 0) == pytest.approx(a * b)
    assert area((i == 0) & (j == 0)) == pytest.approx(c * np.hypot(a, b) / 2)  # along an edge
    one_corner = np.linalg.norm(np.cross((a, -b, 0), (a, 0, -c))) / 8
    assert area(i + j + k == 0) == pytest.approx(one_corner)
    assert area((i + j + k) % 3 == 0) == pytest.approx(2 * one_corner)  # two opposite ones
    diagonal = area(i + j + k < 2, surface_areas((1.0, 1.0, 1.0)))
    assert diagonal == pytest.approx(3 * 3**0.5 / 4)  # a regular hexagon of side 1 / sqrt(2)


def test_areas_of_inside_and_outside_are_the_same():
    for spacing_mm in ((1.0,), (0.5, 3.0), (0.7, 1.3, 2.9)):
        areas = surface_areas(spacing_mm)
        np.testing.assert_allclose(areas, areas[::-1])
        assert (areas[1:-1] > 0).all()


def test_areas_on_cubic_voxels_do_not_depend_on_direction():
    """Turned or mirrored, a neighbourhood keeps its area, although some of the polygons are not flat."""
    areas = surface_areas((1.0, 1.0, 1.0))
    for code in range(256):
        cube = np.array([code >> bit & 1 for bit in range(8)]).reshape(2, 2, 2)
        for axes in itertools.permutations(range(3)):
            for flipped in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in range(4)):
                turned = np.flip(cube.transpose(axes), flipped).ravel()
                assert areas[sum(int(x) << bit for bit, x in enumerate(turned))] == pytest.approx(areas[code])


def test_lengths_of_contours():
    a, b = spacing_mm = (0.5, 3.0)
    diagonal = np.hypot(a, b) / 2
    lengths = surface_areas(spacing_mm)  # bits: (0, 0), (0, 1), (1, 0), (1, 1)
    expected = {0b0000: 0, 0b0001: diagonal, 0b0011: b, 0b0101: a, 0b0110: 2 * diagonal, 0b0111: diagonal}
    for code, length in expected.items():
        assert lengths[code] == pytest.approx(length), code
        assert lengths[15 - code] == pytest.approx(length), code


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    spacing_mm=st.tuples(*[st.floats(0.2, 8)] * 3),
    n=st.integers(1, 60),
)
def test_nearest_equals_a_search_over_all(seed, shape, spacing_mm, n):
    """From look-ups' reach to far beyond, at the edges too; the scratch is left as it was."""
    rng = np.random.default_rng(seed)
    spacing_mm = spacing_mm[: len(shape)]
    points, targets = (np.unique(rng.integers(0, shape, (n, len(shape))), axis=0) for _ in range(2))
    padded = tuple(size + pad for size, pad in zip(shape, reach(spacing_mm), strict=True))
    steps = tuple(int(np.prod(padded[axis + 1 :])) for axis in range(len(padded)))
    margin = int(np.dot(reach(spacing_mm), steps))
    scratch = np.zeros(margin + int(np.prod(padded)), bool)
    ours = nearest_mm(points @ steps, targets @ steps, spacing_mm, padded, steps, scratch)
    expected = cKDTree(targets * np.array(spacing_mm)).query(points * np.array(spacing_mm))[0]
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    assert not scratch.any()


def test_nearest_of_many_points():
    """More points than one call of look-ups takes, some within reach and some far beyond it."""
    rng = np.random.default_rng(0)
    shape, spacing_mm = (90, 60, 50), (1.0, 1.2, 0.9)
    points = np.argwhere(rng.random(shape) < 0.05)
    targets = np.argwhere((rng.random(shape) < 0.02) & (np.arange(90) < 40)[:, None, None])
    padded = tuple(size + pad for size, pad in zip(shape, reach(spacing_mm), strict=True))
    steps = (padded[1] * padded[2], padded[2], 1)
    scratch = np.zeros(int(np.dot(reach(spacing_mm), steps)) + int(np.prod(padded)), bool)
    ours = nearest_mm(points @ steps, targets @ steps, spacing_mm, padded, steps, scratch)
    expected = cKDTree(targets * spacing_mm).query(points * spacing_mm)[0]
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    assert ours.max() > REACH * max(spacing_mm)


@pytest.mark.parametrize("spacing_mm", [(1.0,), (0.7, 0.7), (1.0, 1.0, 1.0), (0.5, 0.6, 5.0), (9.0, 1.0, 1.0)])
def test_a_ball_holds_every_offset_up_to_its_last(spacing_mm):
    """In order: otherwise the first look-up that hits would not be the nearest."""
    found = ball(spacing_mm)
    assert (np.diff(found.distances_mm) >= 0).all()
    np.testing.assert_allclose(found.distances_mm, np.linalg.norm(found.offsets * spacing_mm, axis=1))
    everywhere = np.array(list(itertools.product(range(-REACH - 2, REACH + 3), repeat=len(spacing_mm))))
    near = np.linalg.norm(everywhere * spacing_mm, axis=1) <= found.distances_mm[-1] + 1e-9
    assert sorted(map(tuple, everywhere[near].tolist())) == sorted(map(tuple, found.offsets.tolist()))
    assert (np.abs(found.offsets).max(axis=0) <= reach(spacing_mm)).all()


@settings(max_examples=40, deadline=None)
@given(
    ours=st.lists(st.floats(0, 50), min_size=1, max_size=50),
    theirs=st.lists(st.floats(0, 50), min_size=1, max_size=50),
)
def test_percentiles_are_those_of_numpy(ours, theirs):
    ours, theirs = np.sort(ours), np.sort(theirs)
    values = distance_metrics(Directed(ours), Directed(theirs), "directed-max", {"nsd": 3.0})
    assert values["hd95_mm"] == pytest.approx(max(np.percentile(ours, 95), np.percentile(theirs, 95)))
    pooled = distance_metrics(Directed(ours), Directed(theirs), "pooled", {})
    assert pooled["hd95_mm"] == pytest.approx(np.percentile(np.concatenate([ours, theirs]), 95))


def test_weights_stand_for_repetition():
    """A piece of area 3 counts as three of area 1 in every mean and part."""
    ours, theirs = (
        Directed(np.array([0.0, 1.0, 4.0]), np.array([3.0, 1.0, 2.0])),
        Directed(np.array([2.0]), np.ones(1)),
    )
    by_area = distance_metrics(ours, theirs, "area-weighted", {"nsd": 1.0})
    repeated = Directed(np.repeat(ours.mm, ours.areas.astype(int)))
    plain = distance_metrics(repeated, Directed(theirs.mm), "directed-max", {"nsd": 1.0})
    for name in ("hd_mm", "assd_mm", "masd_mm", "nsd"):
        assert by_area[name] == pytest.approx(plain[name])
    assert by_area["hd95_mm"] == 4.0  # 95 % of 6 mm² is more than the first 4


@pytest.mark.parametrize(
    ("areas", "wanted_mm"), [((19, 1), 1.0), ((18, 2), 2.0), ((1, 19), 2.0), ((0.5, 9.5), 2.0)]
)
def test_the_percentile_by_area_is_the_least_distance_that_the_part_does_not_exceed(areas, wanted_mm):
    """Where the nearest pieces are 95 % to the last bit, the percentile is theirs, not the next one's."""
    one = Directed(np.array([1.0, 2.0]), np.array(areas, float))
    assert distance_metrics(one, Directed(np.zeros(1), np.ones(1)), "area-weighted", {})["hd95_mm"] == wanted_mm


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 40)), min_size=1, max_size=60))
def test_the_percentile_by_area_is_that_of_its_definition(pieces):
    pieces = sorted(pieces)
    mm, areas = (np.array(column, float) for column in zip(*pieces, strict=True))
    whole = sum(area for _, area in pieces)
    by_definition = next(d for d, _ in pieces if 20 * sum(a for other, a in pieces if other <= d) >= 19 * whole)
    zero = Directed(np.zeros(1), np.ones(1))
    for ours, theirs in ((Directed(mm, areas), zero), (zero, Directed(mm, areas))):
        assert distance_metrics(ours, theirs, "area-weighted", {})["hd95_mm"] == by_definition


def test_lengths_are_rounded_alike_for_any_order_of_axes():
    """To the last bit: the same squares summed in another order may end in another digit."""
    rng = np.random.default_rng(0)
    offsets, spacing_mm = rng.integers(-9, 10, (1000, 3)), np.array([0.7, 1.3, 2.9])
    expected = length_mm(offsets, spacing_mm)
    for axes in itertools.permutations(range(3)):
        np.testing.assert_array_equal(length_mm(offsets[:, axes], spacing_mm[list(axes)]), expected)


@pytest.mark.parametrize("by_area", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_distances_and_their_areas_come_in_one_order_for_any_order_of_axes(by_area, far):
    """So that sums over them are rounded alike. Far away, they come from a tree and not from look-ups."""
    rng = np.random.default_rng(1)
    a, b = np.zeros((2, 40, 14, 12), np.uint8)
    a[1:9, 2:12, 2:10] = rng.random((8, 10, 8)) < 0.4
    b[30 if far else 4 :, 3:11, 1:11] = rng.random((10 if far else 36, 8, 10)) < 0.3
    spacing_mm = (0.7, 1.3, 2.9)
    found = []
    for axes in itertools.permutations(range(3)):
        ours, theirs = (np.asfortranarray(mask.transpose(axes)) for mask in (a, b))
        turned_mm = [spacing_mm[axis] for axis in axes]
        pair = lay_out(ours, theirs, [1], tuple(n + 3 for n in reach(turned_mm)))
        (directed,) = distances_by_code(pair, [pair.codes[1]], turned_mm, by_area=by_area).values()
        found.append(directed)
    for directed in found[1:]:
        for one, first in zip(directed, found[0], strict=True):
            np.testing.assert_array_equal(one.mm, first.mm)
            if by_area:
                np.testing.assert_allclose(one.areas, first.areas, rtol=1e-12)
