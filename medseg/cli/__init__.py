"""The command line: the commands, the values they are given, the tables they print."""

from medseg.cli.commands import app
from medseg.cli.run import main

__all__ = ["app", "main"]
