"""Pictures of cases: turned the right way, cut at the error, each pixel in the colour that its voxel deserves."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import inv_ornt_aff
from PIL import Image

from medseg.report import pictures
from medseg.report.pictures import GAP_INDEX, GREYS, png, poster, strip
from medseg.report.scenes import AXES_SHOWN, MARGIN_MM, Views, scene_of

DIRECTIONS = np.array(
    [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]
)  # of the axes shown, in RAS+: left, posterior, inferior


def blobs(seed: int, shape=(14, 12, 10), labels=3) -> tuple[np.ndarray, np.ndarray]:
    """Return a reference of a few boxes and a prediction that is wrong in places."""
    rng = np.random.default_rng(seed)
    reference = np.zeros(shape, np.uint8)
    for label in range(1, labels + 1):
        low = [int(rng.integers(0, size - 1)) for size in shape]
        reference[tuple(slice(a, a + int(rng.integers(2, 7))) for a in low)] = label
    prediction = np.roll(reference, rng.integers(-2, 3, 3), (0, 1, 2))
    noise = rng.random(shape) < 0.02
    return reference, np.where(noise, rng.integers(0, labels + 1, shape), prediction).astype(np.uint8)


def oriented(order: tuple[int, ...], flips: tuple[int, ...], shape, spacing_mm) -> np.ndarray:
    """Return an affine with these axes and spacings, its origin away from zero."""
    affine = inv_ornt_aff(np.c_[order, flips], shape)
    affine[:3, :3] *= np.array(spacing_mm)
    affine[:3, 3] += (10, -20, 30)
    return affine


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from((-1, 1))] * 3))
def test_every_orientation_is_turned_to_left_posterior_inferior(order, flips):
    shape, spacing_mm = (5, 6, 7), (1.0, 2.0, 3.0)
    reference = np.arange(1, 211).reshape(shape)  # a number of its own in each voxel, all of them labelled
    affine = oriented(tuple(order), flips, shape, spacing_mm)
    scene = scene_of(Views(reference.astype(np.float32), reference, reference, affine))
    for axis in range(3):
        file_axis, start, step = scene.file_axes[axis]
        world = affine[:3, file_axis] * step
        np.testing.assert_allclose(world, DIRECTIONS[axis] * scene.spacing_mm[axis], atol=1e-9)
        assert start in (0, shape[file_axis] - 1)
    for place in np.ndindex(scene.reference.shape):
        at = [0, 0, 0]
        for axis, (file_axis, start, step) in enumerate(scene.file_axes):
            at[file_axis] = start + step * place[axis]
        assert scene.reference[place] == reference[tuple(at)] == scene.image[place]


def test_letters_name_the_directions_in_which_planes_are_drawn():
    other = dict(zip("LPIRAS", "RASLPI", strict=True))
    for cut, across, down, letters in pictures.PLANES:
        assert {cut, across, down} == {0, 1, 2}
        right, bottom = AXES_SHOWN[across], AXES_SHOWN[down]
        assert letters == other[right] + right + other[bottom] + bottom


@pytest.mark.parametrize("seed", range(8))
def test_the_planes_meet_in_a_wrong_voxel_of_the_slice_with_most(seed):
    reference, prediction = blobs(seed)
    scene = scene_of(Views(None, reference, prediction, np.diag([1.5, 1, 2, 1])))
    wrong = scene.reference != scene.predictions[0]
    i, j, k = scene.point
    assert wrong[i, j, k]
    assert wrong[..., k].sum() == wrong.sum(axis=(0, 1)).max()
    assert wrong[:, j, k].sum() == wrong[..., k].sum(axis=0).max()
    assert wrong.sum() == (reference != prediction).sum(), "an error was cropped away"


def test_without_an_error_the_planes_meet_in_a_label_and_without_labels_in_the_middle():
    reference, _ = blobs(3)
    scene = scene_of(Views(None, reference, reference, np.eye(4)))
    assert scene.reference[scene.point] > 0
    nothing = np.zeros((9, 7, 5), np.uint8)
    scene = scene_of(Views(None, nothing, nothing, np.eye(4)))
    assert (scene.reference.shape, scene.point) == ((9, 7, 5), (4, 3, 2))


def test_what_is_shown_is_the_labels_with_a_margin():
    reference = np.zeros((90, 80, 70), np.uint8)
    prediction = reference.copy()
    reference[40:50, 30:40, 20:30], prediction[40:60, 30:40, 20:30] = 1, 1
    scene = scene_of(Views(None, reference, prediction, np.diag([1, 2, 4, 1.0])))
    margins = [round(MARGIN_MM / mm) for mm in (1, 2, 4)]
    assert scene.reference.shape == (20 + 2 * margins[0], 10 + 2 * margins[1], 10 + 2 * margins[2])


def states_at_voxels(scene, prediction, drawn) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each plane the fills drawn at the voxels' centres, and those that the labels ask for."""
    sheet, found = np.asarray(drawn), []
    columns = np.flatnonzero((sheet != GAP_INDEX).any(axis=0))
    panels = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    for (cut, across, down, _), among in zip(pictures.PLANES, panels, strict=True):
        panel = sheet[:, among]
        panel = panel[(panel != GAP_INDEX).any(axis=1)]
        shape = scene.reference.shape
        x = ((np.arange(shape[across]) + 0.5) * panel.shape[1] / shape[across]).astype(int)
        y = ((np.arange(shape[down]) + 0.5) * panel.shape[0] / shape[down]).astype(int)
        ours, theirs = (np.take(labels, scene.point[cut], cut).T for labels in (prediction, scene.reference))
        expected = np.select([ours == theirs, ours == 0, theirs == 0], [0, 1, 2], 3)
        found.append((panel[np.ix_(y, x)] // GREYS, expected))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_errors_are_filled_in_their_colour_voxel_by_voxel(seed, monkeypatch):
    monkeypatch.setattr(pictures, "_write_letters", lambda *_: None)  # they cover voxels at the rim
    reference, prediction = blobs(seed)
    image = np.random.default_rng(seed).random(reference.shape)
    scene = scene_of(Views(image, reference, prediction, np.diag([1, 1.5, 2, 1])))
    drawn = strip(scene, scene.predictions[0], width=1200, height=900, line=1)
    seen = set()
    for fills, expected in states_at_voxels(scene, scene.predictions[0], drawn):
        inner = np.s_[1:-1, 1:-1]  # ticks stand at the rim
        np.testing.assert_array_equal(fills[inner], expected[inner])
        seen |= set(expected[inner].ravel())
    assert {0, 1, 2} <= seen
    kinds = {
        colour: int((np.asarray(drawn.convert("RGB")) == colour).all(axis=2).sum())
        for colour in (pictures.REFERENCE, pictures.PREDICTION)
    }
    assert min(kinds.values()) > 100, "both contours are drawn"


def test_colours_say_whose_the_voxel_is():
    palette = np.frombuffer(pictures._palette(), np.uint8).reshape(-1, 3).astype(int)
    assert len(palette) <= 256
    grey, missed, invented, confused = palette[: 4 * GREYS].reshape(4, GREYS, 3)
    assert (grey[:, 0] == grey[:, 2]).all()
    assert (np.diff(grey[:, 0]) > 0).all()
    assert (missed[:, 2] > missed[:, 0] + 20).all(), "blue: in the reference alone"
    assert (invented[:, 0] > invented[:, 2] + 20).all(), "orange: in the prediction alone"
    assert (confused[:, 0] > confused[:, 1]).all()
    assert (confused[:, 2] > confused[:, 1]).all()


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.7, 0.7, 5), (3, 1, 2)])
def test_planes_have_the_patient_s_proportions(spacing_mm):
    reference, prediction = blobs(1, shape=(20, 24, 12))
    scene = scene_of(Views(None, reference, prediction, np.diag([*spacing_mm, 1])))
    drawn = strip(scene, scene.predictions[0], width=900, height=300)
    wide, high, deep = (n * mm for n, mm in zip(scene.reference.shape, scene.spacing_mm, strict=True))
    scale = (drawn.width - 12) / (2 * wide + high)
    assert drawn.width <= 900
    assert drawn.height <= 300
    assert abs(drawn.height - max(high, deep) * scale) <= 3


