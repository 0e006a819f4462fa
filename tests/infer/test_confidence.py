"""Confidence by its definition, in float64 over whole tensors; and on a GPU, without waiting for it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.infer.confidence import Confidence


def expected(scores: torch.Tensor, probabilities: bool) -> dict[str, dict[str, float]]:
    p = scores.double() if probabilities else scores.double().softmax(dim=0)
    best, entropy = p.argmax(dim=0), -torch.special.xlogy(p, p).sum(dim=0)
    facts = {}
    for label in range(1, len(p)):
        inside = best == label
        facts[str(label)] = {
            "voxels": int(inside.sum()),
            "mean_probability": float(p[label][inside].mean()) if inside.any() else 0.0,
            "mean_entropy_nats": float(entropy[inside].mean()) if inside.any() else math.log(len(p)),
        }
    return facts


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(2, 6), st.integers(1, 9), st.integers(1, 7), st.integers(1, 8)),
    axis=st.integers(0, 2),
    probabilities=st.booleans(),
    scale=st.sampled_from([0.1, 3.0, 60.0]),
    chunk=st.sampled_from([1, 50, 1 << 18]),
    seed=st.integers(0, 1000),
)
def test_facts_are_the_means_over_each_label(shape, axis, probabilities, scale, chunk, seed):
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale
    scores[-1, : shape[1] // 2] = -1e4  # the last label is often missed
    if probabilities:
        scores = scores.softmax(dim=0)
    confidence = Confidence(axis, probabilities=probabilities)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medseg.infer.confidence.CHUNK_SCORES", chunk)
        for slab in scores.split(2, dim=1 + axis):
            confidence.add(slab)
    found = confidence.facts()
    for label, facts in expected(scores, probabilities).items():
        assert found[label] == pytest.approx(facts, abs=2e-4)


def test_a_million_voxels_lose_no_digits():
    """Sums are in float64, though each voxel's values are not."""
    scores = torch.zeros(2, 100, 100, 100)
    scores[1] = 0.1
    confidence = Confidence(0)
    confidence.add(scores)
    (facts,) = confidence.facts().values()
    assert facts == {"voxels": 10**6, "mean_probability": 0.525, "mean_entropy_nats": 0.6919}


def test_on_a_gpu_scores_stay_there_and_nothing_waits():
    """The meta device stands in for a GPU: its tensors have no values, so whatever asked for one would raise."""
    for probabilities in (False, True):
        confidence = Confidence(1, probabilities=probabilities)
        confidence.add(torch.zeros(5, 16, 20, 24, device="meta"))
        assert confidence.sums.device.type == "meta"
