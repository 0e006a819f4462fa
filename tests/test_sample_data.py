"""The committed samples are what their script makes."""

import nibabel
import numpy as np
import pydicom
from make import make
from project import SAMPLES


def test_the_script_reproduces_the_committed_arrays(tmp_path):
    make(tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*") if path.is_file())
    kept = sorted(path.relative_to(SAMPLES) for kind in ("*.nii.gz", "*.dcm") for path in SAMPLES.rglob(kind))
    assert made == kept
    for path in made:
        if path.suffix == ".dcm":
            one, two = pydicom.dcmread(tmp_path / path), pydicom.dcmread(SAMPLES / path)
            assert one == two
        else:
            one, two = nibabel.load(tmp_path / path), nibabel.load(SAMPLES / path)
            np.testing.assert_array_equal(one.dataobj, two.dataobj)
            np.testing.assert_array_equal(one.affine, two.affine)


def test_the_samples_are_small():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 5e6
