"""The codes of any number of images in one Parquet file, a part at a time, so that a killed run goes on."""

from __future__ import annotations

import csv
import glob
import hashlib
import importlib.util
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm import tqdm

from chiasm import inference
from chiasm.config import DataConfig
from chiasm.data.cache import cache_key, decode_all
from chiasm.data.decode import Decoded, Refused
from chiasm.data.find_source import find_source
from chiasm.data.image_set import UNLABELLED
from chiasm.data.sources.source import Listing
from chiasm.files import remove_partials, write_atomically
from chiasm.mixing import Mixer
from chiasm.networks import CrossModel

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
"""Raise it whenever the file changes its meaning, so that old parts are not gone on with."""
PART = 4096
"""Images in a part, which is what a kill loses; whole batches, as those of Mixer.encode."""
ABOUT, FAILED = b"chiasm", b"failed"
"""Keys in a file's schema: what made it; and, in a part, the images that could not be used, with the reasons."""
LOCK_FILE = "lock"
WRITING = {"compression": "zstd", "use_dictionary": ["class", "b.list.element"], "write_page_checksum": True}
"""Codes B lie on a grid, so that few numbers recur; codes A do not."""


class EncodingError(ValueError):
    """Codes that cannot be written; the message names the file and the remedy."""


class Encoded(NamedTuple):
    """What was written: rows, how many images could not be used, and the table that says why."""

    num: int
    num_failed: int
    failures: Path


def encode_source(
    model: str | Path, source: str, output: Path, *, overwrite: bool = False, progress_bar: bool = True
) -> Encoded:
    """Write the codes of all images of a source, in its order, a row an image.

    Parts of the file are kept in OUTPUT.parts/ until all are there; the same call, made again, goes on from them.

    Args:
        model: as for Mixer.load.
        source: as data.source.
        output: the file; its columns are name, class (null where there is none), a and b. What could not be used is
            listed, with the reason, in a table beside it, codes.failed.csv for codes.parquet.
        overwrite: whether an earlier file, and parts of other codes, give way.
        progress_bar: whether to show one.

    Raises:
        EncodingError: if pyarrow is missing, something is in the way, or no image can be used.
        CheckpointError, HubError, DataError: if the model or the source cannot be used.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise EncodingError(f"{output}: pyarrow is not installed here; pip install 'chiasm[scale]'")
    folder = output.with_name(f"{output.name}.parts")
    _refuse_existing(output, overwrite or folder.exists())
    networks = Mixer.load(model).model
    side_px, fit = networks.config.side_px, networks.fit
    images = find_source(DataConfig(source=source))
    about = _about(Path(model), networks, cache_key(images, side_px, fit))
    listing = images.listing()
    n = len(listing.names)
    parts = [folder / f"{start // PART:06d}.parquet" for start in range(0, n, PART)]
    with _locked(folder, output):
        _refuse_existing(output, overwrite or _read_schema(output).get(ABOUT) == about)
        begin = PART * _num_written(parts, about, overwrite)
        with tqdm(total=n, initial=min(begin, n), desc="encoding", unit=" images", disable=not progress_bar) as bar:
            decoded = _counted(decode_all(images, range(min(begin, n), n), side_px, fit), bar)
            for start in range(begin, n, PART):
                table = _encode_part(networks, listing, range(start, min(start + PART, n)), decoded)
                schema = table.schema.with_metadata({ABOUT: about, **table.schema.metadata})
                write_atomically(parts[start // PART], partial(_write, [table], schema))
        encoded = _join(parts, listing.skipped, about, output)
        for part in sorted(folder.glob(f"{'[0-9]' * 6}.parquet"), reverse=True):
            part.unlink()
    with suppress(OSError):  # another process has come, or something else is in it
        (folder / LOCK_FILE).unlink()
        folder.rmdir()
    if encoded.num == 0:
        raise EncodingError(f"{source}: no image can be used; {encoded.failures} says why.")
    return encoded


def _refuse_existing(output: Path, may_exist: bool) -> None:
    if output.exists() and not may_exist:
        raise EncodingError(f"{output} exists; give another -o, or write it again: --overwrite")


def _about(model: Path, networks: CrossModel, images: str) -> bytes:
    """What makes a file: the model by name and weights, its codes, its images."""
    digest = hashlib.sha256()
    for name, tensor in networks.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    path = model.absolute()
    about = {
        "format": FORMAT,
        "model": path.parent.name if path.name == "model" else path.name,
        "weights": digest.hexdigest(),
        "code_a": networks.config.width_a,
        "code_b": networks.config.code_b,
        "noise_b": networks.noise_b,
        "side_px": networks.config.side_px,
        "fit": networks.fit,
        "images": images,
    }
    return json.dumps(about).encode()


@contextmanager
def _locked(folder: Path, output: Path) -> Iterator[None]:
    """Keep other processes away from a folder of parts, which is made, and clear up what killed ones have left."""
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EncodingError(f"{output} is being written by another process; wait for it, or stop it.") from None
    try:
        remove_partials(folder, "*.parquet")
        for path in (output, _failures(output)):
            remove_partials(path.parent, glob.escape(path.name))
        yield
    finally:
        lock.release()


def _num_written(parts: Sequence[Path], about: bytes, overwrite: bool) -> int:
    """How many parts are there, from the first one on.

    Raises:
        EncodingError: for a part of other codes, unless these may give way.
    """
    for i, part in enumerate(parts):
        found = _read_schema(part).get(ABOUT)
        if found is not None and found != about and not overwrite:
            same_images = json.loads(found)["images"] == json.loads(about)["images"]
            raise EncodingError(
                f"{part.parent} holds codes of {'another model' if same_images else 'other images'}; give another -o, "
                "or begin again: --overwrite"
            )
        if found != about:
            return i
    return len(parts)


def _read_schema(path: Path) -> Mapping[bytes, bytes]:
    """What a file's schema says; nothing where there is no such file, or a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return {}


