"""Images in .tar files as WebDataset packs them, read where they lie: nothing is unpacked."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from PIL import Image

from chiasm.config import Fit
from chiasm.data.decode import Decoded, Refused, decode_or_refuse
from chiasm.data.files import EXTENSIONS, HEIF_EXTENSIONS, FileState, find_files, fingerprint_files
from chiasm.data.image_set import DataError
from chiasm.data.sources.folder import METADATA, labelled_listing
from chiasm.data.sources.source import Listing, natural_key
from chiasm.files import parse_json

ENDINGS = frozenset([".tar"])
CLASS_KEYS = ("class", "label")
MAX_LABEL_BYTES = 2**20


class _Member(NamedTuple):
    """An image: its path in its shard, the place of its bytes there, and its class, where the shard names one."""

    shard: str
    path: str
    start: int
    size: int
    label: str | None


class Tars:
    """Every .tar file (shard) of a folder and below.

    The members of a sample have one path but for all that follows the first dot of its last part. The class of an
    image stands in its sample's .cls, or under "class" or "label" in its .json; where no shard has any, folders within
    the shards are the classes, as for Folder. metadata.csv beside the shards adds labels as for Folder, under names
    such as 00000.tar/anna/1.jpg. A shard that is cut short gives the images before the cut, and is named.

    Args:
        root: the folder.
    """

    chunk_size = 64

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _files(self) -> list[FileState]:
        files = find_files(self.root, ENDINGS).images
        if not files:
            raise DataError(f"{self.root}: no .tar or .parquet file in this folder or below; give a folder of shards.")
        return sorted(files, key=lambda state: natural_key(state[0]))

    @cached_property
    def _found(self) -> tuple[list[_Member], list[tuple[str, str]]]:
        """The images, and what of the shards cannot be used and why."""
        members: list[_Member] = []
        skipped: list[tuple[str, str]] = []
        for shard, _, _ in self._files:
            members += _read_shard(self.root, shard, skipped)
        if not members:
            told = "".join(f"; {name}: {reason}" for name, reason in skipped[:3])
            raise DataError(f"{self.root}: no image in its {len(self._files)} .tar files{told}; give other shards.")
        return members, skipped

    def fingerprint(self) -> str:
        """Path, size and time of every shard and of metadata.csv."""
        return "tars " + fingerprint_files(self.root, self._files, [self.root / METADATA])

    def listing(self) -> Listing:
        """All images, in the order in which the shards hold them."""
        members, skipped = self._found
        labelled = any(member.label is not None for member in members)
        return labelled_listing(
            [f"{member.shard}/{member.path}" for member in members],
            [member.path for member in members],
            self.root,
            tuple(skipped),
            [member.label or "" for member in members] if labelled else None,
        )

    def decode(self, indices: Sequence[int], side_px: int, fit: Fit) -> list[Decoded | Refused]:
        """Reads the bytes of each image."""
        members = self._found[0]
        return [decode_or_refuse(partial(_open, self.root, members[i]), side_px, fit) for i in indices]


def _open(root: Path, member: _Member) -> Image.Image:
    with (root / member.shard).open("rb") as file:
        file.seek(member.start)
        content = file.read(member.size)
    return Image.open(io.BytesIO(content))


def _read_shard(root: Path, shard: str, skipped: list[tuple[str, str]]) -> Iterator[_Member]:
    """The images of a shard with their labels; adds to what cannot be used.

    Raises:
        DataError: for a label that cannot be read.
    """
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    try:
        with (root / shard).open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                stem, ending = _split(member.name)
                if not member.isreg() or member.issparse() or os.path.basename(stem).startswith("."):
                    continue
                if ending in (".cls", ".json"):
                    label = _label(archive, member, ending, f"{root / shard}: {member.name}")
                    labels |= {} if label is None else {stem: label}
                elif "." + ending.rpartition(".")[2] not in EXTENSIONS | HEIF_EXTENSIONS:
                    continue
                elif member.name in images:
                    skipped.append((f"{shard}/{member.name}", "a second one of this name in the shard"))
                elif member.offset_data + member.size > os.fstat(file.fileno()).st_size:
                    skipped.append((f"{shard}/{member.name}", "the shard ends within it"))
                else:
                    images[member.name] = (member.offset_data, member.size)
            # tarfile takes a header that is cut short or damaged for the end.
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                skipped.append((shard, "is cut short or damaged: what follows its last readable member is not used"))
    except (tarfile.TarError, OSError, EOFError) as error:
        skipped.append((shard, f"cannot be read as a .tar file, or not to its end ({error})"))
    for path, (start, size) in images.items():
        yield _Member(shard, path, start, size, labels.get(_split(path)[0]))


def _split(path: str) -> tuple[str, str]:
    """What a sample's members have in common, and what follows, in lower case with its dot."""
    folder, slash, name = path.rpartition("/")
    stem, dot, ending = name.partition(".")
    return f"{folder}{slash}{stem}", (dot + ending).lower()


def _label(archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str, name: str) -> str | None:
    """The class that a sample's .cls or .json names."""
    file: IO[bytes] | None = archive.extractfile(member)
    content = file.read(MAX_LABEL_BYTES + 1) if file else b""
    if len(content) > MAX_LABEL_BYTES:
        raise DataError(f"{name} has more than {MAX_LABEL_BYTES:,} bytes; a label is short: leave it out.")
    try:
        if ending == ".cls":
            return content.decode().strip()
        said: Any = parse_json(content, name)
    except ValueError as error:
        raise DataError(f"{name} is no label that can be read ({error}); correct it, or leave it out.") from error
    found = [said[key] for key in CLASS_KEYS if key in said] if isinstance(said, dict) else []
    if not found or found[0] is None:
        return None
    if not isinstance(found[0], str | int):
        raise DataError(f"{name}: its class is {found[0]!r}; give text or a whole number.")
    return str(found[0])
