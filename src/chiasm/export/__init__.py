"""A trained model for others: ONNX files with their parity, and a page that mixes images without a server."""

from chiasm.export.error import ExportError
from chiasm.export.onnx import export_onnx
from chiasm.export.web import export_web

__all__ = ["ExportError", "export_onnx", "export_web"]
