"""Patches and the halvings of their axes, against nnU-Net's own plans."""

import pytest

from medseg.planning.patch import fitting_patch, levels_of


def test_nnunets_plan_of_the_hippocampus():
    """Its published plan: 40×56×40, three halvings (2D 56×40, from a median shape of 36×50×35)."""
    patch = fitting_patch((36, 50, 35), (1, 1, 1), 2_000_000)
    assert patch.size == (40, 56, 40)
    assert patch.strides == ((1, 1, 1), *[(2, 2, 2)] * 3)
    assert fitting_patch((50, 35), (1, 1), 2_000_000).size == (56, 40)


def test_a_coarse_axis_waits_until_the_others_are_as_coarse():
    patch = levels_of((256, 224, 16), (1.5, 1.5, 10.0))
    assert [stride[2] for stride in patch.strides] == [1, 1, 1, 2, 2, 1]
    assert [kernel[2] for kernel in patch.kernels][:3] == [1, 1, 3]


@pytest.mark.parametrize("most", [20_000, 100_000, 1_000_000])
@pytest.mark.parametrize(
    ("shape", "spacing_mm"), [((512, 512, 300), (0.8, 0.8, 2.5)), ((40, 40, 40), (1, 1, 8)), ((600, 500), (1, 1))]
)
def test_a_patch_fits_and_can_be_halved(shape, spacing_mm, most):
    patch = fitting_patch(shape, spacing_mm, most)
    assert patch.voxels <= most
    for axis, n in enumerate(patch.size):
        for stride in patch.strides:
            assert n % stride[axis] == 0
            n //= stride[axis]
        assert n >= 4
    assert len(patch.kernels) == len(patch.strides)


def test_a_patch_begins_as_a_cube_in_mm_and_is_shortened_in_proportion_to_the_median_shape():
    assert fitting_patch((512, 512, 512), (1, 1, 2), 1e9).size == (384, 384, 192)
    size = fitting_patch((400, 200, 100), (1, 1, 1), 500_000).size
    assert size[0] > size[1] > size[2]


def test_tiny_images_are_not_halved():
    assert fitting_patch((5, 5, 5), (1, 1, 1), 100_000).strides == ((1, 1, 1),)
