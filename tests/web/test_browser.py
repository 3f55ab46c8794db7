"""What a newcomer does with the page, in a real browser: nothing is asked from anywhere but this machine."""

import csv
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.web.serving import serving

WAIT_MS = 90_000
PHONE_PX = 375
PAUSE_MS = 1_000
"""What a hand takes between two clicks. Gradio's client (6.31) loses an event in the tens of milliseconds after an
answer in which it closes the stream that brought it."""


@pytest.fixture(scope="module")
def runs(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one tiny model in it, which newcomers share one after another."""
    folder = tmp_path_factory.mktemp("shared") / "runs"
    shutil.copytree(trained, folder / "trained")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(runs: Path, home: Path) -> Iterator[str]:
    with serving(runs, home) as (address, _):
        yield address


@pytest.fixture
def page(browser, address: str, home: Path):
    """The page with its model chosen; afterwards nothing was written elsewhere and nobody else was asked."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(WAIT_MS)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    page.close()
    outside = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert asked
    assert outside == []
    assert [path.name for path in home.iterdir()] == []


def alt(page, place: str) -> str:
    return page.locator(f"{place} img").first.get_attribute("alt")


def wait_for_words(page, place: str, words: str) -> None:
    page.wait_for_function(
        "([place, words]) => [...document.querySelectorAll(`${place} img`)].some(i => i.alt.includes(words))",
        arg=[place, words],
    )


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def choose_tiny(page) -> None:
    page.locator("#preset input").click()
    page.get_by_role("option", name="tiny: ").click()
    page.wait_for_function("document.querySelector('#preset input').value.startsWith('tiny')")


def test_upload_mix_blend_and_download(page, photos: list[Path], tmp_path: Path) -> None:
    page.wait_for_selector("#matrix img")
    held_out = alt(page, "#matrix")
    assert "person-" in held_out
    page.wait_for_timeout(PAUSE_MS)
    page.locator("#files-A input[type=file]").set_input_files(photos)
    page.wait_for_timeout(PAUSE_MS)
    page.locator("#files-B input[type=file]").set_input_files(photos[1])
    wait_for_words(page, "#matrix", "Rows, A: anna.jpg, ben.png. Columns, B: ben.png.")
    wait_for_words(page, "#blend", "from anna.jpg to ben.png")
    with page.expect_download() as download:
        page.locator("#matrix").get_by_role("link", name="PNG").click()
    download.value.save_as(tmp_path / "mix.png")
    with Image.open(tmp_path / "mix.png") as image:
        assert image.size == (2 * 18 - 2, 3 * 18 - 2)
    with page.expect_download() as download:
        page.locator("#matrix").get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "codes.csv")
    with (tmp_path / "codes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["side"], row["image"]) for row in rows] == [("A", "anna.jpg"), ("A", "ben.png"), ("B", "ben.png")]
    assert "a_8" in rows[0]
    assert "b_4" in rows[0]
    page.wait_for_timeout(PAUSE_MS)
    page.get_by_label("take their mean").check()
    page.wait_for_function("document.querySelector('#matrix').innerText.includes('1 mixed image in')")
    page.wait_for_timeout(PAUSE_MS)
    page.get_by_role("button", name="Find the nearest").click()
    wait_for_words(page, "#nearest", "By code B")


def test_somebody_new_is_learned_and_chosen_by_name(page, photos: list[Path], runs: Path) -> None:
    page.wait_for_selector("#matrix img")
    page.wait_for_timeout(PAUSE_MS)
    page.locator("#files-A input[type=file]").set_input_files(photos[0])
    wait_for_words(page, "#matrix", "Rows, A: anna.jpg.")
    name, learn = page.get_by_label("Name", exact=True), page.get_by_role("button", name="Learn the images")
    name.fill("../anna")
    page.wait_for_timeout(PAUSE_MS)
    learn.click()
    page.locator("#adapted").get_by_text("'../anna'").wait_for()
    name.fill("anna")
    page.wait_for_timeout(PAUSE_MS)
    learn.click()
    page.locator("#adapted").get_by_text("@anna was learned from: anna.jpg.").wait_for()
    wait_for_words(page, "#matrix", "Rows, A: @anna.")
    wait_for_words(page, "#blend", "from @anna to @anna")
    assert (runs / "trained" / "model" / "people" / "anna.safetensors").is_file()
    page.wait_for_timeout(PAUSE_MS)
    learn.click()
    page.locator("#adapted").get_by_text("Give at least one image").wait_for()
    page.reload()
    page.wait_for_selector("#matrix img")
    page.wait_for_timeout(PAUSE_MS)
    page.locator("#people input").click()
    page.get_by_role("option", name="anna").click()
    wait_for_words(page, "#matrix", "Rows, A: @anna.")


def test_a_click_gives_an_image_and_a_bad_file_is_refused_in_words(page, photos: list[Path], tmp_path: Path) -> None:
    page.wait_for_selector("#matrix img")
    page.get_by_label("B", exact=True).check()
    page.locator("#examples button").nth(2).click()
    page.get_by_text("is taken for B.").wait_for()
    bad = tmp_path / "letter.jpg"
    bad.write_bytes(b"no image at all")
    page.locator("#files-A input[type=file]").set_input_files([bad, photos[0]])
    page.get_by_role("alert").get_by_text("letter.jpg: not an image").wait_for()
    wait_for_words(page, "#matrix", "Rows, A: anna.jpg.")


def test_train_for_seconds_stop_go_on_and_survive_a_reload(page, runs: Path) -> None:
    open_tab(page, "Train")
    page.get_by_label("Rendered people").check()
    choose_tiny(page)
    page.get_by_role("spinbutton", name="Minutes").fill("5")
    page.get_by_role("button", name="Start").click()
    started = time.monotonic()
    page.wait_for_selector("#curves img")
    page.wait_for_selector("#strip img")
    page.reload()
    open_tab(page, "Train")
    page.locator("#state progress").wait_for()
    page.wait_for_timeout(max(0, 20 - time.monotonic() + started) * 1000)
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("was stopped and saved; it can go on.").wait_for()
    assert (runs / "avatars-1" / "model" / "config.json").is_file()
    steps = [int(path.name) for path in (runs / "avatars-1" / "checkpoint").glob("*/")]
    page.get_by_role("spinbutton", name="Minutes").fill("0.1")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Training avatars-1 is done.").wait_for()
    assert max(int(path.name) for path in (runs / "avatars-1" / "checkpoint").glob("*/")) > max(steps)
    assert page.locator("#model input").input_value() == "trained"


def test_uploaded_groups_become_a_collection_that_is_trained_on(page, tmp_path: Path, runs: Path) -> None:
    open_tab(page, "Train")
    rng = np.random.default_rng(0)
    for typed, group in (("Anna K.", "Anna-K"), ("../ben", "ben")):
        paths = [tmp_path / f"{group}{i}.png" for i in range(6)]
        for path in paths:
            Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(path)
        page.get_by_label("Name of the group").fill(typed)
        page.locator("#files-train input[type=file]").set_input_files(paths)
        page.locator("#files-train").get_by_text(f"{group}5").first.wait_for()
        page.get_by_role("button", name="Add the group").click()
        page.get_by_text(f"6 images are now in the group {group}.").wait_for()
    kept = [path.relative_to(runs / "web" / "uploads").as_posix() for path in runs.glob("web/uploads/**/*.*")]
    assert sorted(kept) == [f"my-images/{group}/{group}{i}.png" for group in ("Anna-K", "ben") for i in range(6)]
    choose_tiny(page)
    page.get_by_role("spinbutton", name="Minutes").fill("0.1")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("Training my-images-1 is done.").wait_for()
    page.locator("#model input").click()
    page.get_by_role("option", name="my-images-1").click()
    open_tab(page, "Mix")
    wait_for_words(page, "#matrix", "Rows, A: ")
    page.wait_for_function("/(Anna-K|ben).[0-9]?/.test(document.querySelector('#matrix img').alt)")
    assert any((runs / "web" / "cache").glob("*/images.npy"))


def test_keyboard_phone_and_axe(page) -> None:
    from importlib.resources import files

    page.wait_for_selector("#matrix img")
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    for width, scheme in ((1200, "light"), (PHONE_PX, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        for name in ("Mix", "Train", "Trust", "About"):
            tab = page.get_by_role("tab", name=name)
            tab.focus()
            page.keyboard.press("Enter")
            page.wait_for_timeout(700)
            assert tab.get_attribute("aria-selected") == "true"
            found = page.evaluate("axe.run()")["violations"]
            serious = [v for v in found if v["impact"] in ("serious", "critical")]
            assert serious == [], [(name, v["id"], v["nodes"][0]["html"]) for v in serious]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
