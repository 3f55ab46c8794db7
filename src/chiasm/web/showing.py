"""Images, numbers and messages as HTML: nothing of it is a file, all of it has words for those who cannot see it."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from chiasm.mixing import Codes
from chiasm.plots import enlarge
from chiasm.web.uploads import Picture

WIDE_PX, HIGH_PX = 720, 440
"""What an enlarged image takes at most, so that a small matrix is seen whole."""


def figure(image: Image.Image, words: str, caption: str = "", download: str = "", kind: str = "pixels") -> str:
    """An image, enlarged to be looked at.

    Args:
        image: to be shown.
        words: what is in it, for screen readers.
        caption: below it.
        download: the name of the file that a link below it offers; "" for no link.
        kind: "pixels" to keep their edges, "plot" for a smooth one.
    """
    address = _png(enlarge(image, max(1, min(4, WIDE_PX // image.width, HIGH_PX // image.height))))
    parts = [f'<img src="{address}" alt="{escape(words)}">']
    if caption:
        parts.append(f"<figcaption>{escape(caption)}</figcaption>")
    link = download_link(_png(image), download, "Download the picture (PNG)") if download else ""
    return f'<figure class="shown {kind}">{"".join(parts)}</figure>{link}'


def figure_file(path: Path, words: str, caption: str = "") -> str:
    """An image file of a run; "" where there is none."""
    if not path.is_file():
        return ""
    with Image.open(path) as image:
        return figure(image.convert("RGB"), words, caption)


def download_link(address: str, name: str, words: str) -> str:
    """A link that saves something; it looks like a button."""
    return f'<a class="download" href="{address}" download="{escape(name)}">{escape(words)}</a>'


def codes_table(sides: Sequence[tuple[str, Sequence[Picture], Codes]]) -> str:
    """The address of a CSV file: a row for each image, with its side and its two codes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    widths = [code.shape[1] for code in sides[0][2]]
    heads = [f"{letter}_{i + 1}" for letter, width in zip("ab", widths, strict=True) for i in range(width)]
    writer.writerow(["side", "image", *heads])
    for side, pictures, codes in sides:
        for picture, a, b in zip(pictures, *codes, strict=True):
            writer.writerow([side, _plain(picture.name), *(f"{value:.6g}" for value in (*a, *b))])
    return "data:text/csv;base64," + base64.b64encode(text.getvalue().encode()).decode()


def message(lines: Sequence[str], alarming: bool = True) -> str:
    """Sentences that a screen reader reads out at once; "" for none."""
    if not lines:
        return ""
    role, items = "alert" if alarming else "status", "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<div role="{role}" class="message {role}">{items}</div>'


def progress(share: float, words: str) -> str:
    """A bar with words below it."""
    return (
        f'<progress max="100" value="{100 * share:.0f}" aria-label="progress">{share:.0%}</progress>'
        f'<p role="status">{escape(words)}</p>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table that scrolls by itself where the screen is narrow."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    inner = f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return (
        f'<div class="scrolls" tabindex="0" role="region" aria-label="{escape(caption)}"><table>{inner}</table></div>'
    )


def details(summary: str, text: str) -> str:
    """Plain text that is folded away."""
    return (
        f"<details><summary>{escape(summary)}</summary>"
        f'<pre tabindex="0" role="region" aria-label="{escape(summary)}">{escape(text)}</pre></details>'
    )


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _plain(name: str) -> str:
    """A file's name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name
