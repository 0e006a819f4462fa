"""Label maps as NIfTI: on the image's grid to the last bit, the bytes nibabel would write."""

import gzip

import nibabel
import numpy as np
import pytest

from medseg.write.nifti import write_label_map


def test_label_map_keeps_both_forms_and_their_codes(tmp_path):
    sform = np.array([[0, 2, 0, 5], [-1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]], float)
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), sform)
    image.set_sform(sform, code=4)
    image.set_qform(sform, code=1)
    nibabel.save(image, tmp_path / "image.nii.gz")
    labels = np.ones((3, 4, 5), np.uint8)
    write_label_map(tmp_path / "out.nii.gz", labels, sform, like=tmp_path / "image.nii.gz")
    out = nibabel.load(tmp_path / "out.nii.gz")
    assert out.get_data_dtype() == np.uint8
    for form in ("get_sform", "get_qform"):
        (ours, our_code), (theirs, their_code) = (getattr(i, form)(coded=True) for i in (out, image))
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        assert our_code == their_code


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_label_map_of_an_image_named_in_either_case(tmp_path, kind):
    nibabel.save(kind(np.zeros((3, 4, 5), np.float32), np.diag([2, 3, 4, 1.0])), tmp_path / "image.nii.gz")
    written = []
    for name in ("image.nii.gz", "IMAGE.NII.GZ", "Image.Nii.gZ"):
        image = (tmp_path / "image.nii.gz").rename(tmp_path / name)
        write_label_map(tmp_path / "out.nii", np.ones((3, 4, 5), np.uint8), np.eye(4), like=image)
        written.append((tmp_path / "out.nii").read_bytes())
        image.rename(tmp_path / "image.nii.gz")
    assert written[0] == written[1] == written[2]
    np.testing.assert_array_equal(nibabel.load(tmp_path / "out.nii").affine, np.diag([2, 3, 4, 1.0]))


def test_label_map_of_a_dicom_series_has_both_forms(tmp_path):
    affine = np.array([[-1, 0, 0, 5], [0, -2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]], float)
    write_label_map(tmp_path / "out.nii.gz", np.ones((3, 4, 5), np.uint8), affine)
    out = nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(out.affine, affine)
    np.testing.assert_allclose(out.get_qform(), affine, atol=1e-6)


def test_label_map_of_an_image_without_forms(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), None)
    image.header.set_zooms((2.0, 2.0, 3.0))
    nibabel.save(image, tmp_path / "image.nii.gz")
    image = nibabel.load(tmp_path / "image.nii.gz")
    write_label_map(
        tmp_path / "out.nii.gz", np.ones((3, 4, 5), np.uint8), image.affine, like=tmp_path / "image.nii.gz"
    )
    np.testing.assert_allclose(nibabel.load(tmp_path / "out.nii.gz").affine, image.affine)


def test_label_map_keeps_the_grid_to_the_last_bit(tmp_path):
    """Also what a form without a code holds, a qform alone, and units other than mm."""
    rng = np.random.default_rng(0)
    for codes in [(2, 0), (0, 1), (4, 1), (0, 0)]:
        image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), None)
        header = image.header
        header["sform_code"], header["qform_code"] = codes
        for field in ("quatern_b", "quatern_c", "quatern_d"):
            header[field] = rng.uniform(-0.5, 0.5)
        for field in ("srow_x", "srow_y", "srow_z"):
            header[field] = rng.normal(size=4)
        header["pixdim"][:4] = (-1, 0.7, 1.3, 2.9)
        header["qoffset_x"] = 1e3 / 3
        header.set_xyzt_units("micron")
        nibabel.save(image, tmp_path / "image.nii")
        affine = nibabel.load(tmp_path / "image.nii").affine
        write_label_map(tmp_path / "out.nii.gz", np.ones((3, 4, 5), np.uint8), affine, like=tmp_path / "image.nii")
        before, after = (nibabel.load(tmp_path / name).header for name in ("image.nii", "out.nii.gz"))
        assert before.binaryblock[252:328] == after.binaryblock[252:328]  # qform_code to srow_z
        assert before.binaryblock[76:92] == after.binaryblock[76:92]  # pixdim[0] to pixdim[3]
        assert after.get_xyzt_units()[0] == "micron"


@pytest.mark.parametrize("name", ["out.nii.gz", "out.nii"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_bytes_are_nibabel_s(tmp_path, monkeypatch, name, order, dtype):
    monkeypatch.setattr("medseg.write.nifti.CHUNK_BYTES", 100)
    affine = np.array([[0, 2, 0, 5], [-1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]], float)
    labels = np.random.default_rng(0).integers(0, 300, (6, 7, 9)).astype(dtype, order=order)
    image = nibabel.Nifti1Image(labels, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    write_label_map(tmp_path / name, labels[:, ::-1][:, ::-1], affine)
    packed = (tmp_path / name).read_bytes()
    assert (gzip.decompress(packed) if name.endswith(".gz") else packed) == image.to_bytes()


def test_the_same_labels_are_the_same_bytes(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (60, 70, 90)).astype(np.uint8)
    for name, order in (("a.nii.gz", "C"), ("b.nii.gz", "F")):
        write_label_map(tmp_path / name, np.asarray(labels, order=order), np.eye(4))
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert packed == (tmp_path / "b.nii.gz").read_bytes()
    assert packed[3:8] == bytes(5)  # no name among the flags, no time (RFC 1952 §2.3)
