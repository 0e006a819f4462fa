"""What voxels are worth: scaling, exact integers, and values that are refused or said."""

import numpy as np
import pytest
from oracles.nifti_files import SLOPE, refusal, voxels


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_voxels_that_are_not_finite_are_refused(file, dtype, value):
    array = np.zeros((80, 80, 80), dtype)
    array[79, 79, 79] = value
    assert refusal(file(array), by_header=False) == "IMAGE_NOT_FINITE"


def test_values_beyond_float32_are_refused(file):
    assert refusal(file(np.full((2, 2, 2), 1e39)), by_header=False) == "IMAGE_NOT_FINITE"
    assert refusal(file(fields={SLOPE: ("ff", 3e38, 0)}), by_header=False) == "IMAGE_NOT_FINITE"


@pytest.mark.parametrize(("slope", "inter"), [(0, 5), (0, np.nan), (1, 0)])
def test_slope_0_means_no_scaling(file, slope, inter):
    array = voxels(file(fields={SLOPE: ("ff", slope, inter)}))
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, np.arange(60).reshape(3, 4, 5))


@pytest.mark.parametrize(("slope", "inter"), [(np.nan, 0), (np.inf, 0), (2, np.nan), (1, -np.inf)])
def test_a_scaling_that_is_no_number_is_not_applied(file, slope, inter):
    array = voxels(file(fields={SLOPE: ("ff", slope, inter)}), "IMAGE_NO_SCALING")
    np.testing.assert_array_equal(array, np.arange(60).reshape(3, 4, 5))


@pytest.mark.parametrize(
    ("dtype", "slope", "inter", "result"),
    [
        ("u1", 1, -10, "i2"),
        ("i1", 1, 128, "u1"),
        ("i2", 1, -1024, "i4"),
        ("i2", -1, 0, "i4"),
        ("u2", 1, -32768, "i2"),
        ("i4", 1, 1, "i8"),
        ("i8", 1, 1, "f4"),
        ("i2", 1, 0.5, "f4"),
        ("i2", 2, 0, "f4"),
        ("f8", 1, 0, "f4"),
        ("f4", 1, 1, "f4"),
    ],
)
def test_shifted_integers_stay_exact_integers(file, dtype, slope, inter, result):
    limits = np.iinfo(dtype) if dtype[0] != "f" else np.iinfo("i1")
    stored = np.array([limits.min, limits.max, 0, 1, 2, 3, 5, 7], dtype).reshape(2, 2, 2)
    array = voxels(file(stored, {SLOPE: ("ff", slope, inter)}))
    assert array.dtype == result
    expected = [float(v) * slope + inter if result == "f4" else int(v) * slope + inter for v in stored.flat]
    np.testing.assert_array_equal(array.ravel(), np.array(expected, result))


def test_a_constant_image_is_tolerated_and_almost_constant_is_not(file):
    array = np.full((90, 90, 90), 7, np.int16)
    voxels(file(array), "IMAGE_CONSTANT")
    array[45, 44, 43] = 8
    voxels(file(array))
