"""What is edited is checked before anything starts: one line with a code, by every way to start a job."""

import json
import re
import shutil

import pytest
from project import BUNDLES, ROOT, SAMPLES, code_of, medseg, monai_bundle

from medseg import InputError, predict
from medseg.bundle import open_config
from medseg.bundle.known_keys import INTENSITY, SECTIONS, TOP

NAME = "hippocampus_mr_unet3d"
CT = {"kind": "ct", "window_hu": [-100, 400], "mean_hu": 0.0, "sd_hu": 1.0}


def edited(folder, change, file="metadata.json"):
    """Copy the bundle's configs, change one of them, and return the copy."""
    shutil.copytree(BUNDLES / NAME / "configs", folder / NAME / "configs")
    path = folder / NAME / "configs" / file
    values = json.loads(path.read_text())
    change(values["medseg"] if file == "metadata.json" else values)
    path.write_text(json.dumps(values))
    return folder / NAME


FAULTS = {
    "misspelt section": (lambda m: m.update(netwrok=m.pop("network")), "UNKNOWN_KEY", "did you mean 'network'"),
    "misspelt key": (lambda m: m["network"].update(drop_out=0.1), "UNKNOWN_KEY", "did you mean 'dropout'"),
    "unread key": (lambda m: m["training"].update(colour="blue"), "UNKNOWN_KEY", "'colour' is read by nobody"),
    "missing section": (lambda m: m.pop("inference"), "UNKNOWN_KEY", "has no 'inference'"),
    "missing number": (lambda m: m["network"].pop("features"), "BAD_VALUE", "has no 'features'"),
    "labels": (lambda m: m["network"].update(labels=4), "BAD_VALUE", "channel_def"),
    "window": (
        lambda m: m["preprocessing"].update(intensity={**CT, "window_hu": [400, -100]}),
        "BAD_VALUE",
        "low below",
    ),
    "kind": (lambda m: m["preprocessing"].update(intensity={"kind": "pet"}), "BAD_VALUE", "'pet'"),
    "percentiles": (lambda m: m["preprocessing"]["intensity"].update(percentiles=[1, 120]), "BAD_VALUE", "100"),
    "mr with window": (
        lambda m: m["preprocessing"]["intensity"].update(window_hu=[0, 1]),
        "UNKNOWN_KEY",
        "window_hu",
    ),
    "component": (lambda m: m["postprocessing"].update(largest_component=[1, 3]), "BAD_VALUE", "3 is no label"),
    "component of list": (lambda m: m["postprocessing"].update(largest_component=[[1, 9]]), "BAD_VALUE", "9"),
    "minutes": (lambda m: m["training"].update(max_minutes=-5), "BAD_VALUE", "-5"),
    "epochs": (lambda m: m["training"].update(max_epochs=0), "BAD_VALUE", "max_epochs 0"),
    "mirror_axes": (lambda m: m["inference"].update(mirror_axes=None), "BAD_VALUE", "null"),
    "flip_axes": (lambda m: m["augmentation"].update(flip_axes=[0, 3]), "BAD_VALUE", "axes"),
    "patch": (lambda m: m.update(patch_size=[32, 32]), "BAD_VALUE", "2 axes"),
    "split": (lambda m: m.update(split={"validation": 0.6, "test": 0.4}), "BAD_VALUE", "nothing to train on"),
    "spacing": (lambda m: m["preprocessing"].update(spacing_mm=[1, 1]), "BAD_VALUE", "3 of"),
    "no features": (lambda m: m["network"].update(features=[]), "BAD_VALUE", "features"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_metadata_is_named(fault, tmp_path):
    change, code, text = FAULTS[fault]
    with pytest.raises(InputError, match=re.escape(text)) as caught:
        open_config(edited(tmp_path, change), "training")
    assert caught.value.code == f"CONFIG_{code}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"max_minutes": -1},
        {"max_epochs": 0},
        {"batch_size": 1.5},
        {"fold": 5},
        {"freeze": -1},
        {"resume": "yes"},
        {"precision": "half"},
        {"learning_rate": 0},
        {"cache_rate": 2},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_value_given_is_checked_too(given):
    assert code_of(open_config, BUNDLES / NAME, "training", given) == "CONFIG_BAD_VALUE"


def test_every_way_to_start_a_job_refuses_with_one_line(tmp_path):
    bundle = edited(tmp_path, FAULTS["misspelt key"][0])
    out, data = tmp_path / "out", SAMPLES / "mr"
    words = ("--dataset_dir", data, "--output_dir", out)
    calls = [
        medseg("train", bundle, "--data", data, f"output_dir={out}", check=False),
        monai_bundle("training", bundle / "configs/train.json", *words, check=False),
        monai_bundle("inference", bundle / "configs/inference.json", *words, check=False),
    ]
    for done in calls:
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert [line for line in done.stderr.splitlines() if "did you mean 'dropout'" in line]
    assert code_of(predict, bundle, data, out) == "CONFIG_UNKNOWN_KEY"
    assert code_of(predict, BUNDLES / NAME, data, out, mirror_axes=None) == "CONFIG_BAD_VALUE"
    assert not out.exists()


def test_a_reference_that_leads_nowhere_is_named(tmp_path):
    bundle = edited(tmp_path, lambda c: c["train"]["trainer"].update(network="@netwrok"), "train.json")
    with pytest.raises(InputError, match=r"train::trainer::network reads @netwrok.*did you mean 'network'"):
        open_config(bundle, "training")


def test_a_bundle_of_one_s_own_may_read_keys_of_its_own(tmp_path):
    bundle = edited(tmp_path, lambda m: m["network"].update(groups=4))
    assert code_of(open_config, bundle, "training") == "CONFIG_UNKNOWN_KEY"
    for name in ("train.json", "inference.json"):
        path = bundle / "configs" / name
        config = json.loads(path.read_text())
        config["network_def"] = "$mine.net(patch_size=@_meta_::medseg::patch_size, **@_meta_::medseg::network)"
        path.write_text(json.dumps(config))
    open_config(bundle, "training")
    bundle = edited(tmp_path / "b", lambda m: m["training"].update(colour="blue"))
    path = bundle / "configs/train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "@_meta_::medseg::training::colour"}))
    open_config(bundle, "training")


def test_a_known_key_that_a_bundle_leaves_out_may_be_given():
    config = open_config(BUNDLES / NAME, "training", {"_meta_::medseg::inference::adapt": False})
    assert config.metadata.values["medseg"]["inference"]["adapt"] is False
    given = {"_meta_::medseg::inference::adpat": False}
    assert code_of(open_config, BUNDLES / NAME, "training", given) == "CONFIG_UNKNOWN_KEY"


def test_every_key_of_the_page_is_known():
    """The table may know keys before the page does; what the page names must be known."""
    page = (ROOT / "docs/reference/metadata.md").read_text()
    section, known = (
        "",
        {**SECTIONS, **{f"preprocessing::intensity of {kind.upper()}": keys for kind, keys in INTENSITY.items()}},
    )
    for line in page.splitlines():
        if line.startswith("#"):
            section = line.lstrip("#").strip().replace("`", "")
        elif line.startswith("| `") and section in known:
            assert line.split("`")[1] in known[section], f"{section}: {line[:40]}"
        elif line.startswith("| `") and section in TOP:
            assert line.split("`")[1] in TOP
