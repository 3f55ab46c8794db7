"""Every image is decoded once, into a memory-mapped array that opens at once ever after."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm import tqdm

from chiasm.config import Fit
from chiasm.data import decode
from chiasm.data.decode import Decoded, Refused
from chiasm.data.image_set import DIGEST, UNLABELLED, DataError, ImageSet, Pixels, digest_of
from chiasm.data.on_demand import OnDemand
from chiasm.data.packed_strings import PackedStrings
from chiasm.data.sources.source import Listing, Source
from chiasm.files import folder_written_whole, read_json, remove_partials

FORMAT = 4
"""Raise it whenever the files of a cache change their meaning."""

UNUSABLE = (OSError, ValueError, KeyError, IndexError, TypeError, EOFError)
"""What reading a cache raises where there is none, or a damaged one."""
PARTS = ("train", "val", "test")
MAX_WORKERS = 8
MAX_ALIKE = 2
"""Images in the mean that may have the same labels where these are to say all: of more no one is the truth of a mix."""
FEW = 64


def default_cache_dir() -> Path:
    """Where caches are kept: $CHIASM_CACHE, else ~/.cache/chiasm."""
    chosen = os.environ.get("CHIASM_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "chiasm"


def open_cached(
    source: Source,
    side_px: int,
    fit: Fit,
    cache_dir: Path | None = None,
    progress_bar: bool = True,
    *,
    pixels: bool = True,
) -> ImageSet:
    """Opens the images of a source, decoding them if that was not done before.

    Args:
        source: where the images come from.
        side_px: height and width of the decoded images.
        fit: 'crop', 'close' or 'pad'.
        cache_dir: folder of the caches; default_cache_dir() when not given.
        progress_bar: whether to show a bar while decoding.
        pixels: whether to keep the pixels; else only what is known of the usable images is kept, and each is decoded
            again whenever it is needed.

    Returns:
        The set, its pixels memory-mapped or decoded on demand.

    Raises:
        DataError: if fewer than two images are usable, or the cache cannot be written.
    """
    name = cache_key(source, side_px, fit) + ("" if pixels else "-names")
    place = (cache_dir or default_cache_dir()) / name
    found = _load(place, source, side_px, fit)
    if found is not None:
        return found
    listing = source.listing()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _turn(place):
            if _load(place, source, side_px, fit) is None:  # another process may have made it meanwhile
                remove_partials(place.parent, place.name)
                with folder_written_whole(place) as building:
                    _build(source, listing, side_px, fit, building, progress_bar, pixels)
    except OSError as error:
        raise DataError(
            f"{place.parent}: the cache of decoded images cannot be written ({error}); "
            f"set CHIASM_CACHE to a folder with space that is yours to write."
        ) from error
    built = _load(place, source, side_px, fit)
    if built is None:
        raise DataError(f"{place}: the cache was damaged while it was written; is the disk full or failing?")
    return built


def cache_key(source: Source, side_px: int, fit: Fit) -> str:
    """The name of a cache: a hash of the source's fingerprint and of the transform."""
    transform = f"{FORMAT} {decode.VERSION} {side_px} {fit}\n"
    return hashlib.sha256((transform + source.fingerprint()).encode(errors="surrogateescape")).hexdigest()


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """One process at a time makes a cache; the others wait and use it."""
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("waiting for another process, which prepares the same images", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(
    source: Source, listing: Listing, side_px: int, fit: Fit, folder: Path, progress_bar: bool, pixels: bool
) -> None:
    n = len(listing.names)
    if pixels:
        _require_space(folder, n * 3 * side_px * side_px)
    kept = np.zeros(n, dtype=bool)
    sizes = np.zeros((n, 2), dtype=np.int64)
    digests = np.zeros(n, dtype=DIGEST)
    skipped = list(listing.skipped)
    with (folder / "images.npy" if pixels else Path(os.devnull)).open("wb") as file:
        _write_header(file, 0, side_px)
        decoded = decode_all(source, range(n), side_px, fit)
        bar = tqdm(decoded, total=n, desc="preparing images", unit=" images", disable=not progress_bar)
        for i, result in enumerate(bar):
            if isinstance(result, Refused):
                skipped.append((listing.names[i], result.reason))
            else:
                file.write(result.pixels.tobytes())
                kept[i], sizes[i], digests[i] = True, result.size, digest_of(result.pixels)
        file.seek(0)
        _write_header(file, int(kept.sum()), side_px)
    _require_two(int(kept.sum()), skipped)
    rows = np.flatnonzero(kept)
    if not pixels:
        np.save(folder / "places.npy", rows)
    np.save(folder / "sizes.npy", sizes[rows])
    np.save(folder / "digests.npy", digests[rows])
    _write_index(folder, listing, rows, skipped)


def decode_all(source: Source, places: range, side_px: int, fit: Fit) -> Iterator[Decoded | Refused]:
    """Decodes images in order, in threads: Pillow lets go of the interpreter's lock.

    Args:
        source: where the images come from.
        places: of its listing, one after another.
        side_px: height and width of the decoded images.
        fit: 'crop', 'close' or 'pad'.

    Yields:
        What became of each.
    """
    if len(places) <= FEW:
        yield from source.decode(places, side_px, fit)
        return
    chunks = [places[start : start + source.chunk_size] for start in range(0, len(places), source.chunk_size)]
    with ThreadPoolExecutor(_num_workers()) as pool:
        # Few chunks ahead of the writer, so that memory does not grow with the set.
        ahead = 2 * _num_workers()
        futures = deque(pool.submit(source.decode, chunk, side_px, fit) for chunk in chunks[:ahead])
        try:
            for chunk in [*chunks[ahead:], *[None] * ahead]:
                if futures:
                    yield from futures.popleft().result()
                if chunk is not None:
                    futures.append(pool.submit(source.decode, chunk, side_px, fit))
        finally:
            pool.shutdown(cancel_futures=True)


def _num_workers() -> int:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, MAX_WORKERS)


