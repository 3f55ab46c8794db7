import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from chiasm.export import ExportError
from chiasm.export.npm import Package, fetch

CONTENT = b"let it = 1;"
PACKAGE = Package("some-package", "1.2.3", {"dist/it.js": hashlib.sha256(CONTENT).hexdigest()})


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry on the disk; returns its archive of the package."""
    archive = tmp_path / "registry" / "some-package" / "-" / "some-package-1.2.3.tgz"
    archive.parent.mkdir(parents=True)
    monkeypatch.setenv("npm_config_registry", (tmp_path / "registry").as_uri() + "/")
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "cache"))
    publish(archive, CONTENT)
    return archive


def publish(archive: Path, content: bytes) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("package/dist/it.js")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def test_files_are_fetched_once(registry: Path) -> None:
    assert fetch(PACKAGE) == {"dist/it.js": CONTENT}
    registry.unlink()
    assert fetch(PACKAGE) == {"dist/it.js": CONTENT}


def test_a_damaged_cache_is_fetched_again(registry: Path, tmp_path: Path) -> None:
    fetch(PACKAGE)
    (cached,) = (tmp_path / "cache").rglob("it.js")
    cached.write_bytes(b"half")
    assert fetch(PACKAGE) == {"dist/it.js": CONTENT}


def test_other_files_than_those_pinned_are_refused(registry: Path) -> None:
    publish(registry, b"let it = evil;")
    with pytest.raises(ExportError, match=r"dist/it\.js has another checksum than is pinned"):
        fetch(PACKAGE)


@pytest.mark.parametrize("broken", ["missing", "no archive", "without the file"])
def test_what_cannot_be_fetched_is_told_with_the_remedy(broken: str, registry: Path) -> None:
    package = PACKAGE
    if broken == "missing":
        registry.unlink()
    elif broken == "no archive":
        registry.write_bytes(b"not found")
    else:
        package = PACKAGE._replace(sha256={"dist/other.js": "0" * 64})
    with pytest.raises(ExportError, match=r"some-package-1.2.3.tgz cannot be fetched .*npm_config_registry=URL"):
        fetch(package)
