"""Largest component, per label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from medseg.infer.components import find_components, keep_largest_component


def test_only_the_largest_part_of_the_asked_labels_stays():
    labels = np.zeros((10, 10, 3), np.uint8)
    labels[0:3, 0:3, 0] = 1
    labels[3, 3, 1] = 1  # touches by a corner: 26-connected
    labels[8, 8, 0] = 1
    labels[6, 0, 0] = labels[6, 5:7, 0] = 2
    kept = keep_largest_component(labels, [1])
    assert (kept == 1).sum() == 10
    assert kept[8, 8, 0] == 0
    np.testing.assert_array_equal(kept == 2, labels == 2)
    assert (keep_largest_component(labels, [1, 2, 3]) == 2).sum() == 2
    assert labels[8, 8, 0] == 1  # the input is left alone


def with_one_part(labels, of):
    """Return what is asked for, by definition."""
    kept = labels.copy()
    for label in of:
        parts, _ = ndimage.label(labels == label, np.ones((3, 3, 3)))  # numbered in the order of (I, J, K)
        sizes = [(parts == part).sum() for part in range(1, parts.max() + 1)]
        if sizes:
            kept[(parts != 1 + np.argmax(sizes)) & (parts > 0)] = 0
    return kept


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_same_in_either_order_of_memory(seed, order, dtype):
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, size=(9, 8, 7), p=[0.9, 0.05, 0.04, 0.01]).astype(dtype)  # with equally large parts
    kept = keep_largest_component(np.asarray(labels, order=order), [1, 3, 5])
    np.testing.assert_array_equal(kept, with_one_part(labels, [1, 3]))
    assert kept.dtype == dtype
    assert kept.flags.f_contiguous == (order == "F")


def test_background_and_labels_beyond_the_last_have_no_parts():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[3, 3, 3] = 1
    np.testing.assert_array_equal(keep_largest_component(labels, [0, 2]), labels)


@pytest.mark.parametrize("step_voxels", [1, 64])
def test_parts_that_meet_steps_later_are_one(monkeypatch, step_voxels):
    monkeypatch.setattr("medseg.infer.components.STEP_VOXELS", step_voxels)
    labels = np.zeros((8, 8, 9), np.uint8, order="F")
    labels[0, :, :] = labels[7, :, :] = labels[:, 0, 8] = 1  # two walls, joined in the last plane alone
    labels[3, 3, 4] = 1
    assert find_components(labels).counts() == {1: 2}
    kept = keep_largest_component(labels, [1])
    assert kept[3, 3, 4] == 0
    assert kept.sum() == labels.sum() - 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_broken_lines(axis):
    """cc3d 4.1.1 refuses many of these as a binary image: their box is one voxel wide along two axes."""
    rng = np.random.default_rng(axis)
    for _ in range(50):
        labels = np.zeros((3, 3, 12), np.uint8)
        labels[1, 1] = rng.random(12) < 0.6
        labels = np.moveaxis(labels, 2, axis)
        runs = "".join(map(str, labels.max((0, 1, 2)[:axis] + (0, 1, 2)[axis + 1 :]))).split("0")
        kept = keep_largest_component(labels, [1])
        assert kept.sum() == max(map(len, runs))
        assert find_components(labels).counts() == {1: sum(map(bool, runs))}


def numbers_of(found, labels):
    """Return the component of each voxel, put together from the steps."""
    order = "F" if labels.flags.f_contiguous else "C"
    return np.concatenate([whole[parts] for parts, whole in found.steps]).reshape(labels.shape, order=order)


@settings(deadline=None)
@given(
    data=st.data(),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    order=st.sampled_from("CF"),
    step_voxels=st.sampled_from([1, 60, 1 << 22]),
)
def test_one_pass_finds_what_a_pass_for_each_label_finds(data, shape, dtype, order, step_voxels):
    drawn = data.draw(arrays(dtype, shape, elements=st.sampled_from([0, 0, 0, 1, 2, np.iinfo(dtype).max])))
    labels = np.asarray(drawn, order=order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medseg.infer.components.STEP_VOXELS", step_voxels)
        found = find_components(labels)
    numbers = numbers_of(found, labels)
    expected = {}
    for label in np.unique(labels[labels > 0]).tolist():
        parts, expected[label] = ndimage.label(labels == label, np.ones((3, 3, 3)))
        of_label = np.flatnonzero(found.labels == label)
        assert sorted(found.sizes[of_label]) == sorted(np.bincount(parts.ravel())[1:])
        for number in of_label:
            assert len(np.unique(parts[numbers == number])) == 1
    assert found.counts() == expected
    everything = [0, 1, 2, 3, np.iinfo(dtype).max]
    np.testing.assert_array_equal(keep_largest_component(labels, everything), with_one_part(labels, expected))
    np.testing.assert_array_equal(
        keep_largest_component(labels, everything, found), with_one_part(labels, expected)
    )


def test_many_steps_count_each_component_once(monkeypatch):
    monkeypatch.setattr("medseg.infer.components.STEP_VOXELS", 1)
    labels = np.zeros((5, 4, 6), np.uint8, order="F")
    labels[1, 1, :] = 1
    labels[3, 3, ::2] = 2
    found = find_components(labels)
    assert found.counts() == {1: 1, 2: 3}
    assert sorted(found.sizes.tolist()) == [0, 1, 1, 1, 6]  # background's is not counted
    assert keep_largest_component(labels, [1, 2]).sum() == 6 + 2


def test_ids_in_a_list_are_one_structure():
    label_map = np.zeros((10, 3, 3), np.uint8)
    label_map[0:2], label_map[2:3], label_map[5:7] = 1, 2, 2
    kept = keep_largest_component(label_map, [[1, 2]])
    assert kept[5:7].max() == 0
    np.testing.assert_array_equal(kept[:3], label_map[:3])
    assert kept.dtype == label_map.dtype
    alone = keep_largest_component(label_map, [2])
    assert alone[2:3].max() == 0
    np.testing.assert_array_equal(keep_largest_component(label_map, [2, [1, 2]]), kept)
