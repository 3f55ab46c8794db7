"""The codes of any number of images in one Parquet file, on one machine or on many."""

from chiasm.encoding.encode import Encoded, encode_source
from chiasm.encoding.work import EncodingError

__all__ = ["Encoded", "EncodingError", "encode_source"]
