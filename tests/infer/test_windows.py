"""Where windows stop along an axis, and what they count for."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices

from medseg.infer.windows import NEGLIGIBLE, adapted_size, starts, stops


@given(length=st.integers(1, 300), window=st.integers(1, 96), overlap=st.sampled_from([0.0, 0.25, 0.5, 0.8]))
def test_windows_start_where_monai_s_do(length, window, overlap):
    padded = max(length, window)
    interval = window if window == padded else max(int(window * (1 - overlap)), 1)
    expected = sorted({s[0].start for s in dense_patch_slices((padded,), (window,), (interval,))})
    assert starts(padded, window, overlap) == expected


@given(
    length=st.integers(8, 200),
    window=st.integers(4, 64),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7]),
    mode=st.sampled_from(["constant", "separable"]),
)
def test_weights_add_up_to_one_and_leave_out_only_what_is_negligible(length, window, overlap, mode):
    length = max(length, window)
    total = torch.zeros(length)
    for stop in stops(length, window, overlap, mode):
        assert stop.start <= stop.first < stop.end <= stop.start + window
        assert stop.weights.min() >= NEGLIGIBLE / 2
        total[stop.first : stop.end] += stop.weights
    torch.testing.assert_close(total, torch.ones(length))


@given(length=st.integers(1, 700), window=st.sampled_from([40, 56, 64, 96, 128, 160]))
def test_adapted_windows_cover_the_axis_and_can_be_halved_as_the_trained_ones(length, window):
    size, overlap = adapted_size(length, window, largest=window * 3 // 2)
    begins = starts(max(length, size), size, overlap)
    assert begins[-1] + size == max(length, size)
    assert window <= size <= window * 3 // 2
    assert size % max(d for d in (4, 8, 16, 32) if window % d == 0 and d <= window // 4) == 0
    shared = [size - (b - a) for a, b in pairwise(begins)]
    assert all(n >= window / 3 - 1 for n in shared)
    assert len(begins) <= len(starts(max(length, window), window, 0.5))


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="'linear'"):
        stops(8, 8, 0.0, "linear")
