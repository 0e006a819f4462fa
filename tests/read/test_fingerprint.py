"""An image is compared with what the weights were trained on: a stranger has a code, and why."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import code_of

from medseg import read_volume
from medseg.cases import choose_cases, find_cases, split_cases
from medseg.read import UNLIKE_TRAINING, TrainingImages, Volume, compared, fingerprint, in_words
from medseg.training import describe_images

RNG = np.random.default_rng(0)
AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])


def mr(n: int) -> Volume:
    return Volume(RNG.gamma(4, 50 + 5 * n, (30, 28, 26)).astype(np.float32), AFFINE)


def ct(n: int) -> Volume:
    tissue = RNG.normal(40 + n, 60, (30, 28, 26))
    tissue[:10] = RNG.normal(-1000, 10, (10, 28, 26))
    return Volume(tissue.astype(np.int16), AFFINE)


MR = TrainingImages.of([fingerprint(mr(n), "mr") for n in range(5)], "mr")
CT = TrainingImages.of([fingerprint(ct(n), "ct") for n in range(5)], "ct")


def far(volume: Volume, images: TrainingImages) -> set[str]:
    found, numbers = compared(volume, images)
    assert (UNLIKE_TRAINING in found.codes) == bool(numbers)
    for each in numbers:
        assert each["number"] in in_words(numbers)
        assert each["training"] == list(images.ranges[each["number"]])
    return {each["number"] for each in numbers}


def changed(volume: Volume, *, scale=1.0, shift=0.0, stretch=1.0) -> Volume:
    affine = np.diag([stretch, stretch, stretch, 1.0]) @ volume.affine
    return Volume(volume.array.astype(np.float64) * scale + shift, affine)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e5), n=st.integers(0, 20), order=st.permutations(range(3)))
def test_mr_is_alike_in_any_unit_and_however_its_axes_run(scale, n, order):
    volume = changed(mr(n), scale=scale)
    turned = Volume(volume.array.transpose(order), volume.affine[:, [*order, 3]])
    assert far(turned, MR) == set()


def test_ct_is_alike_in_hounsfield_units_alone():
    assert far(ct(7), CT) == set()
    assert {"p0.5_hu", "p50_hu"} <= far(changed(ct(7), shift=-1000), CT)
    assert "p0.5_hu" in far(changed(ct(7), shift=1024), CT)  # stored values, not rescaled


def test_strangers_are_named():
    assert {"low_share", "negative_share"} <= far(ct(0), MR)
    assert {"p0.5_hu"} <= far(mr(0), CT)
    labels = Volume((mr(0).array > 200).astype(np.uint8), AFFINE)
    assert "distinct_values" in far(labels, MR)
    assert "distinct_values" in far(labels, CT)
    assert {"extent_x_mm", "extent_y_mm", "extent_z_mm"} <= far(changed(mr(0), stretch=5), MR)
    assert "low_share" in far(changed(mr(0), shift=-1000), MR)
    assert far(Volume(np.zeros((30, 28, 26)), AFFINE), MR)  # constant: no number is a division by zero


def test_large_volumes_are_sampled_alike():
    whole = Volume(RNG.gamma(4, 50, (120, 112, 104)).astype(np.float32), AFFINE / [4, 4, 4, 1])
    assert fingerprint(whole, "mr") == fingerprint(whole, "mr")
    assert far(whole, MR) - {"spacing_x_mm", "spacing_y_mm", "spacing_z_mm"} == set()


def test_what_is_not_known_is_not_compared():
    volume = mr(0)
    assert compared(volume, None) == (volume, None)
    assert code_of(fingerprint, volume, "us") == "CONFIG_BAD_VALUE"


def test_numbers_survive_the_file_and_others_are_none():
    assert TrainingImages.from_json(MR.as_json()) == MR
    for strange in (
        None,
        3,
        {},
        {"ranges": {}},
        {**MR.as_json(), "intensity": "us"},
        {**MR.as_json(), "ranges": 1},
    ):
        assert TrainingImages.from_json(strange) is None
    assert MR.joined(CT) is None
    joined = MR.joined(TrainingImages.of([fingerprint(changed(mr(0), stretch=5), "mr")], "mr"))
    assert joined.cases == 6
    assert far(changed(mr(1), stretch=5), joined) == far(mr(1), joined) == set()


@pytest.mark.parametrize(("data", "kind"), [("Task04_Hippocampus", "mr"), ("acdc", "mr"), ("sts_ct", "ct")])
def test_real_cases_that_were_not_trained_on_raise_no_alarm(data, kind, real_data):
    cases = find_cases(real_data / data, labelled=True)
    split = split_cases(cases, validation=0.3)
    images = describe_images(choose_cases(cases, split, "training")[:60], {"kind": kind})
    others = choose_cases(cases, split, "validation")[:40]
    assert [case["id"] for case in others if far(read_volume(case["image"]), images)] == []
