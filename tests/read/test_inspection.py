"""`medseg inspect`: what it says is what reading does."""

import json

import numpy as np
import pytest
from project import SAMPLES, medseg

from medseg import InputError, inspect, read_volume
from medseg.errors.problems import CODES


def test_rows_say_what_reading_gives():
    rows = inspect(SAMPLES / "mr_held_back/images")
    assert {row["verdict"] for row in rows} == {"ok"}
    for row in rows:
        volume = read_volume(row["source"])
        assert tuple(row["shape"]) == volume.array.shape
        np.testing.assert_allclose(row["spacing_mm"], volume.spacing_mm, atol=1e-6)
        assert row["files"] == len(volume.source)
    assert {row["orientation"] for row in rows} == {"RAS", "LPS"}


def test_refusals_have_a_remedy_and_an_exit_status(save, tmp_path):
    save("good.nii.gz", np.arange(8, dtype=np.int16).reshape(2, 2, 2))
    (tmp_path / "bad.nii").write_bytes(b"nothing")
    done = medseg("inspect", tmp_path, "--json", check=False)
    assert done.returncode == 1
    by_name = {row["source"].rsplit("/", 1)[1]: row for row in json.loads(done.stdout)}
    assert by_name["good.nii.gz"]["verdict"] == "ok"
    bad = by_name["bad.nii"]
    assert bad["verdict"] == "refused"
    assert bad["remedy"] == [CODES[code].remedy.replace("`", "") for code in bad["codes"]] != []
    table = medseg("inspect", tmp_path, check=False).stdout
    assert "refused" in table
    assert bad["codes"][0] in table


def test_voxels_are_read_when_asked(save, tmp_path):
    save("nan.nii.gz", np.full((2, 2, 2), np.nan, np.float32))
    save("flat.nii.gz", np.zeros((2, 2, 2), np.int16))
    assert [row["verdict"] for row in inspect(tmp_path)] == ["ok", "ok"]
    flat, nan = inspect(tmp_path, voxels=True)
    assert (nan["verdict"], nan["codes"]) == ("refused", ["IMAGE_NOT_FINITE"])
    assert (flat["verdict"], flat["codes"]) == ("ok", ["IMAGE_CONSTANT"])


def test_an_empty_folder_is_the_wrong_call(tmp_path):
    with pytest.raises(InputError, match="CASES_EMPTY"):
        inspect(tmp_path)
    assert medseg("inspect", tmp_path, check=False).returncode == 2
