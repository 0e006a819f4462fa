"""Metrics against values worked out by hand, integer arithmetic, brute force, MONAI and DeepMind's tool."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from oracles.blobs import DISTANCES, label_map

from medseg.metrics.boundaries import boundary_iou
from medseg.metrics.calibration import calibration_error
from medseg.metrics.centrelines import centreline_dice
from medseg.metrics.comparison import compare, hd95_mm
from medseg.metrics.lesions import match_lesions
from medseg.metrics.surface_metrics import ROUNDING
from medseg.metrics.table import BOUNDARY_WIDTH_MM, DEFAULT_METRICS, HD95_DEFINITIONS, METRICS, ON_REQUEST

WITHOUT_PROBABILITIES = [name for name in METRICS if name != "ece"]
shapes = st.one_of(
    st.tuples(st.integers(2, 40)),
    st.tuples(*[st.integers(1, 25)] * 2),
    st.tuples(*[st.integers(1, 12)] * 3),
)
seeds = st.integers(0, 10_000)
spacings_mm = st.tuples(*[st.floats(0.3, 5)] * 3)


def test_two_of_three_voxels_found():
    reference = np.array([[1, 1, 1, 0, 0]])
    prediction = np.array([[0, 1, 1, 1, 1]])
    metrics = (*WITHOUT_PROBABILITIES, "nsd_0mm")
    values = compare(prediction, reference, spacing_mm=(1, 1), labels=[1], metrics=metrics)[1]
    assert values["dice"] == 2 * 2 / (4 + 3)
    assert values["iou"] == 2 / 5
    assert values["precision"] == 2 / 4
    assert values["recall"] == 2 / 3
    assert values["specificity"] == 0  # both voxels of background are false positives
    assert values["f_beta"] == pytest.approx(5 * 2 / (5 * 2 + 4 * 1 + 2))
    assert values["volume_ml"] == pytest.approx(0.004)
    assert values["reference_volume_ml"] == pytest.approx(0.003)
    assert values["volume_error_ml"] == pytest.approx(0.001)
    assert values["relative_volume_error"] == pytest.approx(1 / 3)
    assert values["lesions"] == values["lesions_predicted"] == values["lesion_f1"] == 1
    # every voxel lies at the border; 0 0 1 2 mm to the reference, 1 0 0 mm back
    assert values["hd_mm"] == 2
    assert values["hd95_mm"] == pytest.approx(1.85)
    assert values["assd_mm"] == 4 / 7
    assert values["masd_mm"] == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert values["nsd"] == 6 / 7
    assert values["nsd_0mm"] == 4 / 7


def test_two_voxels_two_millimetres_apart():
    reference, prediction = np.zeros((5, 5, 5), int), np.zeros((5, 5, 5), int)
    reference[1, 2, 2] = prediction[1, 2, 3] = 1
    for definition in HD95_DEFINITIONS:
        how = {"spacing_mm": (1, 1, 2), "labels": [1], "hd95": definition}
        values = compare(prediction, reference, **how, metrics=(*DISTANCES, "nsd_2mm", "nsd_1.9mm"))[1]
        at_most = 2.0 if definition != "area-weighted" else values["hd_mm"]  # of the corners, four coincide
        assert [values[name] for name in ("hd_mm", "hd95_mm")] == [at_most] * 2
        assert values["nsd_2mm"] == 1
        assert values["nsd_1.9mm"] == (0.5 if definition == "area-weighted" else 0)


def test_hd95_is_the_larger_direction_and_forgets_the_farthest_twentieth():
    reference, prediction = np.zeros(41, int), np.zeros(41, int)
    reference[0] = 1
    prediction[[0, 10]] = 1  # two boundary voxels, 0 and 10 mm from the reference
    assert hd95_mm(prediction > 0, reference > 0, (1.0,)) == pytest.approx(9.5)
    assert hd95_mm(prediction > 0, reference > 0, (1.0,), "pooled") == pytest.approx(9.0)  # of 0 0 10
    # corners 0 1 | 0 1 10 11: of equal weight, so 95 % of them reach 10 mm
    assert hd95_mm(prediction > 0, reference > 0, (1.0,), "area-weighted") == 10


@settings(max_examples=60, deadline=None)
@given(seed=seeds, shape=shapes)
def test_counts_are_those_of_integer_arithmetic(seed, shape):
    prediction, reference = label_map(seed, shape), label_map(seed + 1, shape, 0.4)
    values = compare(
        prediction,
        reference,
        spacing_mm=(1.0,) * len(shape),
        labels=[1, 2, 3, 4],
        metrics=("dice", "iou", "precision", "recall", "specificity", "f_beta", "volume_ml"),
        beta=0.5,
    )
    for label in (1, 2, 3, 4):
        p, r = (prediction == label).ravel().tolist(), (reference == label).ravel().tolist()
        tp, fp, fn, tn = (
            sum((a, b) == case for a, b in zip(p, r, strict=True))
            for case in ((True, True), (True, False), (False, True), (False, False))
        )
        assert values[label]["volume_ml"] == pytest.approx((tp + fp) / 1000, abs=1e-15)
        if any(p) and any(r):
            assert values[label]["dice"] == 2 * tp / (2 * tp + fp + fn)
            assert values[label]["iou"] == tp / (tp + fp + fn)
            assert values[label]["precision"] == tp / (tp + fp)
            assert values[label]["recall"] == tp / (tp + fn)
            assert values[label]["specificity"] == pytest.approx(
                tn / (tn + fp) if tn + fp else math.nan, nan_ok=True
            )
            assert values[label]["f_beta"] == pytest.approx(1.25 * tp / (1.25 * tp + 0.25 * fn + fp))


def boundary_mm(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    padded = np.pad(mask, 1)
    inner = np.ones_like(mask)
    for axis, move in itertools.product(range(mask.ndim), (-1, 1)):
        inner &= np.roll(padded, move, axis)[(slice(1, -1),) * mask.ndim]
    return np.argwhere(mask & ~inner) * spacing_mm


@settings(max_examples=60, deadline=None)
@given(seed=seeds, shape=shapes, spacing_mm=spacings_mm, tolerance_mm=st.floats(0.2, 6))
def test_distances_equal_brute_force(seed, shape, spacing_mm, tolerance_mm):
    """With every label of both maps, blobs and scattered voxels, near and out of the look-ups' reach."""
    spacing_mm = spacing_mm[: len(shape)]
    prediction, reference = label_map(seed, shape, 0.5), label_map(seed + 1, shape, 0.1, 0.3)
    how = {"spacing_mm": spacing_mm, "labels": [1, 2, 3, 4], "tolerance_mm": tolerance_mm, "metrics": DISTANCES}
    assume(set(np.unique(prediction)) & set(np.unique(reference)) - {0})
    by_definition = {d: compare(prediction, reference, hd95=d, **how) for d in ("directed-max", "pooled")}
    for label in (1, 2, 3, 4):
        ours, theirs = (boundary_mm(m == label, spacing_mm) for m in (prediction, reference))
        if not (len(ours) and len(theirs)):
            continue
        apart = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
        there, back = apart.min(1), apart.min(0)
        both = np.concatenate([there, back])
        expected = {
            "hd_mm": both.max(),
            "hd95_mm": max(np.percentile(there, 95), np.percentile(back, 95)),
            "assd_mm": both.mean(),
            "masd_mm": (there.mean() + back.mean()) / 2,
            "nsd": (both <= tolerance_mm * (1 + ROUNDING)).mean(),
        }
        assert by_definition["directed-max"][label] == pytest.approx(expected, abs=1e-9)
        expected["hd95_mm"] = np.percentile(both, 95)
        assert by_definition["pooled"][label] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, spacing_mm=spacings_mm, tolerance_mm=st.floats(0.5, 5))
