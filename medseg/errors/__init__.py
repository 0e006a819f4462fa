"""What goes wrong: the errors a user can cause (`exceptions`), every code once (`problems`), words (`listing`)."""

from medseg.errors.exceptions import (
    CasesFailed,
    InputError,
    Stopped,
    cause_of,
    causes_of,
    exit_cleanly,
    stopped,
    unwrapped,
)
from medseg.errors.problems import remedy
from medseg.errors.wording import PROBLEMS_SHOWN, some

__all__ = [
    "PROBLEMS_SHOWN",
    "CasesFailed",
    "InputError",
    "Stopped",
    "cause_of",
    "causes_of",
    "exit_cleanly",
    "remedy",
    "some",
    "stopped",
    "unwrapped",
]
