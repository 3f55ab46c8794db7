"""Builds the documentation's site and refuses broken links: python docs/site.py

README.md, SECURITY.md, docs/ and studies/ are laid out as in the repository, so that a link that works there works in
the site.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"


class Page(HTMLParser):
    """The links of a page and the places in it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to and what it is called."""
        values = dict(attrs)
        self.places |= {value for key in ("id", "name") if (value := values.get(key))}
        self.links += [value for key in ("href", "src") if (value := values.get(key))]


def lay_out() -> None:
    """Copy what the site is made of."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.csv", "*.json")
    for folder in ("docs", "studies"):
        shutil.copytree(ROOT / folder, SOURCES / folder, ignore=ignored)
    shutil.copytree(ROOT / "src", SOURCES / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "README.md", SOURCES / "index.md")
    shutil.copy(ROOT / "SECURITY.md", SOURCES)


def broken_links(site: Path) -> list[str]:
    """What a site's pages link to within it and is not there, a line each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            place = unquote(url.fragment)
            missing = not target.exists() or (place and target in pages and place not in pages[target].places)
            if missing and link != "#":
                broken.append(f"{path.relative_to(site)}: {link}")
    return sorted(set(broken))


def main() -> int:
    """Build the site; returns the exit status."""
    lay_out()
    shutil.rmtree(SITE, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "zensical", "build", "--clean"], cwd=ROOT, check=True)
    broken = broken_links(SITE.resolve())
    print("\n".join([*(f"broken link: {line}" for line in broken), f"{SITE.relative_to(ROOT)}/index.html"]))
    return 1 if broken or not (SITE / "index.html").is_file() else 0


if __name__ == "__main__":
    sys.exit(main())
