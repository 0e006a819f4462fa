"""The commands in the docs run, their links lead somewhere, and the lists in them are complete."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import BUNDLES, ROOT

from medseg.errors import problems as codes

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *BUNDLES.glob("*/docs/*.md")]
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what the commands name, so that they write to a folder of their own."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("bundles", "sample_data"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")], ids=lambda page: page.stem)
def test_commands_run(page, clone):
    """With a minute for each 15, or less: what is tested is that the line works."""
    for line in "".join(blocks(page, "bash")).splitlines():
        quick = re.sub(r"(max_minutes[ =])\d+", r"\g<1>0.02", line)
        program, *arguments = shlex.split(quick)
        command = [str(Path(sys.executable).parent / program), *arguments]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_python_runs(clone):
    for page in PAGES:
        for block in blocks(page, "python"):
            done = subprocess.run(
                [sys.executable, "-c", block], cwd=clone, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_code_is_listed_and_every_listed_code_exists():
    sources = [path for path in (ROOT / "medseg").rglob("*.py") if path.name != "codes.py"]
    kinds = (
        "BUNDLE|CASES?|CHANNELS|CONFIG|DICOM|DOWNLOAD|FILE|FORMAT|GEOMETRY|GROUPS|IMAGE|LABEL|MEMORY|OUTPUT|PROBABILITIES|READER|"
        "INPUT|NETWORK|RUN|WEIGHTS"
    )
    used = set(re.findall(rf'"((?:{kinds})_[A-Z0-9_]+)"', "".join(path.read_text() for path in sources)))
    assert used == set(codes.CODES)
    page = (ROOT / "docs/reference/codes.md").read_text()
    assert codes.table() in page
    assert set(re.findall(rf"`((?:{kinds})_[A-Z0-9_]+)`", page)) == used


def test_every_listed_key_exists():
    table = (ROOT / "docs/reference/bundles.md").read_text()
    for keys, jobs in re.findall(r"^\| (`[^|]+`) \| ([a-z, ]+) \|", table, re.M):
        names = {"training": "train", "inference": "inference", "evaluating": "evaluate"}
        for job in names if jobs == "all" else jobs.split(", "):
            config = json.loads((BUNDLES / f"hippocampus_mr_unet3d/configs/{names[job]}.json").read_text())
            assert set(re.findall(r"`(\w+)`", keys)) <= set(config)
