"""The errors a user can cause, and how they leave the program: one line, an exit status, no traceback."""

from __future__ import annotations

import sys
from types import TracebackType

SOME_FAILED = 1  # exit status: some cases failed, the rest are done
WRONG_CALL = 2  # exit status: the call or its input was wrong and nothing was started


class InputError(ValueError):
    """The call or its input is wrong.

    Parameters
    ----------
    code
        Stable name such as ``GEOMETRY_MISSING_SLICE``; ``docs/reference/codes.md`` lists them all.
    message
        What is wrong, what was found, what is allowed, what to do next.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]}"

    def __reduce__(self) -> tuple:  # survives the way back from a worker process
        return InputError, (self.code, self.args[0])


class CasesFailed(RuntimeError):
    """Some cases of a batch failed; the rest are done and the manifest says which."""


def input_error_behind(error: BaseException | None) -> InputError | None:
    """Return the `InputError` that `error` is or was raised from; MONAI wraps what a config raises."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def exit_cleanly() -> None:
    """Make an uncaught `InputError` or `CasesFailed` end this program with one line and its status.

    Callers in Python still catch the exception itself; only what nobody catches is shortened.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        found = error if isinstance(error, CasesFailed) else input_error_behind(error)
        if found is None:
            previous(kind, error, trace)
            return
        print(f"error: {found}", file=sys.stderr)
        sys.exit(SOME_FAILED if isinstance(found, CasesFailed) else WRONG_CALL)

    sys.excepthook = hook
