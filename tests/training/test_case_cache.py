"""Preprocessed cases are the same from memory and from files, which are made once and never trusted blindly."""

import pytest
import torch
from project import SAMPLES

import medseg.training.case_cache as case_cache
from medseg.cases import find_cases
from medseg.preprocess import preprocessing
from medseg.training.augment import augmentation
from medseg.training.case_cache import CachedCases, content_sha256
from medseg.training.datasets import AugmentedDataset

SETTINGS = {"intensity": {"kind": "mr"}, "patch_size": [16, 16, 16]}


class Counted:
    """The bundle's preprocessing, and how often it was run."""

    def __init__(self) -> None:
        self.steps, self.n = preprocessing(labelled=True, **SETTINGS), 0

    def __call__(self, case):
        self.n += 1
        return self.steps(case)


def cached(folder, **keywords) -> tuple[CachedCases, Counted]:
    counted = Counted()
    cases = find_cases(SAMPLES / "mr", labelled=True)[:3]
    return CachedCases(cases, counted, settings=SETTINGS, folder=folder, **keywords), counted


def assert_same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["label"], b["label"])
        assert a["foreground"].keys() == b["foreground"].keys()
        assert all(torch.equal(a["foreground"][label], b["foreground"][label]) for label in a["foreground"])


def test_memory_and_files_hold_the_same_and_files_are_made_once(tmp_path):
    in_memory, _ = cached(tmp_path / "unused")
    assert not (tmp_path / "unused").exists()
    in_files, counted = cached(tmp_path, in_memory=0)
    assert counted.n == len(list(tmp_path.iterdir())) == 3
    assert_same(in_memory, in_files)
    assert in_files[0]["label"].dtype == torch.uint8
    again, counted = cached(tmp_path, in_memory=0)
    assert counted.n == 0
    assert_same(again, in_files)
    steps = augmentation(patch_size=[16, 16, 16])
    for key in ((0, 0), (1, 2)):
        patches = [AugmentedDataset(each, steps)[key]["image"] for each in (in_memory, again)]
        assert torch.equal(*patches)


def test_what_does_not_fit_the_free_memory_goes_to_files(tmp_path, monkeypatch):
    in_memory, _ = cached(tmp_path / "unused")
    one = sum(tensor.nbytes for tensor in case_cache.tensors_of(in_memory[0]).values())
    monkeypatch.setattr(case_cache, "free_bytes", lambda: int(1.2 * one / case_cache.SHARE))
    mixed, counted = cached(tmp_path, threads=1)
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert counted.n == 3
    assert_same(mixed, in_memory)


def test_other_settings_or_content_have_files_of_their_own(tmp_path):
    cached(tmp_path, in_memory=0)
    cases = find_cases(SAMPLES / "mr", labelled=True)[:1]
    CachedCases(cases, Counted(), settings={**SETTINGS, "spacing_mm": [2, 2, 2]}, folder=tmp_path, in_memory=0)
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/a").write_bytes(b"1")
    files = [tmp_path / "a", tmp_path / "b", [tmp_path / "a"], [tmp_path / "a", tmp_path / "b"]]
    assert len({content_sha256(path) for path in files}) == 4


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda b: b[:-5], flipped, lambda _: b"none"])
def test_a_damaged_file_is_made_anew(tmp_path, damage):
    whole, _ = cached(tmp_path, in_memory=0)
    path = sorted(tmp_path.iterdir())[0]
    before = path.read_bytes()
    path.unlink()  # what is mapped of the old one stays as it was
    path.write_bytes(damage(before))
    again, counted = cached(tmp_path, in_memory=0)
    assert counted.n == 1
    assert_same(again, whole)
