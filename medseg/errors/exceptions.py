"""The errors a user can cause, and how they leave the program: one line, an exit status, no traceback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class InputError(ValueError):
    """The call or its input is wrong.

    Parameters
    ----------
    code
        Stable name such as ``GEOMETRY_MISSING_SLICE``; ``docs/reference/codes.md`` lists them all.
    message
        What is wrong, what was found, what is allowed, what to do next.
    """

    exit_status = 2  # nothing was started

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]}"

    def __reduce__(self) -> tuple:  # survives the way back from a worker process
        return InputError, (self.code, self.args[0])


class CasesFailed(RuntimeError):
    """Some cases of a batch failed; the rest are done and the manifest says which."""

    exit_status = 1


class Stopped(KeyboardInterrupt):
    """A run that can be gone on with was stopped by Ctrl-C or SIGTERM, and its state is written.

    Parameters
    ----------
    message
        Where it stopped, and how to go on.
    signal_number
        Of what stopped it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal_number


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and what it was raised from, the first cause last; each once, even where they form a ring."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def cause_of(error: BaseException | None) -> InputError | CasesFailed | None:
    """Return the error of ours that `error` is or was raised from; MONAI wraps what a config raises."""
    return next((cause for cause in causes_of(error) if isinstance(cause, (InputError, CasesFailed))), None)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the error of ours alone where MONAI wrapped it; what holds none of ours is raised as it is."""
    try:
        yield
    except Exception as error:
        found = cause_of(error)
        if found is None or found is error:
            raise
        raise found from None


def stopped(error: KeyboardInterrupt) -> int:
    """Say in one line that the program was stopped, and return its exit status."""
    print(f"stopped: {error}" if str(error) else "stopped", file=sys.stderr)
    return getattr(error, "exit_status", 128 + signal.SIGINT)


def exit_cleanly() -> None:
    """Make an uncaught error of ours end this program with one line and its exit status.

    Callers in Python still catch the exception itself; only what nobody catches is shortened.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            sys.exit(stopped(error))
        found = cause_of(error)
        if found is None:
            previous(kind, error, trace)
            return
        print(f"error: {found}", file=sys.stderr)
        sys.exit(found.exit_status)

    sys.excepthook = hook