def _counted(decoded: Iterator[Decoded | Refused], bar: tqdm) -> Iterator[Decoded | Refused]:
    """The same, with a bar that says how many there were."""
    for result in decoded:
        bar.update()
        yield result


def _encode_part(
    networks: CrossModel, listing: Listing, places: range, decoded: Iterator[Decoded | Refused]
) -> pa.Table:
    """The rows of the images at some places of the listing, which are decoded next."""
    import pyarrow as pa

    kept: list[int] = []
    failures: list[tuple[str, str]] = []
    codes = [[np.zeros((0, width), np.float32)] for width in (networks.config.width_a, networks.config.code_b)]
    for batch in _batches(listing, places, decoded, kept, failures):
        for so_far, of_batch in zip(codes, inference.encode(networks, batch), strict=True):
            so_far.append(of_batch.numpy())
    a, b = map(np.concatenate, codes)
    classes = [_text(listing.class_names[c]) if c != UNLABELLED else None for c in listing.classes[kept].tolist()]
    columns = {
        "name": pa.array([_text(listing.names[i]) for i in kept], pa.string()),
        "class": pa.array(classes, pa.string()),
        "a": pa.FixedSizeListArray.from_arrays(pa.array(a.reshape(-1)), a.shape[1]),
        "b": pa.FixedSizeListArray.from_arrays(pa.array(b.reshape(-1)), b.shape[1]),
    }
    return pa.table(columns, metadata={FAILED: json.dumps(failures)})


def _batches(
    listing: Listing,
    places: range,
    decoded: Iterator[Decoded | Refused],
    kept: list[int],
    failures: list[tuple[str, str]],
) -> Iterator[NDArray[np.uint8]]:
    """The images at some places in batches; adds to the places kept and to the failures."""
    batch: list[NDArray[np.uint8]] = []
    for i, result in zip(places, decoded, strict=False):  # which has those of the next parts, too
        if isinstance(result, Refused):
            failures.append((listing.names[i], result.reason))
            continue
        kept.append(i)
        batch.append(result.pixels)
        if len(batch) == inference.BATCH:
            yield np.stack(batch)
            batch.clear()
    if batch:
        yield np.stack(batch)


def _join(parts: Sequence[Path], skipped: Sequence[tuple[str, str]], about: bytes, output: Path) -> Encoded:
    """Write the table of what could not be used, then the file of all parts if these hold any row."""
    import pyarrow.parquet as pq

    failures = [*skipped, *(failure for part in parts for failure in json.loads(_read_schema(part)[FAILED]))]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "reason"])
    table.writerows([_text(name), _text(reason)] for name, reason in failures)
    write_atomically(_failures(output), text.getvalue())
    num = sum(pq.read_metadata(part).num_rows for part in parts)
    if num:
        schema = pq.read_schema(parts[0]).with_metadata({ABOUT: about})
        write_atomically(output, partial(_write, map(_read, parts), schema))
    return Encoded(num, len(failures), _failures(output))


def _read(part: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            return file.read()
    except (OSError, pa.ArrowException) as error:
        raise EncodingError(f"{part} is damaged; remove it and give the same command again.") from error


def _write(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Tables as one file, a row group each."""
    import pyarrow.parquet as pq

    with path.open("wb") as file, pq.ParquetWriter(file, schema, **WRITING) as writer:
        for table in tables:
            if table.num_rows:
                writer.write_table(table)


def _failures(output: Path) -> Path:
    return output.with_suffix(".failed.csv")


def _text(name: str) -> str:
    """A name that may be no text, as files' names need not be, in letters that every file holds."""
    return name.encode("utf-8", "backslashreplace").decode()
