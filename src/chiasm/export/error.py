"""The error of this package."""


class ExportError(ValueError):
    """A model that cannot be exported, or that would not be the same; the message tells the remedy."""
