"""Run the command line: an input error is one line and an exit status."""

from __future__ import annotations

import logging
import os
import signal
import sys

from medseg.cli.commands import app
from medseg.errors import InputError

STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def main() -> None:
    """Run the command line; an input error is one line and exit status 2."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s")
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except SystemExit as stop:
        if stop.code in STOPPED:  # a thread that still reads would be cut off inside C++, which aborts
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(stop.code))
        raise
