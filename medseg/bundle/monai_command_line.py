"""What ``python -m monai.bundle run`` was given, as Fire reads it: MONAI tells a config nothing of its call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def monai_command_line(argv: Sequence[str]) -> dict[str, Any]:
    """Return the arguments by name, those of an ``args_file`` below them; empty for any other program.

    Parameters
    ----------
    argv
        As `sys.argv`. A name may begin with one hyphen or two and hold hyphens for underscores.
    """
    if Path(argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or len(argv) < 2:
        return {}
    from inspect import signature

    from monai.bundle import ConfigParser, scripts

    given: dict[str, Any] = {}
    positional: list[Any] = []
    words = list(argv[2:])
    while words:
        word = words.pop(0)
        if not _is_name(word):
            positional.append(_value(word))
            continue
        name, equals, text = word.lstrip("-").partition("=")
        if not equals:
            text = "True" if not words or _is_name(words[0]) else words.pop(0)
        given[name.replace("-", "_")] = _value(text)
    names = list(signature(getattr(scripts, argv[1], scripts.run)).parameters)
    given = {**dict(zip(names, positional, strict=False)), **given}
    if "args_file" in given:
        given = {**ConfigParser.load_config_file(str(given["args_file"])), **given}
    return given


def _is_name(word: str) -> bool:
    """Say whether a word names an argument; a negative number does not."""
    return (word.startswith("-") and word.lstrip("-")[:1].isalpha()) or word.startswith("--")


def _value(text: str) -> Any:
    from fire.parser import DefaultParseValue

    return DefaultParseValue(text)
