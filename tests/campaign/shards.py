"""Shards, .tar and .parquet files, that are not what they should be."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.campaign.case import Case


def cases(num: int, seed: int) -> Iterator[Case]:
    """All cases.

    Args:
        num: random ones of a kind.
        seed: of the random ones.
    """
    rng = np.random.default_rng([seed, 6])
    for ending, whole in (("tar", tar_of(plain())), ("parquet", table_of(images()))):
        yield of_shard(f"whole {ending}", ending, whole, "works")
        for i in range(10 * num):
            yield of_shard(f"{ending} cut {i}", ending, whole[: rng.integers(0, len(whole))], "either")
            broken = bytearray(whole)
            for place in rng.integers(0, len(whole), rng.integers(1, 30)):
                broken[place] = rng.integers(256)
            yield of_shard(f"{ending} with flipped bits {i}", ending, bytes(broken), "either")
    for name, content, wanted in [*odd_tars(), *odd_tables()]:
        yield of_shard(name, name.partition(":")[0], content, wanted)


def odd_tars() -> Iterator[tuple[str, bytes, str]]:
    """Archives that can be written."""
    for name in (
        "../../out.png",
        "/elsewhere/out.png",
        "a//b.png",
        "./a.png",
        "." * 200 + ".png",
        "a.png/",
        "\udcff.png",
    ):
        yield f"tar: an image named {ascii(name)}", tar_of([*plain(), (name, png())]), "works"
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE):
        yield f"tar: a member of type {kind!r}", tar_of(plain(), kind), "either"
    for content in (b"", b"{", b"[1]", b"null", b'{"class": null}', b"[" * 100_000, b"\xff\xfe", b" " * 2**21):
        yield f"tar: a label {content[:20]!r} in json", tar_of([*plain(), ("0.json", content)]), "either"
        yield f"tar: a label {content[:20]!r} in cls", tar_of([*plain(), ("0.cls", content)]), "either"
    for value in ([1], {"a": 1}, 1.5, float("nan"), True, 10**400, "x" * 10**5, "<b>", ""):
        yield (
            f"tar: class {str(value)[:20]}",
            tar_of([*plain(), ("0.json", json.dumps({"class": value}).encode())]),
            "either",
        )
    yield "tar: no member", tar_of([]), "refused"
    yield "tar: no image", tar_of([("a.txt", b"words")]), "refused"
    yield "tar: one image", tar_of(plain()[:1]), "refused"
    yield "tar: in gzip", gzip.compress(tar_of(plain())), "refused"


def odd_tables() -> Iterator[tuple[str, bytes, str]]:
    """Tables that can be written."""
    for name, columns in {
        "no column of images": {"caption": ["a", "b"]},
        "no row": {"image": pa.array([], pa.binary())},
        "images that are none": {"image": [b"x", b"", None]},
        "one image": {"image": [png(), None]},
    }.items():
        yield f"parquet: {name}", table_of(columns), "refused"
    for kind in (pa.int64(), pa.float64(), pa.string(), pa.list_(pa.int64()), pa.timestamp("s"), pa.bool_(), pa.null()):
        labels = pa.nulls(3, kind)
        yield f"parquet: classes of {kind}", table_of({**images(), "label": labels}), "either"
    for values in ([1.5, float("nan"), 2], [[1], [2], None], [b"a", b"\xff", None], [True, False, None]):
        yield f"parquet: classes {values}", table_of({**images(), "label": values}), "either"
    yield "parquet: structs without bytes", table_of({"image": [{"path": "/etc/passwd"}] * 3}), "refused"
    yield "parquet: paths to elsewhere", table_of({"image": [{"bytes": None, "path": "/etc/passwd"}] * 3}), "refused"


def of_shard(name: str, ending: str, content: bytes, wanted: Any) -> Case:
    """A folder with one shard."""

    def make(folder: Path, run: Path) -> list[str]:
        Path("shards").mkdir()
        Path("shards", f"0.{ending}").write_bytes(content)
        return ["data", "shards:shards", "--side-px", "8"]

    return Case(family="shards", name=name, make=make, wanted=wanted, printed=("images",))


def plain() -> list[tuple[str, bytes]]:
    """Three images and what belongs to them."""
    return [(f"{i}.png", png(i)) for i in range(3)] + [("1.cls", b"anna"), ("2.json", b'{"class": "ben"}')]


def images() -> dict[str, Any]:
    """The same as columns."""
    return {"image": [png(i) for i in range(3)], "label": ["anna", "ben", None]}


def png(seed: int = 9) -> bytes:
    """An image of noise."""
    written = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(written, "png")
    return written.getvalue()


def tar_of(members: list[tuple[str, bytes]], kind: bytes | None = None) -> bytes:
    """An archive; with one more member of another kind, which points at this machine's files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", errors="surrogateescape") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if kind is not None:
            info = tarfile.TarInfo("more.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return written.getvalue()


def table_of(columns: dict[str, Any]) -> bytes:
    """A table, two rows a group."""
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, row_group_size=2)
    return written.getvalue()
