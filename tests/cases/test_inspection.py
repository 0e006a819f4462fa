"""`medseg inspect`: what it says is what reading does."""

import json
import os
import shutil

import numpy as np
import pytest
from project import SAMPLES, medseg

from medseg import InputError, inspect, read_volume
from medseg.cases.find import find_cases
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


def ok_cases(path):
    return sorted(row["case"] for row in inspect(path) if row["verdict"] == "ok")


def copy(path, name="mr/images/mr_00.nii.gz"):
    path.parent.mkdir(parents=True, exist_ok=True)
    source = SAMPLES / name
    shutil.copytree(source, path) if source.is_dir() else shutil.copy(source, path)


def nested(folder):
    for name in ("pat1/visit1/t1.nii.gz", "pat2/t1.nii.gz", "top.nii.gz"):
        copy(folder / name)


def same_series_of_two_patients(folder):
    for name in ("pat1/series", "pat2/series"):
        copy(folder / name, "mr_held_back/images/mr_19")


def labelled(folder):
    shutil.copytree(SAMPLES / "mr_held_back", folder, dirs_exist_ok=True)
    copy(folder / "imagesTs/other.nii.gz")


def broken(folder):
    nested(folder)
    (folder / "gone.nii.gz").symlink_to("nowhere")
    (folder / "folder.nii.gz").mkdir()
    os.mkfifo(folder / "pipe.nii.gz")


@pytest.mark.parametrize("make", [nested, same_series_of_two_patients, labelled, broken])
def test_every_case_of_predict_has_its_rows_and_no_other_has(make, tmp_path):
    make(tmp_path)
    rows = inspect(tmp_path)
    assert sorted({row["case"] for row in rows} - {""}) == [case["id"] for case in find_cases(tmp_path)]
    assert all(row["verdict"] == "skipped" for row in rows if not row["case"])
    for case in find_cases(tmp_path):
        if case["id"] in ok_cases(tmp_path):
            read_volume(case["image"])
        else:
            with pytest.raises(InputError):
                read_volume(case["image"])


def test_what_predict_refuses_by_its_name_is_refused_here(tmp_path):
    copy(tmp_path / "a.nii.gz")
    copy(tmp_path / "b.nii.gz")
    (tmp_path / "a.nii").write_bytes(b"the same, not compressed")
    rows = {row["source"].rsplit("/", 1)[1]: row for row in inspect(tmp_path)}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "a.nii": "refused",
        "a.nii.gz": "refused",
        "b.nii.gz": "ok",
    }
    assert rows["a.nii.gz"]["codes"] == ["CASES_DUPLICATE_ID"]
    with pytest.raises(InputError, match="CASES_DUPLICATE_ID"):
        find_cases(tmp_path)


def test_what_is_passed_over_is_named_with_the_reason(tmp_path):
    labelled(tmp_path)
    found = {row["source"].split("/")[-2]: row for row in inspect(tmp_path) if row["verdict"] == "skipped"}
    assert set(found) == {"labels", "imagesTs"}
    assert all(row["codes"] == ["CASES_PASSED_OVER"] for row in found.values())
    assert "the label of a case" in found["labels"]["message"]
    assert "not in images/" in found["imagesTs"]["message"]


def test_a_redirected_table_is_one_line_a_row_and_closes_with_counts(tmp_path):
    broken(tmp_path)
    copy(tmp_path / "series", "mr_held_back/images/mr_19")
    header, *lines, last = medseg("inspect", tmp_path, check=False).stdout.splitlines()
    rows = inspect(tmp_path, descriptions=True)
    assert last == "4 ok, 3 refused, 0 skipped"
    assert len(lines) == len(rows)
    columns = header.split("\t")
    for line, row in zip(lines, rows, strict=True):
        cells = dict(zip(columns, line.split("\t"), strict=True))
        assert cells["verdict"] == row["verdict"]
        assert cells["series"] == f"{row.get('series_number', '')} {row.get('description', '')}".strip()
