"""``python -m medseg.cli``."""

from medseg.cli.run import main

main()
