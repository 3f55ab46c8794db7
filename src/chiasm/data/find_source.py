"""From the word in data.source to the images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from chiasm.config import MAX_SIDE_PX, DataConfig
from chiasm.data.cache import open_cached
from chiasm.data.files import find_files
from chiasm.data.image_set import DataError, ImageSet
from chiasm.data.sources import tables, tars
from chiasm.data.sources.avatars import Avatars
from chiasm.data.sources.celeba import CelebA
from chiasm.data.sources.folder import Folder
from chiasm.data.sources.fonts import Fonts
from chiasm.data.sources.hugging_face import HuggingFace
from chiasm.data.sources.npz import Npz
from chiasm.data.sources.source import Source
from chiasm.data.sources.tables import Tables
from chiasm.data.sources.tars import Tars


def open_data(
    config: DataConfig, side_px: int, *, cache_dir: Path | None = None, progress_bar: bool = True
) -> ImageSet:
    """Opens the images that a configuration names.

    The first time, every image is decoded into a cache; afterwards the cache is opened, as long as
    neither the files nor the configuration have changed.

    Args:
        config: names the source and how its images become square.
        side_px: height and width of the images.
        cache_dir: folder of the caches; $CHIASM_CACHE or ~/.cache/chiasm when not given.
        progress_bar: whether to show a bar while decoding.

    Returns:
        The images and what is known of them.

    Raises:
        DataError: if the source cannot be used; the message names the file or key and the remedy.
    """
    if not 1 <= side_px <= MAX_SIDE_PX:
        raise DataError(f"model.side_px: got {side_px}; give a number from 1 to {MAX_SIDE_PX}.")
    source = find_source(config)
    images = open_cached(source, side_px, config.fit, cache_dir, progress_bar, pixels=config.cache == "disk")
    unknown = [name for name in config.a_contents if name not in images.content_names]
    if unknown and images.content_names:
        raise DataError(
            f"data.a_contents: got {unknown[0]!r}; {config.source} knows {', '.join(images.content_names)}: "
            "name those that belong to code A, or none, --data.a_contents []."
        )
    # Found anew every time, since the cache does not depend on what is ignored.
    ignored = source.ignored if isinstance(source, Folder) else images.ignored
    return dataclasses.replace(images, ignored=ignored, a_contents=config.a_contents if images.content_names else ())


def find_source(config: DataConfig) -> Source:
    """The source behind the word in data.source.

    Args:
        config: names the source.

    Returns:
        A source; nothing but its kind has been looked at.

    Raises:
        DataError: if there is no such source.
    """
    if config.source == "avatars":
        return Avatars(config.avatars)
    if config.source.startswith("hf:"):
        return HuggingFace(config.source.removeprefix("hf:"))
    if config.source.startswith("fonts:"):
        fonts = Path(config.source.removeprefix("fonts:"))
        if not fonts.is_dir():
            raise DataError(f"data.source: {str(fonts)!r} is no folder; give 'fonts:' and a folder of fonts.")
        return Fonts(fonts, config.characters)
    if config.source.startswith("shards:"):
        return _find_shards(Path(config.source.removeprefix("shards:")))
    path = Path(config.source)
    if not path.exists():
        raise DataError(
            f"data.source: {config.source!r} does not exist; give 'avatars', 'hf:NAME', 'fonts:FOLDER', "
            f"'shards:FOLDER', or the path of a folder of images or of an .npz file."
        )
    if path.is_file():
        if path.suffix.lower() == ".npz":
            return Npz(path)
        raise DataError(
            f"data.source: {config.source!r} is a file; give a folder of images or an .npz file, or 'shards:' and a "
            "folder of .tar or .parquet files."
        )
    if not path.is_dir():
        raise DataError(
            f"data.source: {config.source!r} is a pipe, a socket or a device; give a folder of images or an .npz file."
        )
    return CelebA(path) if (path / "img_align_celeba").is_dir() else Folder(path)


def _find_shards(root: Path) -> Tars | Tables:
    """The kind of source that a folder's files make."""
    if not root.is_dir():
        raise DataError(
            f"data.source: {str(root)!r} is no folder; give 'shards:' and a folder of .tar or .parquet files."
        )
    endings = {Path(name).suffix.lower() for name, _, _ in find_files(root, tars.ENDINGS | tables.ENDINGS).images}
    if len(endings) > 1:
        raise DataError(f"{root}: holds .tar and .parquet files; give 'shards:' and a folder of one kind.")
    return Tables(root) if endings == tables.ENDINGS else Tars(root)
