"""What medseg imports is what it asks pip for: a package that only another one brings may go with that one."""

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires

from project import ROOT


def imported() -> dict[str, str]:
    """Return the packages that medseg imports anywhere, each with a file that does."""
    found = {}
    for path in sorted((ROOT / "medseg").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names and name != "medseg"}


def test_every_import_is_a_declared_dependency():
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()

    declared = {plain(line) for line in requires("medseg") if "extra ==" not in line}
    distributions = packages_distributions()
    names = imported()
    assert {"torch", "jinja2", "contourpy"} <= set(names)
    undeclared = {
        name: path for name, path in names.items() if not declared & set(map(plain, distributions.get(name, [])))
    }
    assert not undeclared