def test_distances_equal_monai(seed, spacing_mm, tolerance_mm):
    """MONAI keeps distances in float32, so to six digits."""
    a, b = (label_map(s, (12, 15, 9), 0.2, 1.5) > 0 for s in (seed, seed + 1))
    masks = torch.tensor(a)[None, None], torch.tensor(b)[None, None]
    same = {"include_background": True, "spacing": list(spacing_mm)}
    theirs = {
        "hd_mm": compute_hausdorff_distance(*masks, **same).item(),
        "hd95_mm": compute_hausdorff_distance(*masks, percentile=95, **same).item(),
        "assd_mm": compute_average_surface_distance(*masks, symmetric=True, **same).item(),
        "nsd": compute_surface_dice(*masks, class_thresholds=[tolerance_mm], **same).item(),
    }
    ours = compare(a, b, spacing_mm=spacing_mm, labels=[1], metrics=tuple(theirs), tolerance_mm=tolerance_mm)[1]
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


def waves(shape: tuple[int, ...], shift: int) -> tuple[np.ndarray, np.ndarray]:
    wave = sum((axis + 2 + shift) * (place + 1) ** 2 for axis, place in enumerate(np.indices(shape)))
    return wave % 7 < 3, wave % 11 < 4


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "shift", "theirs"),
    [
        ((7, 6, 5), (0.7, 1.3, 2.9), 0, (2.6, 0.7, 0.1266625719133533, 0.1251781178669546, 0.9781483941918995)),
        ((7, 6, 5), (0.7, 1.3, 2.9), 3, (2.8, 1.3, 0.2156118904820884, 0.21616217216527922, 0.9238057411142885)),
        ((5, 4, 6), (1, 1, 1), 0, (2**0.5, 1.0, 0.16867308654179886, 0.16811432883291647, 0.9940652810187999)),
        ((5, 4, 6), (1, 1, 1), 3, (2.0, 1.0, 0.21853554753595542, 0.22293486305252283, 0.989355024458706)),
        (
            (9, 8),
            (0.6, 2.5),
            0,
            (2.570992026436488, 1.8, 0.24378421968397618, 0.24379216841373957, 0.91896362654367),
        ),
        ((9, 8), (0.6, 2.5), 3, (2.4, 1.8, 0.30804920043215345, 0.3082138245379705, 0.8829573405866199)),
    ],
)
def test_area_weighted_equals_values_of_surface_distance(shape, spacing_mm, shift, theirs):
    """Computed by ``surface-distance`` 0.1 from the same masks, which touch the border; NSD at 1 mm."""
    values = compare(
        *waves(shape, shift), spacing_mm=spacing_mm, labels=[1], metrics=DISTANCES, hd95="area-weighted"
    )[1]
    assert tuple(values.values()) == pytest.approx(theirs, abs=1e-12)


