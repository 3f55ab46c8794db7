"""The page, in a browser: from the disk and from a plain server of files."""

import base64
import functools
import http.server
import itertools
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.checkpoint import load_model, save_model
from chiasm.cli import main
from chiasm.data import read_image
from chiasm.export import ExportError
from chiasm.export.npm import RUNTIME, Package, fetch
from chiasm.mixing import Mixer
from tests.export.browser import CHROMIUM, READY, give, opened, pixels, wait_for

pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")

AXE = Package("axe-core", "4.14.1", {"axe.min.js": "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"})


def fetch_or_skip(package: Package) -> dict[str, bytes]:
    """The files of a package; without a registry the test is skipped."""
    try:
        return fetch(package)
    except ExportError as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with weights so large that every mix is another one."""
    run = tmp_path_factory.mktemp("run") / "lively"
    shutil.copytree(trained, run)
    model = load_model(run)
    model.noise_b = 0.05
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    save_model(model, run / "model")
    return run


@pytest.fixture(scope="module")
def page_folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    folder = tmp_path_factory.mktemp("web") / "page"
    fetch_or_skip(RUNTIME)
    assert main(["export", str(run), "--format", "web", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(params=["file", "http"])
def address(request: pytest.FixtureRequest, page_folder: Path) -> Iterator[str]:
    """Where the page is opened: on the disk, and on a plain server of files on loopback."""
    if request.param == "file":
        yield page_folder.as_uri()
        return
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=page_folder)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def squares(avatars, tmp_path: Path) -> list[Path]:
    """Images of the model's own size, which become its squares as they are."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        Image.fromarray(avatars.images[7 * i].transpose(1, 2, 0)).save(path)
    return paths


def test_it_mixes_as_torch_does_and_asks_nobody(address: str, run: Path, squares: list[Path]) -> None:
    a, b = squares[:2], squares[2:]
    with opened() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/index.html")
        give(page, a, b)
        cells = [pixels(canvas) for canvas in page.locator("#matrix td button canvas").all()]
    wanted = [np.asarray(mix, int) for row in Mixer.load(run).matrix(a, b) for mix in row]
    assert len(cells) == 6
    assert max(np.abs(cell - mix).mean() for cell, mix in zip(cells, wanted, strict=True)) <= 1
    assert min(np.abs(one - other).mean() for one, other in itertools.combinations(wanted, 2)) > 2
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)


def test_it_may_connect_to_nothing(address: str) -> None:
    script = "(address) => fetch(address).then(() => 'sent', () => 'refused')"
    with opened(refused="Content Security Policy") as page:
        page.goto(f"{address}/index.html")
        wait_for(page, READY)
        assert page.evaluate(script, f"{address}/page.css") == "refused"


@pytest.mark.parametrize("fit", ["crop", "close", "pad"])
def test_photographs_become_squares_as_in_training(fit: str, page_folder: Path, photographs: list[Path]) -> None:
    script = """async ([text, fit]) => {
        const file = new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
        return [...(await readSquare(file, 16, fit)).data];
    }"""
    with opened() as page:
        page.goto(f"{page_folder.as_uri()}/index.html")
        wait_for(page, READY)
        for path in photographs:
            data = page.evaluate(script, [base64.b64encode(path.read_bytes()).decode(), fit])
            got = np.array(data).reshape(16, 16, 4)[..., :3].transpose(2, 0, 1)
            assert np.abs(got - read_image(path, 16, fit)).max() <= 1


def test_a_turned_jpeg_is_upright_and_a_transparent_one_white(page_folder: Path, run: Path, tmp_path: Path) -> None:
    turned, clear = tmp_path / "turned.jpg", tmp_path / "clear.png"
    half = Image.new("RGB", (400, 600), "blue")
    half.paste("red", (0, 0, 400, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    half.save(turned, exif=exif, quality=95)
    Image.new("RGBA", (30, 30), (255, 0, 0, 0)).save(clear)
    with opened() as page:
        page.goto(f"{page_folder.as_uri()}/index.html")
        give(page, [turned], [clear])
        got = [pixels(page.locator(f"#list-{factor} canvas")) for factor in "ab"]
    for shown, path in zip(got, (turned, clear), strict=True):
        assert np.abs(shown - Mixer.load(run).prepare([path])[0].transpose(1, 2, 0)).mean() <= 2


def test_two_dropped_images_are_mixed_and_a_broken_one_is_told(page_folder: Path, squares: list[Path]) -> None:
    drop = """(files) => {
        const transfer = new DataTransfer();
        for (const [name, text] of files) {
            transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
        }
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }"""
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in squares[:2]]
    with opened() as page:
        page.goto(f"{page_folder.as_uri()}/index.html")
        wait_for(page, READY)
        page.evaluate(drop, files)
        wait_for(page, "1 mixed.")
        page.evaluate(drop, [["broken.heic", base64.b64encode(b"no image").decode()]])
        wait_for(page, "This browser cannot read broken.heic; give JPEG or PNG.")
        assert page.locator("#matrix td button").count() == 1


def test_it_works_by_keyboard_and_blends_and_saves(page_folder: Path, run: Path, squares: list[Path]) -> None:
    with opened(accept_downloads=True) as page:
        page.goto(f"{page_folder.as_uri()}/index.html")
        give(page, squares[:2], squares[2:4])
        page.locator("#matrix td button").nth(3).focus()
        page.keyboard.press("Enter")
        mixer = Mixer.load(run)
        page.locator("#matrix td button[aria-pressed=true]").and_(page.locator("#matrix td button").nth(3)).wait_for()
        assert np.abs(pixels(page.locator("#mix")) - np.asarray(mixer.mix(squares[1], squares[3]), int)).max() <= 1
        page.locator("#share-a").focus()
        page.keyboard.press("End")  # from the second A to the first
        page.locator("#mix[aria-label*='100 % 0.png']").wait_for()
        assert np.abs(pixels(page.locator("#mix")) - np.asarray(mixer.mix(squares[0], squares[3]), int)).max() <= 1
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the matrix").press("Enter")
        with Image.open(download.value.path()) as sheet:
            assert sheet.size == (3 * 18 - 2, 3 * 18 - 2)
        page.get_by_role("button", name="remove 1.png").press("Enter")
        wait_for(page, "2 mixed.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_error_and_it_fits_a_phone(scheme: str, page_folder: Path, squares: list[Path]) -> None:
    (axe,) = fetch_or_skip(AXE).values()
    with opened(viewport={"width": 375, "height": 700}, color_scheme=scheme) as page:
        page.goto(f"{page_folder.as_uri()}/index.html")
        wait_for(page, READY)
        violations = find_violations(page, axe.decode())
        give(page, squares[:2], squares[2:])
        violations += find_violations(page, "")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert violations == []


def find_violations(page, axe: str) -> list[dict]:
    page.evaluate(axe)
    return page.evaluate(
        "async () => (await axe.run({ preload: false })).violations.map(({ id, impact }) => ({ id, impact }))"
    )


def test_it_says_what_the_model_is_and_pins_what_it_runs_on(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    for words in ("trained on</dt><dd>avatars", "16 x 16 px", "onnxruntime-web 1.30.0", "connect-src 'none'"):
        assert words in html
    links = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert links
    assert all(link == "data:," or (page_folder / link).is_file() for link in links)
    settings = json.loads((page_folder / "model.js").read_text().removeprefix("const MODEL = ").removesuffix(";\n"))
    assert (settings["side_px"], settings["fit"]) == (16, "crop")
