"""A bundle's folder, by its path or, where it ships with medseg, by its name. Light."""

from __future__ import annotations

from pathlib import Path

from medseg.errors import InputError

PACKAGE = Path(__file__).resolve().parents[1]


def bundle_folder(bundle: str | Path) -> Path:
    """Return the folder of a bundle; a path that exists comes before a name.

    Parameters
    ----------
    bundle
        A path, or the name of one of `shipped_bundles`.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`: neither; the message lists the names.
    """
    path = Path(bundle).expanduser()
    if path.exists():
        return path
    shipped = shipped_bundles()
    if str(bundle) not in shipped:
        raise InputError(
            "BUNDLE_MISSING",
            f"{bundle} does not exist, and no bundle of that name ships with medseg; give a bundle's folder, or "
            f"one of {', '.join(shipped)}",
        )
    return shipped[str(bundle)]


def shipped_bundles() -> dict[str, Path]:
    """Return the folders of the bundles that ship with medseg, by name.

    They lie in the package where that was installed from a wheel, and beside it in a clone.
    """
    inside, beside = PACKAGE / "bundles", PACKAGE.parent / "bundles"
    cloned = (PACKAGE.parent / "pyproject.toml").is_file()
    folder = inside if inside.is_dir() or not cloned else beside
    return {path.parents[1].name: path.parents[1] for path in sorted(folder.glob("*/configs/metadata.json"))}
