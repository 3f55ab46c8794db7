"""The page: mix, train, judge and describe models in a browser. Thin, over the Mixer and the run folder."""

from chiasm.web.server import serve

__all__ = ["serve"]