def test_a_distance_equal_to_the_tolerance_is_within_it():
    """As decimals: in binary, three voxels of 0.1 mm are farther than 0.3 mm, and NIfTI rounds 0.3 mm up."""
    assert 3 * 0.1 > 0.3
    assert 3 * float(np.float32(0.3)) > 0.9
    prediction, reference = np.eye(1, 4, 0, dtype=int)[0], np.eye(1, 4, 3, dtype=int)[0]
    for spacing_mm, name in ((0.1, "nsd_0.3mm"), (float(np.float32(0.3)), "nsd_0.9mm")):
        at, below = name, name.replace("0.", "0.2")
        values = compare(prediction, reference, spacing_mm=(spacing_mm,), labels=[1], metrics=(at, below))[1]
        assert values == {at: 1.0, below: 0.0}


def test_each_label_has_its_own_tolerance():
    prediction, reference = np.array([1, 0, 0, 2, 0, 0]), np.array([0, 0, 1, 0, 0, 2])
    how = {"spacing_mm": (1.0,), "labels": [1, 2], "metrics": ("nsd", "nsd_2mm")}
    values = compare(prediction, reference, tolerance_mm={1: 1.5, 2: 2.5}, **how)
    assert values == {1: {"nsd": 0.0, "nsd_2mm": 1.0}, 2: {"nsd": 1.0, "nsd_2mm": 1.0}}


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_comparing_is_symmetric_where_it_should_be(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, (6, 7, 5)), rng.integers(0, 4, (6, 7, 5))
    for definition in HD95_DEFINITIONS:
        one = compare(a, b, spacing_mm=(1, 1, 3), labels=[1, 2, 3], hd95=definition)
        two = compare(b, a, spacing_mm=(1, 1, 3), labels=[1, 2, 3], hd95=definition)
        for label in (1, 2, 3):
            for name in ("dice", "iou", *DISTANCES):
                assert one[label][name] == pytest.approx(two[label][name], abs=1e-12)
            assert one[label]["precision"] == two[label]["recall"]
            assert one[label]["volume_error_ml"] == -two[label]["volume_error_ml"]


