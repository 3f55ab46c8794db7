"""Runs and sweeps as one page that needs no network."""

from chiasm.report.page import make_report

__all__ = ["make_report"]
