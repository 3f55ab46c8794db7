"""The check of the site's links; the site itself is built by `make docs`."""

import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
broken_links = runpy.run_path(str(ROOT / "docs" / "site.py"))["broken_links"]
PAGE = '<h2 id="here">x</h2><a href="#here"></a><a href="other/index.html#there"></a><img src="a%20b.png">'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "other").mkdir()
    (tmp_path / "index.html").write_text(PAGE + '<a href="https://example.com/nosuch"></a><a href="other/"></a>')
    (tmp_path / "other" / "index.html").write_text('<a id="there" href="../index.html#here"></a>')
    (tmp_path / "a b.png").touch()
    return tmp_path


def test_links_that_lead_somewhere_pass(site: Path) -> None:
    assert broken_links(site) == []


@pytest.mark.parametrize("link", ["nosuch.html", "#nosuch", "other/index.html#nosuch", "nosuch.png", "../outside.html"])
def test_a_link_that_leads_nowhere_is_named(site: Path, link: str) -> None:
    (site / "index.html").write_text(f'{PAGE}<a href="{link}"></a>')
    assert broken_links(site) == [f"index.html: {link}"]


def test_every_page_of_the_navigation_is_there() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    pages = [page for entry in nav for part in entry.values() if isinstance(part, list) for page in part]
    files = {file for page in pages for file in page.values()}
    assert files
    for file in files:
        assert (ROOT / file).is_file(), file
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == {Path(f).name for f in files} - {
        "README.md",
        "SECURITY.md",
    }