def test_metrics_on_request_are_those_of_their_modules():
    shape = (18, 20, 16)
    ours, theirs = label_map(7, shape, 0.4, 1.5), label_map(8, shape, 0.4, 1.5)
    prediction, reference = (
        np.asfortranarray(ours),
        np.asfortranarray(np.where(theirs == 0, ours * (ours == 3), theirs)),
    )
    spacing_mm = (1.0, 1.5, 2.5)
    label = next(i for i in (1, 2, 3, 4) if (ours == i).any() and (reference == i).any())
    probability = np.random.default_rng(0).random(shape)
    values = compare(
        prediction,
        reference,
        spacing_mm=spacing_mm,
        labels=[label, 9],
        metrics=ON_REQUEST,
        probabilities={label: probability, 9: probability},
    )[label]
    masks = prediction == label, reference == label
    assert values["boundary_iou"] == boundary_iou(*masks, spacing_mm, BOUNDARY_WIDTH_MM)
    assert values["cldice"] == centreline_dice(*masks)
    assert values["ece"] == calibration_error(probability, masks[1])
    lesions = match_lesions(*masks)
    assert {name: values[name] for name in lesions} == lesions
    assert 0 < values["boundary_iou"] < 1
    assert not set(ON_REQUEST) & set(DEFAULT_METRICS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reference": np.zeros((2, 3), int)}, r"\(2, 2\), reference \(2, 3\)"),
        ({"spacing_mm": (1, 1, 1)}, "3 spacings for 2 axes"),
        ({"spacing_mm": (1, 0)}, "above 0"),
        ({"spacing_mm": (1, math.nan)}, "above 0"),
        ({"metrics": ("hd96",)}, "hd96.*hd95_mm"),
        ({"metrics": ("nsd_mm",)}, "nsd_mm"),
        ({"hd95": "median"}, "median.*directed-max"),
        ({"labels": [1, 2, 1]}, r"\[1\] more than once"),
        ({"labels": [1.5]}, "whole numbers"),
        ({"tolerance_mm": -1}, "tolerance_mm is -1"),
        ({"tolerance_mm": {2: 1.0}}, r"none for label 1, only for \[2\]"),
        ({"prediction": np.full((2, 2), 0.5)}, "prediction holds 0.5"),
        ({"reference": np.full((2, 2), math.nan)}, "reference holds nan"),
        ({"prediction": np.full((2, 2), "a")}, "prediction is <U1"),
        ({"metrics": ("ece",)}, r"none for labels \[1\]"),
    ],
)
def test_wrong_calls_are_named(changed, message):
    call = {"prediction": np.zeros((2, 2), int), "reference": np.zeros((2, 2), int), "spacing_mm": (1, 1)}
    with pytest.raises(ValueError, match=message):
        compare(**{**call, "labels": [1], **changed})


def test_too_many_axes_are_refused():
    with pytest.raises(ValueError, match="4 axes"):
        compare(np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2, 2)), spacing_mm=(1,) * 4, labels=[1])
