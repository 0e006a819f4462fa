"""The report that people look at: one HTML page (`page`), pictures of the worst cases, volumes to scroll."""

from medseg.report.page import write_report
from medseg.report.pictures import may_be_shown
from medseg.report.scenes import Views

__all__ = ["Views", "may_be_shown", "write_report"]
