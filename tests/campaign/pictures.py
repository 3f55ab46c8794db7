"""Broken and unusual image files: each beside two good ones, so that what is skipped must be counted."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.campaign.case import Case

FORMATS = {
    **{".png": "PNG", ".jpg": "JPEG", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".webp": "WEBP"},
    **{".ppm": "PPM", ".tga": "TGA", ".jp2": "JPEG2000", ".avif": "AVIF"},
}


def cases(num: int, random_seed: int) -> Iterator[Case]:
    """So many truncations and so many flipped bits of each format, and one case of each oddity."""
    rng = random.Random(random_seed)
    for ending, form in FORMATS.items():
        whole = encoded(form)
        yield of_file(f"whole{ending}", whole, usable=True)
        yield of_file(f"empty{ending}", b"", usable=False)
        for _ in range(num):
            cut = rng.randrange(1, len(whole))
            yield of_file(f"cut at {cut}{ending}", whole[:cut])
            broken = bytearray(whole)
            for _ in range(rng.choice([1, 4, 32])):
                broken[rng.randrange(min(len(broken), rng.choice([32, 10**9])))] ^= 1 << rng.randrange(8)
            yield of_file(f"flipped bits {zlib.crc32(broken)}{ending}", bytes(broken))
        noise = rng.randbytes(200)
        yield of_file(f"noise{ending}", whole[:4] + noise, usable=False if ending != ".ppm" else None)
    for name, content, usable in odd():
        yield of_file(name, content, usable)
    yield from odd_files()


def encoded(form: str, mode: str = "RGB", size: tuple[int, int] = (23, 17), **options: object) -> bytes:
    """An image of noise as a file."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, form, **options)
    return file.getvalue()


def of_file(name: str, content: bytes, usable: bool | None = None) -> Case:
    """A file of this content among two images that are fine."""

    def make(folder: Path, run: Path) -> list[str]:
        return beside(lambda path: path.write_bytes(content), f"bad{Path(name).suffix}")

    return Case(family="pictures", name=name, make=make, wanted="works", printed=counted(usable))


def counted(usable: bool | None) -> tuple[str, ...]:
    """What `chiasm data` must print of three files: all are images, or one is counted as unusable."""
    every, all_but_one = ("3 images",), ("2 images", "unusable files: 1")
    return ("3 images|unusable files: 1",) if usable is None else every if usable else all_but_one


def beside(write: Callable[[Path], object], name: str) -> list[str]:
    Path("data").mkdir()
    for good in ("one.png", "two.png"):
        (Path("data") / good).write_bytes(encoded("PNG"))
    write(Path("data") / name)
    return ["data", "data", "--side-px", "8"]


def odd() -> Iterator[tuple[str, bytes, bool | None]]:
    """Names, contents, and whether Pillow can read them."""
    png, jpeg = encoded("PNG"), encoded("JPEG")
    yield "a jpeg by name.jpg", png, True
    yield "a png by name.png", jpeg, True
    yield "text.png", b"this is no image", False
    yield "page.jpg", b"<html><body>404</body></html>", False
    yield "vector.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', False
    yield "postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) = quit\n", False
    yield "portable.jpg", b"%PDF-1.4\n", False
    yield "executable.jpg", b"\x7fELF" + bytes(60), False
    yield "pickle.png", b"\x80\x04cos\nsystem\n(S'true'\ntR.", False
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16", "I"):
        yield f"mode {mode}.png", encoded_mode(mode), True
    yield "cmyk.jpg", encoded("JPEG", "CMYK"), True
    yield "float.tif", tiff(np.linspace(0, 1, 300, dtype=np.float32).reshape(15, 20)), True
    yield "nan.tif", tiff(np.full((15, 20), np.nan, dtype=np.float32)), None
    yield "infinite.tif", tiff(np.full((15, 20), np.inf, dtype=np.float32)), None
    for size in ((1, 1), (1, 3000), (3000, 1), (20_000, 1), (1, 20_000)):
        yield f"{size[0]} x {size[1]}.png", encoded("PNG", size=size), True
    yield "huge.png", bomb(100_000, 100_000), False
    yield "no pixels.png", bomb(0, 0), False
    yield "claims.png", bomb(9000, 9000), False
    yield "long text.png", text_bomb(), None
    yield "upright.jpg", turned(6), True
    yield "orientation 99.jpg", turned(99), True
    yield "broken exif.jpg", jpeg[:2] + b"\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff" + jpeg[2:], True
    yield "animated.gif", animated("GIF"), True
    yield "animated.webp", animated("WEBP"), True
    yield "animated.png", animated("PNG"), True
    yield "palette with alpha.png", palette_with_alpha(), True
    yield "profile.png", encoded("PNG", icc_profile=b"no profile"), True


