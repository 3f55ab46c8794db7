"""Images in: one interface over all sources, a cache, splits and pairs."""

from chiasm.data.batches import Batches, LoadedBatch
from chiasm.data.decode import decode_image, read_image
from chiasm.data.describe import announce, contact_sheet, describe, some_rows
from chiasm.data.find_source import open_data
from chiasm.data.groups import content_groups
from chiasm.data.image_set import UNLABELLED, DataError, ImageSet
from chiasm.data.labels import hide_labels, keep_classes
from chiasm.data.mirror import tells_no_side
from chiasm.data.of_each_class import come_first, of_each_class
from chiasm.data.sources.fonts import draw_character
from chiasm.data.splits import Split, load_names, load_split, make_split, save_split, split_of_new
from chiasm.data.written import save_image

__all__ = [
    "UNLABELLED",
    "Batches",
    "DataError",
    "ImageSet",
    "LoadedBatch",
    "Split",
    "announce",
    "come_first",
    "contact_sheet",
    "content_groups",
    "decode_image",
    "describe",
    "draw_character",
    "load_names",
    "load_split",
    "make_split",
    "of_each_class",
    "open_data",
    "read_image",
    "save_image",
    "save_split",
    "some_rows",
    "split_of_new",
    "tells_no_side",
    "hide_labels",
    "keep_classes",
]
