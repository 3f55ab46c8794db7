"""Files of npm packages, fetched once and checked against checksums that are pinned here."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.request
import zlib
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from chiasm.data.cache import default_cache_dir
from chiasm.export.error import ExportError
from chiasm.files import folder_written_whole

REGISTRY = "https://registry.npmjs.org"
TIMEOUT_S = 120


class Package(NamedTuple):
    """A package: its name, its version, and the SHA-256 of each file wanted, by its path in the package."""

    name: str
    version: str
    sha256: Mapping[str, str]


RUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    {
        "dist/ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
        "dist/ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
        "dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    },
)
"""What runs ONNX files in a browser, on the processor alone."""


def fetch(package: Package) -> dict[str, bytes]:
    """The files of a package, from the cache or else from the registry.

    Returns:
        The content of each file of `package.sha256`, by its path.

    Raises:
        ExportError: if they cannot be fetched, or are not those that are pinned.
    """
    place = default_cache_dir() / "npm" / f"{package.name}-{package.version}"
    try:
        files = {path: (place / Path(path).name).read_bytes() for path in package.sha256}
    except OSError:
        files = {}
    if _differing(package, files):
        files = _download(package)
        place.parent.mkdir(parents=True, exist_ok=True)
        with folder_written_whole(place) as folder:
            for path, content in files.items():
                (folder / Path(path).name).write_bytes(content)
    return files


def _download(package: Package) -> dict[str, bytes]:
    """The pinned files out of the registry's archive."""
    url = f"{_registry()}/{package.name}/-/{package.name}-{package.version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            archive = io.BytesIO(answer.read())
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            found = {path: tar.extractfile(f"package/{path}") for path in package.sha256}
            files = {path: file.read() for path, file in found.items() if file is not None}
    except (OSError, EOFError, ValueError, KeyError, HTTPException, tarfile.TarError, zlib.error) as error:
        raise ExportError(
            f"{url} cannot be fetched ({error}); go online for this once, or name a mirror of the registry: "
            "npm_config_registry=URL"
        ) from error
    differing = _differing(package, files)
    if differing:
        raise ExportError(f"{url}: {', '.join(differing)} has another checksum than is pinned; use another registry.")
    return files


def _differing(package: Package, files: Mapping[str, bytes]) -> list[str]:
    return [p for p, pinned in package.sha256.items() if hashlib.sha256(files.get(p, b"")).hexdigest() != pinned]


def _registry() -> str:
    """The registry that npm is set up with, without a final slash."""
    chosen = next((value for key, value in os.environ.items() if key.lower() == "npm_config_registry"), "")
    npm = shutil.which("npm")
    if not chosen and npm is not None:
        done = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
        chosen = done.stdout.strip() if done.returncode == 0 else ""
    return (chosen or REGISTRY).rstrip("/")
