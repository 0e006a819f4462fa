"""Where numbers come from: files by their hash, the model by its manifest, and nobody's name."""

import hashlib
import json
import shutil

from oracles.judged_folders import BUNDLE, judged
from project import SAMPLES

from medseg import evaluate, predict
from medseg.prediction import origin_of


def test_provenance_names_files_by_their_hash_and_nobody(folders):
    summary = judged(folders, bundle=BUNDLE)
    facts = summary["provenance"]
    for name, hashes in facts["sha256"].items():
        for kind, folder in (("prediction", "predictions"), ("reference", "data/labels")):
            data = (folders / folder / f"{name}.nii.gz").read_bytes()
            assert hashes[kind] == hashlib.sha256(data).hexdigest()
    assert (facts["predictions"], facts["references"]) == ("predictions", "labels")
    assert facts["bundle"]["name"] == "hippocampus_mr_unet3d"
    assert len(facts["bundle"]["weights_sha256"]) == 64
    assert set(facts["versions"]) == {"python", "numpy", "scipy"}
    for path in (folders / "out").rglob("*"):
        assert path.is_dir() or str(folders).encode() not in path.read_bytes(), path


def test_the_manifest_says_which_model_predicted(folders):
    made_by = {"name": "x", "version": "1", "weights_sha256": "0" * 64, "metadata_sha256": "1" * 64}

    def record(case, maker=made_by, digest=None):
        path = folders / "predictions" / f"{case}.nii.gz"
        digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()
        return {
            "case": case,
            "status": "done",
            "bundle": maker,
            "outputs": [{"path": path.name, "sha256": digest}],
        }

    def evaluated(*records, **how):
        lines = "".join(json.dumps(line) + "\n" for line in records)
        (folders / "predictions/manifest.jsonl").write_text(lines)
        summary = judged(folders, **how)
        return summary["provenance"]["bundle"], summary["warnings"]

    told = {**made_by, "known_from": "manifest.jsonl"}
    assert evaluated(record("good"), record("poor")) == (told, [])
    found, (warning,) = evaluated(record("good"), record("poor"), bundle=BUNDLE)
    assert found == told
    assert "another bundle" in warning
    found, (warning,) = evaluated(record("good"), record("poor", {**made_by, "version": "2"}))
    assert found is None
    assert "2 different models" in warning
    found, (warning,) = evaluated(record("good"), record("poor", digest="2" * 64))
    assert found == told
    assert "not the file" in warning
    found, (warning,) = evaluated(record("good"))
    assert "not in the predictions' manifest.jsonl: poor" in warning
    assert "predicted by x 1" in (folders / "out/report.html").read_text()


def test_a_bundle_that_is_only_named_is_not_said_to_have_predicted(folders):
    facts = judged(folders, bundle=BUNDLE)["provenance"]["bundle"]
    assert (facts["name"], facts["known_from"]) == ("hippocampus_mr_unet3d", "--bundle")
    text = (folders / "out/report.html").read_text()
    assert "labels of hippocampus_mr_unet3d" in text
    assert "predicted by" not in text


def test_weights_that_are_not_the_bundle_s_own_are_in_the_headline(weights, tmp_path):
    """The numbers are of those weights, and the bundle's name alone would claim them for the shipped ones."""
    run = tmp_path / "fold_0/models/best.pt"
    run.parent.mkdir(parents=True)
    shutil.copy(weights, run)
    out = tmp_path / "maps"
    predict(BUNDLE, SAMPLES / "mr_held_back", out, weights=run, device="cpu")
    facts = evaluate(out, SAMPLES / "mr_held_back", tmp_path / "judged")["provenance"]["bundle"]
    assert facts["weights"] == ["fold_0/best.pt"]
    page = (tmp_path / "judged/report.html").read_text()
    (headline,) = (line for line in page.splitlines() if 'class="lede"' in line)
    assert "weights that are not its own: fold_0/best.pt" in headline
    assert facts["weights_sha256"][:12] in headline


def test_the_bundle_s_own_weights_go_by_its_name(tmp_path):
    own = BUNDLE / "models/model.pt"
    for given in (own, shutil.copy(own, tmp_path / "copy.pt")):
        assert origin_of(BUNDLE, given, (), "").weights == ()
    assert origin_of(BUNDLE, [own, own], (), "").weights == ("hippocampus_mr_unet3d/model.pt",) * 2