REFERENCE, PREDICTION = blobs(5)
HARD = {
    "no image": Views(None, REFERENCE, PREDICTION, np.eye(4)),
    "NaN": Views(np.full(REFERENCE.shape, np.nan), REFERENCE, PREDICTION, np.eye(4)),
    "infinite": Views(np.where(REFERENCE > 0, np.inf, -np.inf), REFERENCE, PREDICTION, np.eye(4)),
    "constant": Views(np.full(REFERENCE.shape, 7, np.int16), REFERENCE, PREDICTION, np.eye(4)),
    "one slice": Views(None, REFERENCE[:, :, 4:5], PREDICTION[:, :, 4:5], np.diag([1, 1, 5, 1])),
    "one line": Views(None, REFERENCE[:1, :, 4:5], PREDICTION[:1, :, 4:5], np.eye(4)),
    "one voxel": Views(None, np.ones((1, 1, 1), int), np.zeros((1, 1, 1), int), np.eye(4)),
    "nothing found": Views(None, REFERENCE, np.zeros_like(REFERENCE), np.eye(4)),
    "nothing there": Views(None, np.zeros_like(REFERENCE), np.zeros_like(REFERENCE), np.eye(4)),
    "many labels": Views(
        None, np.arange(1680).reshape(14, 12, 10), np.arange(1680).reshape(14, 12, 10) // 2, np.eye(4)
    ),
    "large ids": Views(None, REFERENCE.astype(np.uint32) * 2**30, PREDICTION.astype(np.int64), np.eye(4)),
    "oblique": Views(
        None, REFERENCE, PREDICTION, np.array([[0.9, 0.4, 0, 1], [-0.4, 0.9, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]])
    ),
    "two models": Views(None, REFERENCE, PREDICTION, np.eye(4), second=REFERENCE),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("views", HARD.values(), ids=HARD)
def test_whatever_the_volumes_there_is_a_picture(views):
    scene = scene_of(views)
    for prediction in scene.predictions:
        drawn = strip(scene, prediction, width=600, height=240, line=2)
        assert drawn.width <= 600
        assert drawn.height <= 240
        opened = Image.open(io.BytesIO(png(drawn)))
        assert opened.size == drawn.size
        assert (np.asarray(opened) != GAP_INDEX).any()
    written = poster(scene, "case", ["A", "B"][: len(scene.predictions)])
    assert Image.open(io.BytesIO(written)).size[0] > 1000
    assert written == poster(scene, "case", ["A", "B"][: len(scene.predictions)])


def test_the_grey_window_is_that_of_the_organ():
    """In CT, air and bone would leave soft tissue one grey; MR has no fixed numbers at all."""
    reference, _ = blobs(2)
    rng = np.random.default_rng(0)
    image = np.where(reference > 0, rng.normal(60, 15, reference.shape), -1000)
    image[0, 0, 0] = 3000
    low, high = scene_of(Views(image, reference, reference, np.eye(4))).window
    assert -100 < low < 60 < high < 200
    scaled = scene_of(replace(Views(image, reference, reference, np.eye(4)), image=image * 10)).window
    np.testing.assert_allclose(scaled, (10 * low, 10 * high), rtol=1e-5)