def _write_header(file: IO[bytes], n: int, side_px: int) -> None:
    # NumPy pads the header so that it keeps its length when the first axis grows.
    shape = (n, 3, side_px, side_px)
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "|u1"})


def _require_space(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DataError(
            f"{folder.parent}: the decoded images need {num_bytes / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free; set CHIASM_CACHE to a larger disk, or lower model.side_px."
        )


def _require_two(num_usable: int, skipped: Sequence[tuple[str, str]]) -> None:
    if num_usable < 2:
        first = "".join(f"; {name}: {reason}" for name, reason in skipped[:3])
        raise DataError(
            f"data.source: {num_usable} usable images and {len(skipped)} unusable files; "
            f"mixing needs at least 2 images{first}."
        )


def _write_index(
    folder: Path,
    listing: Listing,
    rows: NDArray[np.int64],
    skipped: Sequence[tuple[str, str]],
) -> None:
    np.save(folder / "classes.npy", listing.classes[rows])
    np.save(folder / "contents.npy", listing.contents[rows])
    names = PackedStrings.of(listing.names[row] for row in rows.tolist())
    np.save(folder / "names.npy", names.text)
    np.save(folder / "name_ends.npy", names.ends)
    if listing.partition is not None:
        codes = np.array([PARTS.index(part) for part in listing.partition], dtype=np.uint8)
        np.save(folder / "partition.npy", codes[rows])
    index = {
        "num_bytes": sum(path.stat().st_size for path in folder.glob("images.npy")),
        "has_partition": listing.partition is not None,
        "class_names": listing.class_names,
        "content_names": listing.content_names,
        "content_values": listing.content_values,
        "contents_complete": listing.contents_complete and _tell_apart(listing.classes[rows], listing.contents[rows]),
        "skipped": skipped,
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _tell_apart(classes: NDArray[np.int64], contents: NDArray[np.int64]) -> bool:
    """Whether labels say nearly all that is in an image: hardly any two images have the same."""
    labels = np.column_stack([classes, contents])
    labels = labels[(labels != UNLABELLED).all(axis=1)]
    return len(labels) <= MAX_ALIKE * len(np.unique(labels, axis=0))


def _load(place: Path, source: Source, side_px: int, fit: Fit) -> ImageSet | None:
    """The cache at a place; None where there is none or a damaged one."""
    try:
        index, arrays, names = _read(place)
        partition = _load_partition(place) if index["has_partition"] else None
        if "places" in arrays:
            images: Pixels = OnDemand(source, arrays["places"], names, side_px, fit, _num_workers())
        else:
            images = arrays["images"]
        return _image_set(images, arrays, names, index, partition)
    except UNUSABLE:
        return None


def _read(place: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], PackedStrings]:
    """What the files of a cache hold: its index, its columns, its names.

    Raises:
        UNUSABLE: if there is no whole one.
    """
    index = read_json(place / "index.json")
    of_pixels = "places" if (place / "places.npy").exists() else "images"
    if of_pixels == "images" and (place / "images.npy").stat().st_size != index["num_bytes"]:
        raise ValueError(f"{place}: the images are not whole")
    arrays = {name: _map(place / f"{name}.npy") for name in (of_pixels, "classes", "contents", "sizes", "digests")}
    names = PackedStrings(_map(place / "names.npy"), _map(place / "name_ends.npy"))
    lengths = {len(names), *map(len, arrays.values())}
    if len(lengths) != 1 or names.ends[-1] != len(names.text):
        raise ValueError(f"{place}: the columns are of different lengths")
    return index, arrays, names


def _map(path: Path) -> NDArray[Any]:
    """A column that stays on the disk; a plain view, since np.memmap's own indexing is slow."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _load_partition(place: Path) -> tuple[str, ...]:
    codes = np.load(place / "partition.npy", allow_pickle=False)
    return tuple(np.array(PARTS)[codes].tolist())


def _image_set(
    images: Pixels,
    arrays: dict[str, NDArray[Any]],
    names: PackedStrings,
    index: dict[str, Any],
    partition: tuple[str, ...] | None,
) -> ImageSet:
    return ImageSet(
        images=images,
        names=names,
        class_names=tuple(index["class_names"]),
        content_names=tuple(index["content_names"]),
        content_values=tuple(tuple(values) for values in index["content_values"]),
        contents_complete=index["contents_complete"],
        partition=partition,
        skipped=tuple((name, reason) for name, reason in index["skipped"]),
        classes=arrays["classes"],
        contents=arrays["contents"],
        sizes=arrays["sizes"],
        known_digests=arrays["digests"],
    )
