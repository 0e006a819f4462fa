"""The house: rooms import in one direction and past no other room's face; files and functions stay small."""

import ast
import importlib
import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import BUNDLES, ROOT

PACKAGE = ROOT / "medseg"
# From what uses nothing of ours to what everything is used by; each imports those before it alone
ORDER = (
    *("errors", "lazy", "geometry", "files", "system_memory"),
    *("metrics", "read", "cases", "preprocess", "networks", "bundle", "infer", "write"),
    *(
        "report",
        "planning",
        "training",
        "prediction",
        "evaluation",
        "cross_validation",
        "api",
        "__init__",
        "cli",
        "__main__",
    ),
)
# The public verbs, what mirrors MONAI's classes and functions, and commands, whose parameters are their options
MANY_PARAMETERS = {
    "evaluate",
    "compare",
    "unet",
    "dynunet",
    "augmentation",
    "preprocessing",
    "SlidingWindowInferer.__init__",
    "predict",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module of ours and the name of each import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "medseg":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "medseg")


def test_the_rooms_are_those_of_the_map():
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__pycache__"} == set(ORDER)
    shown = (PACKAGE / "__init__.py").read_text()
    assert [room for room in ORDER if room not in ("__init__", "lazy") and room not in shown] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way_and_past_no_face(path):
    here = room_of(path)
    for module, name in imports(path):
        parts = module.split(".")
        if module == "medseg":
            there = name if name in ORDER else "__init__"
            assert (here, there) == ("cli", "api"), f"{module}.{name}: the package's face, from below"
            continue
        there = parts[1]
        assert ORDER.index(there) <= ORDER.index(here), f"{here} imports {there}, which comes after it"
        if there != here:
            assert len(parts) == 2, f"{module}: import from the face, medseg.{there}"
            assert not (PACKAGE / there).is_dir() or name in importlib.import_module(module).__all__, name


def test_faces_show_names_and_define_none():
    for face in PACKAGE.glob("*/__init__.py"):
        tree = ast.parse(face.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), face
        assert not [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))], face


def test_files_are_small():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): n for path, n in lines.items() if n > 300} == {}
    assert statistics.median(lines.values()) <= 120


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        yield from functions(node, f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_are_small(path):
    for name, node in functions(ast.parse(path.read_text(encoding="utf-8"))):
        first = node.body[0]
        doc = ast.get_docstring(node) is not None and first.end_lineno - first.lineno + 1
        assert node.end_lineno - node.lineno + 1 - int(doc) <= 40, f"{name} has too many lines"
        given = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        assert name in MANY_PARAMETERS or len(set(given) - {"self", "cls"}) <= 8, f"{name} has too many parameters"
        named = {*given, *(arg.arg for arg in (node.args.vararg, node.args.kwarg) if arg)}
        assert "how" not in named, f"{name}: name what is passed on"


def test_what_text_calls_ours_is_there():
    """A name such as `medseg.infer.label_image` in a docstring, a document or a bundle leads somewhere."""
    texts = [
        *FILES,
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *BUNDLES.rglob("*.json"),
        *BUNDLES.rglob("*.md"),
    ]
    called = set()
    for path in texts:
        if path.name not in ("CHANGELOG.md", "extend.md"):  # what was there, and what a reader may add
            text = path.read_text(encoding="utf-8")
            called |= set(re.findall(r"(?<![\w./])medseg\.[a-z_]\w*(?:\.\w+)*(?!\.?[\w/])", text))
    assert len(called) > 50
    lost = []
    for name in sorted(called - {"medseg.example"}):
        found = importlib.import_module("medseg")
        try:
            for part in name.split(".")[1:]:
                found = getattr(found, part)
        except AttributeError:
            try:
                importlib.import_module(name)
            except ImportError:
                lost.append(name)
    assert lost == []


def test_the_bundles_configs_are_the_same_files():
    """What differs between bundles stands in their metadata, so that a mended config is mended in all of them."""
    for name in ("train.json", "inference.json", "evaluate.json", "logging.conf"):
        contents = {(bundle / "configs" / name).read_bytes() for bundle in BUNDLES.iterdir()}
        assert len(contents) == 1, name
    for bundle in BUNDLES.iterdir():
        assert json.loads((bundle / "configs/metadata.json").read_text())["name"] == bundle.name
