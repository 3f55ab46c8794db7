"""metadata.csv and npz files that are not what they should be."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign.case import Case
from tests.campaign.pictures import encoded

NAMES = [f"{i}.png" for i in range(4)]
GOOD = "file_name,class,pose\n0.png,a,x\n1.png,a,y\n2.png,b,x\n3.png,b,y\n"


def cases(num: int, random_seed: int) -> Iterator[Case]:
    """Tables written by hand, so many with changed bytes; arrays of all types, and so many damaged files."""
    rng = random.Random(random_seed)
    for name, text, wanted in CSV:
        yield of_csv(name, text.encode() if isinstance(text, str) else text, wanted)
    for i in range(2 * num):
        broken = bytearray(GOOD.encode())
        for _ in range(rng.choice([1, 2, 8])):
            broken[rng.randrange(len(broken))] = rng.choice(b'\0\n\r",;\xff\t 0az')
        yield of_csv(f"changed bytes {i}", bytes(broken), "either")
    for name, write, wanted in arrays():
        yield of_npz(name, write, wanted)
    whole = saved(imgs=pixels(4), classes=np.array([0, 0, 1, 1]))
    for i in range(2 * num):
        broken = bytearray(whole[: rng.randrange(1, len(whole))] if i % 2 else whole)
        for _ in range(0 if i % 2 else rng.choice([1, 8])):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        yield of_npz(f"damaged {i}", lambda path, broken=bytes(broken): path.write_bytes(broken), "either")


CSV: list[tuple[str, str | bytes, Any]] = [
    ("good", GOOD, "works"),
    ("empty", "", "refused"),
    ("header alone", "file_name,class\n", "works"),
    ("no file_name", "name,class\n0.png,a\n", "refused"),
    ("a column twice", "file_name,class,class\n0.png,a,b\n", "refused"),
    ("a column without a name", "file_name,,class\n0.png,a,b\n", "refused"),
    ("a file twice", "file_name,class\n0.png,a\n0.png,b\n", "refused"),
    ("a file twice, ./ before one", "file_name,class\n0.png,a\n./0.png,b\n", "refused"),
    ("a file that is not there", "file_name,class\nnone.png,a\n", "refused"),
    ("a path above the folder", "file_name,class\n../x.png,a\n", "refused"),
    ("an absolute path", "file_name,class\n/etc/passwd,a\n", "refused"),
    ("a row too short", "file_name,class,pose\n0.png,a\n", "refused"),
    ("a row too long", "file_name,class\n0.png,a,b,c\n", "refused"),
    ("semicolons", GOOD.replace(",", ";"), "refused"),
    ("tabs", GOOD.replace(",", "\t"), "refused"),
    ("UTF-16", GOOD.encode("utf-16"), "refused"),
    ("Latin-1", "file_name,class\n0.png,\xe9\n".encode("latin-1"), "refused"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD.encode(), "works"),
    ("returns", GOOD.replace("\n", "\r\n"), "works"),
    ("old returns", GOOD.replace("\n", "\r"), "either"),
    ("a quote that never ends", 'file_name,class\n"0.png,a\n', "refused"),
    ("nul bytes", b"file_name,class\n0.png,a\0b\n", "either"),
    ("nothing but nul bytes", bytes(1000), "refused"),
    ("a cell of a million letters", "file_name,class\n0.png," + "a" * 10**6 + "\n", "either"),
    ("ten thousand columns", ",".join(["file_name", *map(str, range(10**4))]) + "\n", "either"),
    ("classes of spaces", "file_name,class\n0.png,  \n1.png, \n", "works"),
    ("classes of HTML", "file_name,class\n0.png,<script>alert(1)</script>\n1.png,a\n", "works"),
    ("classes of formulas", "file_name,class\n0.png,=1+1\n1.png,nan\n", "works"),
    ("classes of controls", "file_name,class\n0.png,\x1b[31mred\n1.png,\u202e\n", "works"),
    ("empty lines", GOOD.replace("\n", "\n\n"), "works"),
    ("an image", encoded("PNG"), "refused"),
    ("JSON", '{"file_name": "0.png"}', "refused"),
    ("a column of digests", "file_name,hash\n" + "".join(f"{n},{i}\n" for i, n in enumerate(NAMES)), "either"),
]


def of_csv(name: str, content: bytes, wanted: Any) -> Case:
    def make(folder: Path, run: Path) -> list[str]:
        Path("data").mkdir()
        for i, image in enumerate(NAMES):
            (Path("data") / image).write_bytes(encoded("PNG", size=(20 + i, 20)))
        (Path("data") / "metadata.csv").write_bytes(content)
        return ["data", "data", "--side-px", "8"]

    return Case(
        family="metadata.csv", name=name, make=make, wanted=wanted, words=("metadata.csv",), printed=("4 images",)
    )


def pixels(num: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, *(shape or (9, 9, 3))), dtype=np.uint8)


def saved(**named: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def arrays() -> Iterator[tuple[str, Callable[[Path], object], Any]]:
    """Names, what writes the file, what must come of it."""
    imgs, classes = pixels(4), np.array([0, 0, 1, 1])

    def save(**named: Any) -> Callable[[Path], object]:
        return lambda path: path.write_bytes(saved(**named))

    yield "good", save(imgs=imgs, classes=classes), "works"
    yield "grey", save(imgs=imgs[..., 0], classes=classes), "works"
    yield "text as classes", save(imgs=imgs, classes=np.array(["a", "a", "", "b"])), "works"
    yield "no imgs", save(classes=classes), "refused"
    yield "no classes", save(imgs=imgs), "refused"
    yield "nothing", save(), "refused"
    yield "no images", save(imgs=imgs[:0], classes=classes[:0]), "refused"
    yield "one image", save(imgs=imgs[:1], classes=classes[:1]), "refused"
    yield "lengths that differ", save(imgs=imgs, classes=classes[:3]), "refused"
    yield "classes in two dimensions", save(imgs=imgs, classes=classes[:, None]), "refused"
    yield "a scalar", save(imgs=np.uint8(3), classes=classes), "refused"
    yield "channels first", save(imgs=imgs.transpose(0, 3, 1, 2), classes=classes), "refused"
    yield "no height", save(imgs=imgs[:, :0], classes=classes), "refused"
    for kind in ("float32", "float64", "int64", "uint16", "bool", "complex64", "int8", "S4", "U4", "datetime64[s]"):
        other = imgs.astype("int64").astype(kind)
        yield f"imgs of {kind}", save(imgs=other, classes=classes), "refused"
    for kind in ("float32", "float64", "complex64", "bool", "S4", "datetime64[s]"):
        yield f"classes of {kind}", save(imgs=imgs, classes=classes.astype(kind)), "refused"
    yield "classes of nan", save(imgs=imgs, classes=np.full(4, np.nan)), "refused"
    yield "big-endian classes", save(imgs=imgs, classes=classes.astype(">i8")), "works"
    yield "classes of uint64", save(imgs=imgs, classes=np.array([0, 0, 2**64 - 1, 1], dtype=np.uint64)), "works"
    yield "imgs of nan", save(imgs=np.full(imgs.shape, np.nan), classes=classes), "refused"
    objects = np.array([[], {}, None, 1], dtype=object)
    yield "objects as classes", save(imgs=imgs, classes=objects), "refused"
    yield "objects as imgs", save(imgs=objects, classes=classes), "refused"
    yield "objects beside them", save(imgs=imgs, classes=classes, more=objects), "works"
    structured = np.zeros(4, dtype=[("a", "u1")])
    yield "structured imgs", save(imgs=structured, classes=classes), "refused"
    yield "structured classes", save(imgs=imgs, classes=structured), "refused"
    yield "contents of floats", save(imgs=imgs, classes=classes, contents=np.zeros(4)), "refused"
    yield "contents too short", save(imgs=imgs, classes=classes, contents=np.zeros(3, int)), "refused"
    contents = np.zeros((4, 2), int)
    yield "content_names too few", save(imgs=imgs, classes=classes, contents=contents, content_names=["a"]), "refused"
    yield "content_names alike", save(imgs=imgs, classes=classes, contents=contents, content_names=["a"] * 2), "refused"
    yield "content_names without contents", save(imgs=imgs, classes=classes, content_names=["a"]), "refused"
    yield "content_names in two dimensions", save(imgs=imgs, classes=classes, content_names=[["a"]]), "refused"
    yield "a petabyte by its header", lambda path: claims(path, 10**12), "refused"
    yield "a number of images that overflows", lambda path: claims(path, 2**63), "refused"
    yield "a negative number of images", lambda path: claims(path, -4), "refused"
    yield "a few images more than there are", lambda path: claims(path, 5), "refused"
    yield "fewer images than there are", lambda path: claims(path, 3), "refused"
    yield "200 GB from 200 MB", bomb, "refused"
    yield "a folder", lambda path: path.mkdir(), "refused"
    yield "empty file", lambda path: path.write_bytes(b""), "refused"
    yield "a pickle", lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR."), "refused"
    yield "an npy", lambda path: np.save(path.open("wb"), imgs), "refused"
    yield "a zip of something else", zipped, "refused"
    yield "an image", lambda path: path.write_bytes(encoded("PNG")), "refused"


def claims(path: Path, num: int) -> None:
    """A header that tells of so many images before the bytes of four."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({num}, 9, 9, 3), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pixels(4).tobytes()
    classes = io.BytesIO()
    np.save(classes, np.zeros(abs(num) if abs(num) < 10 else 4, dtype=np.int64))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("imgs.npy", content)
        archive.writestr("classes.npy", classes.getvalue())


def bomb(path: Path) -> None:
    """The directory and the header tell of 200 GB of zeros, as if they had been compressed to a thousandth."""
    shape = (10**6, 256, 256, 3)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("imgs.npy", header.getvalue() + bytes(10**7))
        archive.writestr("classes.npy", b"")
        archive.filelist[0].file_size = len(header.getvalue()) + int(np.prod(shape))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../imgs.npy", b"x")
        archive.writestr("imgs", b"x")


def of_npz(name: str, write: Callable[[Path], object], wanted: Any) -> Case:
    def make(folder: Path, run: Path) -> list[str]:
        write(Path("data.npz"))
        return ["data", "data.npz", "--side-px", "8"]

    return Case(family="npz", name=name, make=make, wanted=wanted, words=("data",), printed=("images",))
