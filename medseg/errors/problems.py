"""Every named problem: what happens, what it means, what to do; ``docs/reference/codes.md`` is this table.

Refused is an `InputError`. Skipped is left out, with its reason in `medseg.inspect`. Tolerated stands in
`Volume.codes` and the manifest.
"""

from __future__ import annotations

from medseg.errors.problem import Problem
from medseg.errors.reading_problems import READING
from medseg.errors.running_problems import RUNNING

CODES: dict[str, Problem] = dict(sorted((READING | RUNNING).items()))


def remedy(code: str) -> str:
    """Return what to do about a problem, in plain words."""
    return CODES[code].remedy.replace("`", "")


def table() -> str:
    """Return the table of all codes in Markdown."""
    rows = [f"| `{code}` | {p.outcome} | {p.meaning} | {p.remedy} |" for code, p in CODES.items()]
    return "\n".join(["| code | what happens | meaning | remedy |", "|---|---|---|---|", *rows])
