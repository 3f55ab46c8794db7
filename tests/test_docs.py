"""The check of the site's links; the site itself is built by `make docs`."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from chiasm.overrides import flatten, to_dict
from chiasm.presets import PRESETS

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


def stated_settings() -> list[tuple[str, str, float]]:
    """Of docs/method.md's tables of presets, each number in a row of one setting: setting, preset, number.

    A cell is a number, or a number for all presets of its column and in brackets those that have another one.
    """
    stated: list[tuple[str, str, float]] = []
    columns: list[list[str]] = []
    for line in (ROOT / "docs" / "method.md").read_text(encoding="utf-8").splitlines():
        first, *cells = [cell.strip() for cell in line[1:-1].split("|")]
        names = [[name for name in re.findall(r"`([\w-]+)`", cell) if name in PRESETS] for cell in cells]
        key = re.match(r"`(\w+)`(?!,)", first)
        if names and all(names):
            columns = names
        elif key and len(cells) == len(columns):
            for cell, presets in zip(cells, columns, strict=True):
                of_all, _, of_some = cell.partition(" (")
                others = dict.fromkeys(re.findall(r"`([\w-]+)`", of_some), of_some.rstrip(")").rpartition(" ")[2])
                numbers = {name: others.get(name, of_all) for name in presets}
                stated += [(key[1], name, float(n)) for name, n in numbers.items() if re.fullmatch(r"[\d.]+(e-\d)?", n)]
    return stated


def test_the_tables_of_presets_state_what_presets_set() -> None:
    stated = stated_settings()
    assert len(stated) > 150
    for key, preset, number in stated:
        settings = flatten(to_dict(PRESETS[preset]()))
        values = [value for name, value in settings.items() if name.rpartition(".")[2] == key]
        assert number in values or [number] in values, (key, preset, number, values)
