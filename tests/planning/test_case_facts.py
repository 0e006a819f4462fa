"""What is kept of a case."""

import nibabel
import numpy as np

from medseg.planning.case_facts import SAMPLES, read_case


def saved(folder, image, labels, affine):
    paths = {name: folder / f"{name}.nii.gz" for name in ("image", "label")}
    for path, array in zip(paths.values(), (image, labels), strict=True):
        nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return {"id": "a", **{name: str(path) for name, path in paths.items()}}


def test_axes_are_those_of_ras(tmp_path):
    labels = np.zeros((10, 20, 30), np.uint8)
    labels[2:5, 4:9, 6:9] = 1
    labels[7, 15, 20] = 1
    image = np.zeros(labels.shape, np.float32)
    image[1:9, 3:18, 5:25] = 5
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -3, 1, 2, 1  # axes S, R, A
    facts = read_case(saved(tmp_path, image, labels, affine))
    assert facts.shape == (20, 30, 10)
    assert facts.spacing_mm == (1, 2, 3)
    assert facts.cropped == (15, 20, 8)
    assert not facts.cuts_labels
    label = facts.labels[1]
    assert (label.voxels, label.pieces) == (46, 2)
    assert label.ml == 46 * 6 / 1000
    assert label.largest_share == 45 / 46
    assert set(facts.intensities[0]) == {5.0}


def test_labels_out_of_the_box_are_told(tmp_path):
    labels = np.ones((4, 4, 4), np.uint8)
    image = np.zeros(labels.shape, np.float32)
    image[1:3] = 5
    assert read_case(saved(tmp_path, image, labels, np.eye(4))).cuts_labels


def test_samples_are_bounded_and_the_same_again(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.ones((30, 30, 30), np.uint8)
    case = saved(tmp_path, rng.normal(size=labels.shape).astype(np.float32), labels, np.eye(4))
    one, two = (read_case(case).intensities[0] for _ in range(2))
    assert len(one) == SAMPLES
    np.testing.assert_array_equal(one, two)


def test_an_ignored_label_gives_no_intensities(tmp_path):
    labels = np.ones((4, 4, 4), np.uint8)
    labels[0] = 2
    case = saved(tmp_path, labels.astype(np.float32), labels, np.eye(4))
    assert set(read_case(case, ignore_label=2).intensities[0]) == {1.0}
