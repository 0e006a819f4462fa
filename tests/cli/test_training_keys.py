"""What ``medseg train -h`` lists is in the config, with these defaults."""

import json

from project import BUNDLES, medseg

from medseg.cli.training_keys import OF_BUNDLE, TRAINING_KEYS


def test_the_keys_and_defaults_are_the_config_s():
    config = json.loads((BUNDLES / "hippocampus_mr_unet3d/configs/train.json").read_text())
    for key, (default, _) in TRAINING_KEYS.items():
        if default == OF_BUNDLE:
            assert config[key] == f"@_meta_::medseg::training::{key}"
        elif key not in ("output_dir", "split_file"):
            assert (config[key] if isinstance(config[key], str) else json.dumps(config[key])) == default


def test_help_lists_them():
    shown = medseg("train", "-h").stdout
    assert [key for key in TRAINING_KEYS if f"{key}=" not in shown] == []
