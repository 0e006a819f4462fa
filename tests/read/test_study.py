"""A path to what is there: every format, at any depth, and never just the first."""

import numpy as np
import pytest
import SimpleITK
from project import SAMPLES

from medseg import InputError, read_study, read_volume
from medseg.read.study import scan


def test_a_folder_of_every_format(save, tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    save("deep/er/a.nii.gz", array, np.diag([-1.0, -1, 1, 1]))
    for name in ("b.nrrd", "c.mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array.T), tmp_path / name)
    (tmp_path / "deep" / "back").symlink_to(tmp_path)  # a link that leads round in a circle
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._a.nii.gz").write_bytes(b"what macOS leaves behind")
    volumes = read_study(tmp_path)
    assert len(volumes) == 3
    for volume in volumes:
        np.testing.assert_array_equal(volume.array, array)
        np.testing.assert_allclose(volume.affine, np.diag([-1.0, -1, 1, 1]))
    (tmp_path / "mr_19").symlink_to(SAMPLES / "mr_held_back/images/mr_19")
    assert len(read_study(tmp_path)) == 4
    with pytest.raises(InputError, match="4 volumes"):
        read_volume(tmp_path)


def test_the_damaged_file_is_named_beside_the_good_one(save, tmp_path):
    save("good.nii.gz", np.arange(8, dtype=np.int16).reshape(2, 2, 2))
    (tmp_path / "bad.nii.gz").write_bytes(b"not gzip")
    assert [finding.verdict for finding in scan(tmp_path)] == ["refused", "ok"]
    assert len(read_study(tmp_path)) == 1
    with pytest.raises(InputError, match=r"FILE_UNREADABLE.*bad\.nii\.gz"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("name", "code"), [("gone", "FILE_MISSING"), ("text", "FILE_UNREADABLE"), ("empty", "FILE_UNREADABLE")]
)
def test_nothing_to_read(tmp_path, name, code):
    (tmp_path / "text").write_text("not an image")
    (tmp_path / "empty").mkdir()
    for read in (read_study, read_volume):
        with pytest.raises(InputError) as caught:
            read(tmp_path / name)
        assert caught.value.code == code
        assert str(tmp_path / name) in str(caught.value)


def test_what_is_read_says_where_it_came_from():
    (volume,) = read_study(SAMPLES / "mr_held_back/images/mr_19")
    assert [path.name for path in volume.source] == sorted(path.name for path in volume.source)
    assert len(volume.source) == volume.array.shape[2]
