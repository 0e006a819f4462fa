"""Changes of intensities: what each keeps, and that a probability is one."""

import numpy as np
import pytest
import torch

from medseg.training.augment import PROBABILITIES
from medseg.training.intensity_changes import Intensities, along_axes, blur_matrix, low_resolution_matrix

OFF = dict.fromkeys(PROBABILITIES, 0.0)
KINDS = [kind for kind in PROBABILITIES if kind not in ("rotate", "scale", "elastic")]


def changed(kind: str, probability: float = 1.0, n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    before = torch.randn(n, 2, 10, 11, 12)
    randoms = [np.random.default_rng(seed) for seed in range(n)]
    return before, Intensities({**OFF, kind: probability}).change(before.clone(), randoms)


@pytest.mark.parametrize("kind", KINDS)
def test_each_change_is_made_where_it_is_drawn(kind):
    before, after = changed(kind)
    assert after.isfinite().all()
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    before, after = changed(kind, 0.3, 100)
    made = sum(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert 15 < made < 45


def test_nothing_changes_without_chances():
    before, after = changed("noise", 0.0)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["gamma", "inverted_gamma"])
def test_gamma_keeps_mean_spread_and_order(kind):
    before, after = changed(kind)
    for one, other in zip(before.flatten(0, 1), after.flatten(0, 1), strict=True):
        torch.testing.assert_close(other.mean(), one.mean(), rtol=0, atol=1e-4)
        torch.testing.assert_close(other.std(), one.std(), rtol=1e-4, atol=0)
        order = one.flatten().argsort()
        assert (other.flatten()[order].diff() >= -1e-4).all()


def test_contrast_keeps_the_range():
    before, after = changed("contrast")
    assert (after.amax((2, 3, 4)) <= before.amax((2, 3, 4)) + 1e-6).all()
    assert (after.amin((2, 3, 4)) >= before.amin((2, 3, 4)) - 1e-6).all()


def test_blur_is_scipy_s_gaussian_inside_and_keeps_a_constant_at_the_edges():
    from scipy.ndimage import gaussian_filter

    volume = np.random.default_rng(0).normal(size=(16, 17, 18))
    blurred = along_axes(torch.from_numpy(volume).float(), [blur_matrix(n, 0.8) for n in volume.shape]).numpy()
    inner = (slice(5, -5),) * 3
    np.testing.assert_allclose(blurred[inner], gaussian_filter(volume, 0.8, truncate=4.0)[inner], atol=1e-3)
    np.testing.assert_allclose(blur_matrix(9, 1.0).sum(axis=1), 1)


def test_low_resolution_keeps_fewer_values_and_constants():
    matrix = low_resolution_matrix(12, 0.5)
    assert (matrix != 0).any(axis=0).sum() == 6
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(low_resolution_matrix(12, 1.0), np.eye(12))
    assert low_resolution_matrix(1, 0.5).tolist() == [[1.0]]