def encoded_mode(mode: str) -> bytes:
    file = io.BytesIO()
    grey = np.arange(300, dtype=np.uint16).reshape(15, 20)
    image = Image.fromarray(grey * 200) if mode == "I;16" else Image.fromarray((grey % 256).astype(np.uint8))
    (image if mode == "I;16" else image.convert("I" if mode == "I" else mode)).save(file, "PNG")
    return file.getvalue()


def tiff(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int, height: int) -> bytes:
    """A PNG file of few bytes that claims many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    whole = encoded("PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(300_000_000), 9))
    return whole[:33] + text + whole[33:]


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", exif=exif.tobytes())


def animated(form: str) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 15), colour) for colour in ("red", "green", "blue")]
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


def palette_with_alpha() -> bytes:
    file = io.BytesIO()
    Image.new("P", (20, 15)).save(file, "PNG", transparency=bytes(range(256)))
    return file.getvalue()


NAMES = [
    *("é" * 120 + ".png", "x" * 251 + ".png", "new\nline.png", "tab\t.png", " .png", "-o.png", "--help.png"),
    *("<script>alert(1).png", "quote\"'.png", "100%s %d {0}.png", "$(true).png", "a\\b.png", "نام.png"),
    *("\u202egnp.exe.png", "🙂.png", "con.png", "two.PNG.png", "a..png", "~.png", "*.png", "e\u0301.png", "\x7f.png"),
]


def odd_files() -> Iterator[Case]:
    """What is no matter of the content: names, links, files that vanish."""
    case = partial(Case, family="pictures", wanted="works")
    for name in NAMES:
        yield case(
            name=f"named {name!r}"[:60],
            make=lambda folder, run, name=name: beside(lambda path: path.write_bytes(encoded("PNG")), name),
            printed=("3 images",),
        )
    surrogate = os.fsdecode(b"\xff\xfe.png")
    yield case(
        name="a name that is not UTF-8",
        make=lambda folder, run: beside(lambda path: path.write_bytes(encoded("PNG")), surrogate),
        printed=("3 images",),
    )
    broken = lambda folder, run: beside(lambda path: path.write_bytes(b"x"), surrogate)  # noqa: E731
    yield case(name="broken, with a name that is not UTF-8", make=broken, printed=("2 images", "unusable"))
    skipped = ("2 images", "unusable")
    links: dict[str, tuple[Callable[[Path], object], str, tuple[str, ...]]] = {
        "a link to itself": (lambda path: path.symlink_to(path.name), "self.png", skipped),
        "a link to nowhere": (lambda path: path.symlink_to("nowhere.png"), "to.png", skipped),
        "a link to its own folder": (lambda path: path.symlink_to("."), "loop", ("2 images",)),
        "a link to the folder above": (lambda path: path.symlink_to(".."), "loop", ("2 images",)),
        "a folder named as an image": (lambda path: path.mkdir(), "folder.png", ("2 images",)),
        "a pipe named as an image": (os.mkfifo, "pipe.png", skipped),
        "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "zero.png", skipped),
        "a link to a random device": (lambda path: path.symlink_to("/dev/urandom"), "r.jpg", skipped),
    }
    for name, (write, file, printed) in links.items():
        yield case(name=name, make=lambda folder, run, write=write, file=file: beside(write, file), printed=printed)
    deep = "/".join(["d" * 200] * 15)
    yield case(
        name="deep folders",
        make=lambda folder, run: beside(lambda path: os.makedirs(path.parent / deep), "x"),
        printed=("2 images",),
    )
    for name, content, usable in odd():
        suffix = Path(name).suffix
        yield Case(
            family="pictures",
            name=f"mix with {name}",
            make=lambda folder, run, content=content, suffix=suffix: mixed(run, content, suffix),
            wanted="either" if usable is None else "works" if usable else "refused",
            words=(f"bad{suffix}",),
        )


def mixed(run: Path, content: bytes, suffix: str) -> list[str]:
    Path("good.png").write_bytes(encoded("PNG"))
    Path(f"bad{suffix}").write_bytes(content)
    return ["mix", str(run), f"bad{suffix}", "good.png"]
