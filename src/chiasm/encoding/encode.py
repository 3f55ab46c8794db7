"""The codes of any number of images in one Parquet file, a part at a time, so that a killed run goes on."""

from __future__ import annotations

import csv
import glob
import importlib.util
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from filelock import FileLock, Timeout
from tqdm import tqdm

from chiasm.config import DataConfig
from chiasm.encoding.on_ray import encode_on_ray
from chiasm.encoding.work import ABOUT, FAILED, PART, EncodingError, encode_part, open_work
from chiasm.files import remove_partials, text_of, write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

LOCK_FILE = "lock"
WRITING = {"compression": "zstd", "use_dictionary": ["class", "b.list.element"], "write_page_checksum": True}
"""Codes B lie on a grid, so that few numbers recur; codes A do not."""


class Encoded(NamedTuple):
    """What was written: rows, how many images could not be used, and the table that says why."""

    num: int
    num_failed: int
    failures: Path


def encode_source(
    model: str | Path,
    source: str,
    output: Path,
    *,
    overwrite: bool = False,
    on: Literal["here", "ray"] = "here",
    progress_bar: bool = True,
) -> Encoded:
    """Write the codes of all images of a source, in its order, a row an image.

    Parts of the file are kept in OUTPUT.parts/ until all are there; the same call, made again, goes on from them.

    Args:
        model: as for Mixer.load.
        source: as data.source.
        output: the file; its columns are name, class (null where there is none), a and b. What could not be used is
            listed, with the reason, in a table beside it, codes.failed.csv for codes.parquet.
        overwrite: whether an earlier file, and parts of other codes, give way.
        on: 'here', or 'ray' for a cluster, see encode_on_ray; the file is written here, and is the same.
        progress_bar: whether to show one.

    Raises:
        EncodingError: if pyarrow or Ray is missing, something is in the way, or no image can be used.
        CheckpointError, HubError, DataError: if the model or the source cannot be used.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise EncodingError(f"{output}: pyarrow is not installed here; pip install 'chiasm[scale]'")
    folder = output.with_name(f"{output.name}.parts")
    _refuse_existing(output, overwrite or folder.exists())
    work = open_work(model, source, PART)
    parts = [folder / f"{number:06d}.parquet" for number in range(work.num_parts)]
    with _locked(folder, output):
        _refuse_existing(output, overwrite or _read_schema(output).get(ABOUT) == work.about)
        missing = _missing(parts, work.about, overwrite)
        total = len(work.listing.names)
        done = total - sum(len(work.places(number)) for number in missing)
        with tqdm(total=total, initial=done, desc="encoding", unit=" images", disable=not progress_bar) as bar:
            if on == "ray" and missing:
                # Workers have other working folders.
                place = str(Path(model).absolute()) if Path(model).exists() else str(model)
                encoded = encode_on_ray(place, DataConfig(source=source).source, work, missing, bar.update)
            else:
                encoded = ((number, encode_part(work, number, bar.update)) for number in missing)
            for number, table in encoded:
                write_atomically(parts[number], partial(_write, [table], table.schema))
        written = _join(parts, work.listing.skipped, work.about, output)
        for part in sorted(folder.glob(f"{'[0-9]' * 6}.parquet"), reverse=True):
            part.unlink()
    with suppress(OSError):  # another process has come, or something else is in it
        (folder / LOCK_FILE).unlink()
        folder.rmdir()
    if written.num == 0:
        raise EncodingError(f"{source}: no image can be used; {written.failures} says why.")
    return written


def _refuse_existing(output: Path, may_exist: bool) -> None:
    if output.exists() and not may_exist:
        raise EncodingError(f"{output} exists; give another -o, or write it again: --overwrite")


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


def _missing(parts: Sequence[Path], about: bytes, overwrite: bool) -> list[int]:
    """The numbers of the parts that are not there.

    Raises:
        EncodingError: for a part of other codes, unless these may give way.
    """
    missing = []
    for number, part in enumerate(parts):
        found = _read_schema(part).get(ABOUT)
        if found is not None and found != about and not overwrite:
            same_images = json.loads(found)["images"] == json.loads(about)["images"]
            raise EncodingError(
                f"{part.parent} holds codes of {'another model' if same_images else 'other images'}; give another -o, "
                "or begin again: --overwrite"
            )
        missing += [] if found == about else [number]
    return missing


def _read_schema(path: Path) -> Mapping[bytes, bytes]:
    """What a file's schema says; nothing where there is no such file, or a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return {}


def _join(parts: Sequence[Path], skipped: Sequence[tuple[str, str]], about: bytes, output: Path) -> Encoded:
    """Write the table of what could not be used, then the file of all parts if these hold any row."""
    import pyarrow.parquet as pq

    failures = [*skipped, *(failure for part in parts for failure in json.loads(_read_schema(part)[FAILED]))]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "reason"])
    table.writerows([text_of(name), text_of(reason)] for name, reason in failures)
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
