"""Numbers that follow from what a data set is like."""

import numpy as np
import pytest

from medseg.networks import build
from medseg.planning.case_facts import CaseFacts, LabelFacts
from medseg.planning.choices import Choices
from medseg.planning.fingerprint import fingerprint_of, weighted_percentiles
from medseg.planning.network_rules import Means, choose_network
from medseg.planning.rules import choose_grid, choose_intensity

CPU, GPU = Means("cpu", 8192.0), Means("cuda", 8192.0)


def case(shape=(100, 100, 100), spacing_mm=(1.0, 1.0, 1.0), cropped=None, low=0.0, values=(100.0,), pieces=1):
    label = LabelFacts(1000, 1.0, pieces, 1.0 if pieces == 1 else 0.5)
    values = (np.array(values, np.float32),)
    return CaseFacts(spacing_mm, shape, cropped or shape, False, (low,), values, {1: label}, "", ("",))


def planned(*cases, means=CPU, **given):
    data = fingerprint_of(cases, {1: "a"}, (), given.get("modality", ""))
    chosen = Choices(given)
    preprocessing = {**choose_grid(data, chosen), "intensity": choose_intensity(data, chosen)}
    return preprocessing, choose_network(data, preprocessing, means, chosen), chosen


def test_the_spacing_is_the_median_and_of_a_coarse_axis_the_tenth_percentile():
    cases = [case(shape=(200, 200, 40), spacing_mm=(1.0, 1.0, mm)) for mm in (4.0, 5.0, 6.0, 7.0, 8.0)]
    assert planned(*cases, dims=3)[0]["spacing_mm"] == pytest.approx([1.0, 1.0, 4.4])
    finer = [case(spacing_mm=(mm, 1.0, 2.0)) for mm in (0.8, 0.9, 1.2)]
    assert planned(*finer)[0]["spacing_mm"] == [0.9, 1.0, 2.0]


def test_few_thick_slices_are_taken_one_by_one_and_lie_across_the_third_axis():
    preprocessing, network, chosen = planned(case(shape=(12, 256, 256), spacing_mm=(8.0, 1.0, 1.0)))
    assert chosen["dims"].value == 2
    assert (preprocessing["orientation"], preprocessing["spacing_mm"]) == ("ASR", [1.0, 1.0, -1.0])
    assert len(network.patch_size) == 2
    assert planned(case(shape=(64, 64, 1), spacing_mm=(1.0, 1.0, 5.0)))[2]["dims"].value == 2
    assert planned(case(shape=(100, 100, 60), spacing_mm=(1.0, 1.0, 4.0)))[2]["dims"].value == 3


def test_rotations_spare_a_coarse_axis():
    augmentation = planned(case(shape=(100, 100, 60), spacing_mm=(1.0, 1.0, 4.0)))[1].augmentation
    assert augmentation["rotate_rad"] == [0.0, 0.0, 0.52]
    assert planned(case())[1].augmentation["rotate_rad"] == 0.52


def test_ct_is_told_by_its_air_and_windowed_by_its_labels():
    values = np.linspace(-100, 300, 401)
    intensity = planned(case(low=-1000.0, values=values))[0]["intensity"]
    assert intensity["kind"] == "ct"
    assert intensity["window_hu"] == pytest.approx([-98, 298], abs=1)
    assert intensity["mean_hu"] == pytest.approx(100, abs=1)
    assert planned(case(low=-5.0))[0]["intensity"]["kind"] == "mr"
    assert planned(case(low=-5.0), modality="CT")[0]["intensity"]["kind"] == "ct"


def test_background_is_cropped_where_there_is_much_of_it():
    assert planned(case(cropped=(50, 60, 70)))[0]["crop_above"] == 0.0
    assert "crop_above" not in planned(case(cropped=(98, 98, 98)))[0]


def test_what_there_is_to_spend_sizes_the_patch_and_the_network():
    big = case(shape=(400, 400, 400))
    short, long = (planned(big, max_minutes=minutes)[1] for minutes in (3, 60))
    assert np.prod(short.patch_size) < np.prod(long.patch_size)
    gpu = planned(big, means=GPU)[1]
    assert gpu.network["features"][0] == 32
    assert np.prod(gpu.patch_size) > np.prod(long.patch_size)
    assert np.prod(planned(big, means=GPU, budget_mib=2000)[1].patch_size) < np.prod(gpu.patch_size)


def test_nnunets_reference_patch():
    """8 GB hold two patches of 128×128×128 with 32 features."""
    planned_patch = planned(case(shape=(512, 512, 512)), means=GPU)[1].patch_size
    assert np.prod(planned_patch) == pytest.approx(128**3, rel=0.1)


def test_what_is_given_decides_what_follows():
    _, network, chosen = planned(case(), patch_size=[32, 32, 16], batch_size=5)
    assert (network.patch_size, network.training["batch_size"]) == ([32, 32, 16], 5)
    assert chosen["patch_size"].reason == "given"
    build(patch_size=network.patch_size, **network.network)


def test_only_labels_of_one_piece_keep_their_largest_one():
    assert planned(case(), case())[1].postprocessing == {"largest_component": [1]}
    assert planned(case(), case(pieces=3))[1].postprocessing == {"largest_component": []}


def test_every_choice_has_a_reason():
    assert [key for key, choice in planned(case())[2].items() if not choice.reason] == []


def test_percentiles_count_by_weight():
    assert weighted_percentiles(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 8.0]), (0, 50, 100)) == [1, 2, 3]


def test_slices_far_apart_are_looked_up():
    far = case(shape=(30, 100, 100), spacing_mm=(4.0, 1.0, 1.0))
    assert planned(far)[0]["coarse_axis"] == 0
    assert planned(far, orientation="ASR")[0]["coarse_axis"] == 2
    assert "coarse_axis" not in planned(far, dims=2)[0]
    assert "coarse_axis" not in planned(case())[0]
