"""All folds of a data set: trained one after the other, judged on what each held out, joined to one bundle."""

from medseg.cross_validation.run import train_folds

__all__ = ["train_folds"]
