"""One line a case, where no bar is seen."""

import re

import pytest
from project import BUNDLES, SAMPLES, code_of, medseg

from medseg.cli.logs import case_log

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\d) of (\d) (\S+) (done|failed) [\d.]+ s ?(.*)")


def test_a_redirected_predict_says_how_each_case_ended(weights, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.nii.gz").symlink_to(SAMPLES / "mr/images/mr_00.nii.gz")
    (data / "gone.nii.gz").symlink_to("nowhere")
    call = ("predict", BUNDLES / "hippocampus_mr_unet3d", data, tmp_path / "out", "--weights", weights)
    done = medseg(*call, "--device", "cpu", "--log", tmp_path / "logs/run.log", check=False)
    assert done.returncode == 1
    for lines in (done.stderr.splitlines(), (tmp_path / "logs/run.log").read_text().splitlines()):
        found = [LINE.fullmatch(line).groups() for line in lines]
        assert [each[:2] for each in found] == [("1", "2"), ("2", "2")]
        assert {each[2]: each[3:] for each in found} == {"good": ("done", ""), "gone": ("failed", "FILE_MISSING")}
    medseg(*call, "--device", "cpu", "--log", tmp_path / "logs/run.log", check=False)
    assert len((tmp_path / "logs/run.log").read_text().splitlines()) == 3  # the one that failed is tried again


def test_a_log_replaces_and_spoils_nothing(tmp_path):
    (tmp_path / "image").write_bytes(b"an image")
    (tmp_path / "empty").touch()
    assert code_of(lambda: case_log(tmp_path / "image").__enter__()) == "OUTPUT_WOULD_OVERWRITE"
    assert code_of(lambda: case_log(tmp_path / "image/log").__enter__()) == "OUTPUT_UNWRITABLE"
    assert (tmp_path / "image").read_bytes() == b"an image"
    for name in ("empty", "new/log"):
        with case_log(tmp_path / name):
            pass
        assert (tmp_path / name).read_bytes() == b""


@pytest.mark.parametrize("name", ["mr_16.nii.gz", "A.NRRD"])
def test_a_log_is_not_named_as_an_image(tmp_path, name):
    """It would be a case of the next run, one that cannot be read."""
    assert code_of(lambda: case_log(tmp_path / name).__enter__()) == "CONFIG_BAD_VALUE"
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("begin", ["2026-11-21 20:00:00 1 of 2 a done 1.0 s\n"])
def test_a_log_of_an_earlier_run_goes_on(tmp_path, begin):
    (tmp_path / "log").write_text(begin)
    with case_log(tmp_path / "log"):
        pass
    assert (tmp_path / "log").read_text() == begin
