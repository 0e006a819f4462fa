"""A data set to a bundle: its faults, its fingerprint, the numbers that written rules make of it, the files."""

from medseg.planning.run import plan_bundle

__all__ = ["plan_bundle"]
