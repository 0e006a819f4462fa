"""Through prediction and back: a network that only passes its input on gives the mask on the image's own grid."""

import itertools

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from oracles.dicom_series import SPACING_MM, right_handed, rotation, write_series
from project import BUNDLES

from medseg import read_volume
from medseg.infer import to_native_labels
from medseg.prediction import Pipeline, Resources, origin_of, predict_cases
from medseg.preprocess import preprocessing
from medseg.write import OutputFormats

BUNDLE = BUNDLES / "spleen_ct_unet3d"
SHAPE = (9, 7, 5)
CT = {"kind": "ct", "window_hu": [-100, 100], "mean_hu": 0, "sd_hu": 100}
OBLIQUE = rotation((1.0, 2.0, 3.0), 0.2)  # less than half way to the next axis, so that each is turned once


class PassOn(torch.nn.Module):
    """Scores of two classes that are the image's own intensity, in -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))  # says which device it is on

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = torch.as_tensor(image.as_tensor() if hasattr(image, "as_tensor") else image)
        return torch.cat([-image, image], dim=1)


def predict(images, folder, tmp_path, formats=("nifti",), **steps):
    """Run the batch prediction, as a bundle does, and check that all is done."""
    before = preprocessing(intensity=CT, patch_size=[8, 8, 8], **steps)
    weights = tmp_path / "weights"
    weights.write_bytes(b"none")
    records = predict_cases(
        [{"id": name, "image": str(path)} for name, path in images.items()],
        folder,
        pipeline=Pipeline(before, PassOn(), lambda inputs, network: network(inputs), to_native_labels()),
        origin=origin_of(BUNDLE, weights, (), config_sha256=""),
        formats=OutputFormats(formats),
        resources=Resources(device="cpu"),
    )
    assert [(record["status"], record["message"]) for record in records] == [("done", "")] * len(images)
    return records


def mask() -> np.ndarray:
    return (np.random.default_rng(0).random(SHAPE) < 0.4).astype(np.uint8)


def test_nifti_in_all_48_orientations(tmp_path):
    """Axes along R, A and S in every order and sense, straight and oblique, anisotropic, far from 0."""
    images = {}
    for tilted, order, signs in itertools.product(
        (False, True), itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    ):
        directions = np.zeros((3, 3))
        directions[order, range(3)] = signs
        affine = np.eye(4)
        affine[:3, :3] = (OBLIQUE if tilted else np.eye(3)) @ directions * SPACING_MM
        affine[:3, 3] = (-211.7, 340.3, -1024.9)
        name = f"{'oblique' if tilted else 'straight'}_{''.join(map(str, order))}_{signs}"
        images[name] = tmp_path / f"{name}.nii.gz"
        image = nibabel.Nifti1Image((mask() * 200.0 - 100).astype(np.int16), affine)
        image.set_sform(affine, code=4)
        image.set_qform(affine, code=1)
        nibabel.save(image, images[name])
    assert len(images) == 96
    predict(images, tmp_path / "out", tmp_path)
    for name, path in images.items():
        image, found = nibabel.load(path), nibabel.load(tmp_path / f"out/{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(found.dataobj), mask(), err_msg=name)
        for form in ("get_sform", "get_qform"):
            (ours, our_code), (theirs, their_code) = (getattr(i, form)(coded=True) for i in (found, image))
            np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0, err_msg=name)
            assert our_code == their_code
        assert found.header["pixdim"][:4].tolist() == image.header["pixdim"][:4].tolist()


@pytest.mark.parametrize("axes", right_handed())
def test_dicom_to_every_format_in_24_orientations_both_ways(axes, tmp_path):
    values = (mask().astype(np.int16) * 100).astype(np.uint16)  # 0 is class 0, for the first of two equals wins
    images = {
        "forwards": write_series(tmp_path / "forwards", values, OBLIQUE @ axes),
        "backwards": write_series(tmp_path / "backwards", values, OBLIQUE @ axes, backwards=True),
    }
    predict(images, tmp_path / "out", tmp_path, formats=["nifti", "dicom-seg"])
    for name, folder in images.items():
        volume = read_volume(folder)
        found = nibabel.load(tmp_path / f"out/{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(found.dataobj), mask())
        np.testing.assert_allclose(found.affine, volume.affine, atol=1e-5, rtol=0)
        seg = pydicom.dcmread(tmp_path / f"out/{name}.seg.dcm")
        frames = dict(
            zip(
                [
                    frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
                    for frame in seg.PerFrameFunctionalGroupsSequence
                ],
                seg.pixel_array,
                strict=True,
            )
        )
        for k, file in enumerate(volume.source):
            image = pydicom.dcmread(file)
            np.testing.assert_array_equal(frames[image.SOPInstanceUID], image.pixel_array > 0)
            np.testing.assert_array_equal(frames[image.SOPInstanceUID].T, mask()[:, :, k])


def test_resampling_keeps_a_blob_where_it_is(tmp_path):
    """Through another spacing and back, a smooth blob stays where it is in every orientation."""
    centre = (np.array(SHAPE) * 3 - 1) / 2
    distance_mm = np.linalg.norm((np.indices([3 * n for n in SHAPE]).T - centre) * (0.9, 1.1, 1.7), axis=-1).T
    values = np.clip((6 - distance_mm) * 30, -100, 100).astype(np.int16)
    images = {}
    for n, axes in enumerate(right_handed()[::5]):
        affine = np.eye(4)
        affine[:3, :3] = OBLIQUE @ axes * (0.9, 1.1, 1.7)
        images[f"blob_{n}"] = tmp_path / f"blob_{n}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, affine), images[f"blob_{n}"])
    predict(images, tmp_path / "out", tmp_path, spacing_mm=[1.2, 1.0, 1.4])
    for name in images:
        found = np.asarray(nibabel.load(tmp_path / f"out/{name}.nii.gz").dataobj)
        wrong = (found > 0) != (values > 0)
        assert np.abs(distance_mm[wrong] - 6).max(initial=0) < 0.9  # only at the surface
        shift = np.argwhere(found).mean(axis=0) - np.argwhere(values > 0).mean(axis=0)
        assert np.abs(shift * (0.9, 1.1, 1.7)).max() < 0.1  # mm; half a voxel's shift would show
