"""The same labels give the same values, whatever their type, ids and memory layout; memory is bounded."""

import tracemalloc

import numpy as np
import pytest
from oracles.blobs import DISTANCES, label_map

from medseg.metrics import surfaces
from medseg.metrics.comparison import compare
from medseg.metrics.table import HD95_DEFINITIONS


@pytest.mark.parametrize("definition", HD95_DEFINITIONS)
@pytest.mark.parametrize("shape", [(14, 11), (9, 14, 7)])
def test_values_do_not_depend_on_memory_layout(shape, definition):
    a, b = label_map(1, shape, smooth=2), label_map(2, shape, smooth=2)
    how = {"spacing_mm": (0.7, 1.1, 2.3)[: len(shape)], "labels": [1, 2, 3, 4], "hd95": definition}
    expected = compare(a, b, **how)
    assert np.isfinite([v["hd95_mm"] for v in expected.values()]).any()
    spread = np.zeros([2 * n for n in shape], a.dtype)[(slice(None, None, 2),) * len(shape)]
    spread[:] = b
    for p, r in ((np.asfortranarray(a), np.asfortranarray(b)), (a, np.asfortranarray(b)), (a, spread)):
        np.testing.assert_equal(compare(p, r, **how), expected)
    backwards = tuple(np.flip(np.flip(m).copy()) for m in (a, b))  # the same values at negative strides
    assert all(stride < 0 for stride in backwards[1].strides)
    np.testing.assert_equal(compare(*backwards, **how), expected)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "i8", "u8", "f2", "f4", "f8", ">i2", ">f4"])
def test_any_type_that_holds_whole_numbers(dtype):
    a, b = label_map(3, (9, 10, 8)), label_map(4, (9, 10, 8))
    how = {"spacing_mm": (1, 2, 3), "labels": [1, 2, 3]}
    np.testing.assert_equal(compare(a.astype(dtype), b.astype(dtype), **how), compare(a, b, **how))


@pytest.mark.parametrize("ids", [(-3, 7, 300), (5, 100_000, 2**40), (0, 255, 256), (-1, 0, 1)])
def test_any_ids(ids):
    a, b = label_map(3, (9, 10, 8)) % 3, label_map(4, (9, 10, 8)) % 3
    expected = compare(a + 1, b + 1, spacing_mm=(1, 2, 3), labels=[1, 2, 3])
    other = compare(np.array(ids)[a], np.array(ids)[b], spacing_mm=(1, 2, 3), labels=ids)
    np.testing.assert_equal(list(other.values()), list(expected.values()))
    floats = compare(np.array(ids)[a].astype(float), np.array(ids)[b], spacing_mm=(1, 2, 3), labels=ids)
    np.testing.assert_equal(floats, other)
    (one,) = compare(np.array(ids)[a], np.array(ids)[b], spacing_mm=(1, 2, 3), labels=ids[1:2]).values()
    np.testing.assert_equal(one, other[ids[1]])  # unlisted ids change nothing


def test_masks_of_booleans():
    a, b = label_map(3, (9, 10)) > 0, label_map(4, (9, 10)) > 0
    how = {"spacing_mm": (1, 2), "labels": [1]}
    assert compare(a, b, **how) == compare(a.astype(int), b.astype(int), **how)


def test_more_labels_than_a_byte_holds():
    reference = np.arange(20**3).reshape(20, 20, 20) // 16
    prediction = np.roll(reference, 1, axis=2)
    labels = range(1, 500)
    together = compare(prediction, reference, spacing_mm=(1, 1, 1), labels=labels)
    assert list(together) == list(labels)
    for label in (1, 255, 256, 499):
        np.testing.assert_equal(
            together[label], compare(prediction, reference, spacing_mm=(1, 1, 1), labels=[label])[label]
        )


def test_threads_change_nothing(monkeypatch):
    a, b = label_map(5, (20, 30, 25), smooth=2), label_map(6, (20, 30, 25), smooth=2)
    how = {"spacing_mm": (1, 1.5, 2), "labels": [1, 2, 3, 4], "metrics": DISTANCES}
    expected = [compare(a, b, hd95=d, **how) for d in HD95_DEFINITIONS]
    monkeypatch.setattr(surfaces, "WORTH_THREADS", 0)
    monkeypatch.setattr(surfaces, "THREADS", 3)
    np.testing.assert_equal([compare(a, b, hd95=d, **how) for d in HD95_DEFINITIONS], expected)


@pytest.mark.parametrize(("dtype", "bytes_a_voxel"), [("u1", 4), ("i8", 6)])
def test_memory_is_bounded(dtype, bytes_a_voxel):
    """No one-hot and no int64 copy: a byte a voxel for each map, twice while it is being padded."""
    shape = (160, 160, 120)
    place = np.indices(shape, dtype=np.int16)
    reference = (place.sum(axis=0) // 20 % 20).astype(dtype)
    prediction = np.roll(reference, 1, axis=0)
    tracemalloc.start()
    compare(prediction, reference, spacing_mm=(1, 1, 1), labels=range(1, 20), metrics=("dice",))
    compared = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert compared < bytes_a_voxel * reference.size
