"""Pictures in: one interface over all sources, a cache, splits and pairs."""

from chiasm.data.decode import decode_picture, read_picture
from chiasm.data.describe import contact_sheet, describe
from chiasm.data.image_set import UNLABELLED, DataError, ImageSet
from chiasm.data.open import open_data
from chiasm.data.pairs import Batches, LoadedBatch
from chiasm.data.splits import Split, load_split, make_split, save_split
from chiasm.data.supervision import supervise

__all__ = [
    "UNLABELLED",
    "Batches",
    "DataError",
    "ImageSet",
    "LoadedBatch",
    "Split",
    "contact_sheet",
    "decode_picture",
    "describe",
    "load_split",
    "make_split",
    "open_data",
    "read_picture",
    "save_split",
    "supervise",
]
