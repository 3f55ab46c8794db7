from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from chiasm.config import DataConfig
from chiasm.data import DataError, cache, open_data
from chiasm.data.sources.folder import Folder


@pytest.fixture
def photos(tmp_path, write_image):
    for i in range(5):
        write_image(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png", colour=40 * i)
    return tmp_path / "photos"


@pytest.fixture
def count_decoded(monkeypatch):
    """How many images were decoded, as a list that grows."""
    decoded: list[int] = []
    original = Folder.decode

    def decode(self, indices, side_px, fit):
        decoded.extend(indices)
        return original(self, indices, side_px, fit)

    monkeypatch.setattr(Folder, "decode", decode)
    return decoded


def caches(cache_dir: Path) -> list[Path]:
    """The folders that hold decoded images, or would: what is hidden beside them are locks."""
    return [path for path in cache_dir.iterdir() if path.suffix != ".lock"]


def open_photos(photos, side_px=8, **options):
    return open_data(DataConfig(source=str(photos), **options), side_px, progress_bar=False)


def test_second_opening_decodes_nothing_and_is_equal(photos, count_decoded):
    first = open_photos(photos)
    assert len(count_decoded) == 5
    second = open_photos(photos)
    assert len(count_decoded) == 5
    assert isinstance(second.images.base, np.memmap)
    assert not second.images.flags.writeable
    np.testing.assert_array_equal(first.images, second.images)
    assert (list(first.names), first.class_names) == (list(second.names), second.class_names)
    assert first.images[:, 0, 0, 0].tolist() == [0, 80, 160, 40, 120]  # a/0 a/2 a/4 b/1 b/3
    assert second.sizes is not None
    assert second.sizes.tolist() == [[24, 16]] * 5


def test_another_side_or_fit_is_another_cache(photos, count_decoded):
    assert open_photos(photos).images.shape == (5, 3, 8, 8)
    assert open_photos(photos, side_px=4).images.shape == (5, 3, 4, 4)
    open_photos(photos, fit="pad")
    assert len(count_decoded) == 15


def test_changed_file_is_decoded_again(photos, write_image):
    before = open_photos(photos)
    write_image(photos / "a" / "2.png", colour=255)
    after = open_photos(photos)
    assert before.images[1].max() == 80
    assert after.images[1].min() == 255


def test_added_file_and_changed_labels_are_seen(photos, write_image):
    assert len(open_photos(photos)) == 5
    write_image(photos / "c" / "9.png")
    assert open_photos(photos).class_names == ("a", "b", "c")
    (photos / "metadata.csv").write_text("file_name,class\na/0.png,dog\n")
    assert open_photos(photos).class_names == ("dog",)


@pytest.mark.parametrize("name", ["images.npy", "index.json", "classes.npy", "sizes.npy"])
def test_damaged_cache_is_rebuilt(photos, cache_dir, count_decoded, name):
    whole = np.array(open_photos(photos).images)
    [place] = caches(cache_dir)
    os.truncate(place / name, (place / name).stat().st_size // 2)
    np.testing.assert_array_equal(open_photos(photos).images, whole)
    assert len(count_decoded) == 10
    assert caches(cache_dir) == [place]


def test_a_cache_whose_parts_are_damaged_is_rebuilt(tmp_path, cache_dir, write_image, count_decoded):
    for part in ("train", "val", "test"):
        write_image(tmp_path / "photos" / part / "a" / "0.png")
    assert open_photos(tmp_path / "photos").partition == ("test", "train", "val")
    [place] = caches(cache_dir)
    os.truncate(place / "partition.npy", 0)
    assert open_photos(tmp_path / "photos").partition == ("test", "train", "val")
    assert len(count_decoded) == 6
    assert len(open_photos(tmp_path / "photos")) == 3
    assert len(count_decoded) == 6


def test_interrupted_building_leaves_nothing(photos, cache_dir, monkeypatch):
    def interrupt(self, indices, side_px, fit):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "decode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_photos(photos)
    assert caches(cache_dir) == []
    assert len(open_photos(photos)) == 5


def test_what_a_killed_decoding_has_left_goes_with_the_next(photos, cache_dir):
    open_photos(photos)
    [place] = caches(cache_dir)
    left = place.rename(place.with_name(f".{place.name}.{'a' * 32}"))
    other = shutil.copytree(left, left.with_name(f".another.{'a' * 32}"))
    assert len(open_photos(photos)) == 5
    assert not left.exists()
    assert other.exists()


def test_of_two_at_once_one_decodes(photos, cache_dir, count_decoded):
    together = threading.Barrier(2)
    original = Folder.listing
    results = []

    class Slow(Folder):
        def listing(self):
            found = original(self)
            together.wait(timeout=10)
            return found

    def build():
        results.append(cache.open_cached(Slow(photos), 8, "crop", progress_bar=False))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    np.testing.assert_array_equal(results[0].images, results[1].images)
    assert len(caches(cache_dir)) == 1
    assert len(count_decoded) == 5


def test_unusable_files_are_skipped_and_named(photos, write_image):
    (photos / "a" / "1_bad.png").write_bytes(b"nothing")
    images = open_photos(photos)
    assert [name for name, _ in images.skipped] == ["a/1_bad.png"]
    assert "a/1_bad.png" not in images.names
    assert images.images[:, 0, 0, 0].tolist() == [0, 80, 160, 40, 120]
    assert images.classes.tolist() == [0, 0, 0, 1, 1]


def test_many_images_in_threads_keep_their_order(tmp_path, write_image, monkeypatch):
    monkeypatch.setattr(cache, "FEW", 3)
    monkeypatch.setattr(Folder, "chunk_size", 2)
    for i in range(37):
        write_image(tmp_path / "many" / f"{i}.png", colour=5 * i, size=(3 + i, 5))
    images = open_photos(tmp_path / "many", side_px=2)
    assert images.images[:, 0, 0, 0].tolist() == [5 * i for i in range(37)]
    assert images.names[10] == "10.png"


@pytest.mark.parametrize(("num_values", "complete"), [(12, True), (6, True), (5, False)])
def test_labels_that_many_images_share_do_not_say_all(num_values, complete, tmp_path, write_image):
    rows = [f"{i}.png,x,{i % num_values}" for i in range(12)]
    for i in range(12):
        write_image(tmp_path / "photos" / f"{i}.png", colour=5 * i)
    (tmp_path / "photos" / "metadata.csv").write_text("\n".join(["file_name,class,pose", *rows]))
    assert open_photos(tmp_path / "photos").contents_complete == complete


def test_fewer_than_two_images(tmp_path, write_image):
    write_image(tmp_path / "one" / "a.png")
    (tmp_path / "one" / "b.png").touch()
    with pytest.raises(DataError, match=r"1 usable images.*at least 2.*b\.png: not an image"):
        open_photos(tmp_path / "one")


def test_unwritable_cache_says_what_to_set(photos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="CHIASM_CACHE"):
        open_data(DataConfig(source=str(photos)), 8, cache_dir=tmp_path / "file", progress_bar=False)


def test_full_disk_is_foreseen(photos, monkeypatch):
    usage = cache.shutil.disk_usage(photos)._replace(free=10)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="CHIASM_CACHE"):
        open_photos(photos)


def test_without_pixels_images_are_decoded_whenever_they_are_asked_for(photos, cache_dir, write_image, count_decoded):
    (photos / "a" / "2.png").write_bytes(b"broken")
    kept = open_photos(photos)
    opened = [open_photos(photos, cache="off") for _ in range(2)]
    assert sum(path.stat().st_size for path in cache_dir.glob("*-names/*")) < 4 * 3 * 8 * 8 + 3000
    assert not list(cache_dir.glob("*-names/images.npy"))
    index = np.array([[3, 0], [0, 2]])
    for images in opened:
        assert list(images.names) == list(kept.names)
        assert images.skipped == kept.skipped
        assert images.images.shape == kept.images.shape
        np.testing.assert_array_equal(images.gather(index), kept.gather(index))
        np.testing.assert_array_equal(images.images[1], kept.images[1])
        np.testing.assert_array_equal(np.concatenate(list(images.parts())), kept.images)
        np.testing.assert_array_equal(images.digests(), kept.digests())
    np.testing.assert_array_equal(dataclasses.replace(kept, known_digests=None).digests(), kept.digests())
    count_decoded.clear()
    opened[0].gather(np.array([1, 1]))
    assert count_decoded == [2, 2]  # the second usable image is the third file


def test_an_image_that_has_gone_is_named(photos):
    images = open_photos(photos, cache="off")
    (photos / "b" / "1.png").unlink()
    with pytest.raises(DataError, match="b/1.png: the file does not exist; it could be used before"):
        images.gather(np.arange(5))


def test_without_pixels_there_need_be_no_space(photos, monkeypatch):
    monkeypatch.setattr("chiasm.data.cache.shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    assert len(open_photos(photos, cache="off")) == 5
