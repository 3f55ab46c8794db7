"""What a set of images holds, in words and as one image."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chiasm.data.image_set import UNLABELLED, ImageSet
from chiasm.data.written import WRITTEN

NEARLY_CONSTANT = 2.0
"""Standard deviation of 8-bit pixels below which an image shows nothing."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """Counts and findings; str() makes them readable.

    Attributes:
        num_images: usable images.
        side_px: their height and width.
        num_unlabelled: images without a class.
        class_sizes: images of each class that has any, by name.
        content_sizes: for each content factor, the images of each of its values, by name.
        num_combinations: different combinations of class and contents that are shown.
        num_possible: combinations that there could be.
        partition_sizes: images of each part of an official split.
        original_sizes: smallest and largest width and height in pixels; None where unknown.
        num_enlarged: images whose shorter side was smaller than side_px.
        duplicates: groups of images that are equal in every pixel, by name.
        nearly_constant: images that show hardly anything, by name.
        left_out: what lies there and is no data, a line each.
        skipped: files that could not be used, and why.
    """

    num_images: int
    side_px: int
    num_unlabelled: int
    class_sizes: dict[str, int]
    content_sizes: dict[str, dict[str, int]]
    num_combinations: int
    num_possible: int
    partition_sizes: dict[str, int]
    original_sizes: tuple[tuple[int, int], tuple[int, int]] | None
    num_enlarged: int
    duplicates: tuple[tuple[str, ...], ...]
    nearly_constant: tuple[str, ...]
    left_out: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join([*self._counts(), *self._labels(), *self._findings()])

    def _counts(self) -> list[str]:
        lines = [f"{self.num_images} images, {self.side_px} x {self.side_px} pixels once decoded"]
        if self.original_sizes is not None:
            (w0, w1), (h0, h1) = self.original_sizes
            lines.append(f"original sizes: {_span(w0, w1)} wide, {_span(h0, h1)} high")
        if self.num_enlarged:
            lines.append(f"enlarged: {self.num_enlarged} images are smaller than {self.side_px} pixels")
        if self.partition_sizes:
            lines.append("official split: " + _listed(self.partition_sizes))
        return lines

    def _labels(self) -> list[str]:
        sizes = sorted(self.class_sizes.values())
        lines = ["classes: none"]
        if sizes:
            lines = [
                f"classes: {len(sizes)}, images of each: {sizes[0]} at least, "
                f"{int(np.median(sizes))} in the middle, {sizes[-1]} at most"
            ]
        if self.num_unlabelled and sizes:
            lines.append(f"without a class: {self.num_unlabelled} images")
        lines += [f"content {name}: {_listed(values)}" for name, values in self.content_sizes.items()]
        if self.content_sizes:
            lines.append(f"combinations shown: {self.num_combinations} of {self.num_possible}")
        return lines

    def _findings(self) -> list[str]:
        lines = []
        if self.duplicates:
            more = sum(map(len, self.duplicates)) - len(self.duplicates)
            lines.append(f"exact duplicates: {more}, such as {' = '.join(self.duplicates[0][:3])}")
        if self.nearly_constant:
            shown = ", ".join(self.nearly_constant[:5])
            lines.append(f"nearly constant images: {len(self.nearly_constant)}, such as {shown}")
        lines += self.left_out
        if self.skipped:
            lines.append(f"unusable files: {len(self.skipped)}")
            lines += [f"  {name}: {reason}" for name, reason in self.skipped[:20]]
        if len(self.skipped) > 20:
            lines.append(f"  and {len(self.skipped) - 20} more")
        return lines


def describe(images: ImageSet) -> Description:
    """Counts what a set holds and looks for what is wrong with it; reads every pixel once.

    Args:
        images: the images.

    Returns:
        The findings.
    """
    side_px = int(images.images.shape[-1])
    sizes = images.sizes
    extent = None
    if sizes is not None:
        low, high = sizes.min(axis=0).tolist(), sizes.max(axis=0).tolist()
        extent = ((low[0], high[0]), (low[1], high[1]))
    combinations = np.unique(np.column_stack([images.classes, images.contents]), axis=0)
    class_sizes = _value_sizes(images.classes, images.class_names)
    duplicates, nearly_constant = _inspect_pixels(images)
    return Description(
        num_images=len(images),
        side_px=side_px,
        num_unlabelled=int((images.classes == UNLABELLED).sum()),
        class_sizes=class_sizes,
        content_sizes={
            name: _value_sizes(images.contents[:, k], images.content_values[k])
            for k, name in enumerate(images.content_names)
        },
        num_combinations=int((combinations != UNLABELLED).all(axis=1).sum()),
        num_possible=len(class_sizes) * int(np.prod([len(v) for v in images.content_values], dtype=np.int64)),
        partition_sizes=dict(Counter(images.partition or ())),
        original_sizes=extent,
        num_enlarged=0 if sizes is None else int((sizes.min(axis=1) < side_px).sum()),
        duplicates=duplicates,
        nearly_constant=nearly_constant,
        left_out=tuple(_left_out(images)),
        skipped=tuple((name, reason) for name, reason in images.skipped if reason != WRITTEN),
    )


def announce(images: ImageSet) -> None:
    """Say on standard error what lies beside the images and is not used."""
    num_unusable = sum(reason != WRITTEN for _, reason in images.skipped)
    lines = _left_out(images)
    if num_unusable:
        lines.append(f"unusable: {num_unusable} files (chiasm data names them)")
    for line in lines:
        print(line, file=sys.stderr)


def _left_out(images: ImageSet) -> list[str]:
    num_written = sum(reason == WRITTEN for _, reason in images.skipped)
    lines = [f"left out: {num_written} image{'s' if num_written > 1 else ''} that chiasm wrote"] if num_written else []
    return lines + ([f"ignored: {images.ignored}"] if images.ignored else [])


def _value_sizes(numbers: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(numbers[numbers != UNLABELLED], minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _inspect_pixels(images: ImageSet) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Groups of equal images, and images that are nearly constant."""
    pixels = (image for part in images.parts() for image in part)
    same: dict[bytes, list[str]] = {}
    constant = []
    for name, image, digest in zip(images.names, pixels, images.digests().tolist(), strict=True):
        same.setdefault(digest, []).append(name)
        if image.std(axis=(1, 2)).max() < NEARLY_CONSTANT:
            constant.append(name)
    return tuple(tuple(names) for names in same.values() if len(names) > 1), tuple(constant)


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _listed(sizes: dict[str, int]) -> str:
    shown = ", ".join(f"{name} {size}" for name, size in list(sizes.items())[:12])
    return shown if len(sizes) <= 12 else f"{shown} and {len(sizes) - 12} more values"


def some_rows(images: ImageSet, columns: int, num_rows: int) -> NDArray[np.int64]:
    """What a contact sheet of so many rows shows: all images where they fit, else a row of each of some classes.

    Args:
        images: the images.
        columns: images in a row.
        num_rows: at most.

    Returns:
        [m] indices.
    """
    labels, sizes = np.unique(images.classes, return_counts=True)
    if (-(-sizes // columns)).sum() <= num_rows:
        return np.arange(len(images))
    each = columns * max(1, num_rows // len(labels))
    chosen = labels[np.linspace(0, len(labels) - 1, min(len(labels), num_rows)).round().astype(np.int64)]
    return np.concatenate([np.flatnonzero(images.classes == label)[:each] for label in chosen])


def contact_sheet(images: ImageSet, indices: NDArray[np.int64], columns: int) -> Image.Image:
    """Images side by side, each class beginning a row of its own.

    Args:
        images: the images.
        indices: [m] those to show.
        columns: images in a row.

    Returns:
        An RGB image on white, `columns` images wide.

    Raises:
        ValueError: if there is nothing to show or no column to show it in.
    """
    if len(indices) == 0 or columns < 1:
        raise ValueError(f"indices, columns: got {len(indices)} and {columns}; give at least one of each.")
    side = int(images.images.shape[-1])
    indices = indices[np.argsort(images.classes[indices], kind="stable")]
    rows = []
    for label in np.unique(images.classes[indices]):
        of_class = indices[images.classes[indices] == label]
        rows += [of_class[i : i + columns] for i in range(0, len(of_class), columns)]
    sheet = np.full((len(rows) * side, columns * side, 3), 255, dtype=np.uint8)
    for row, shown in enumerate(rows):
        strip = images.gather(shown).transpose(2, 0, 3, 1).reshape(side, -1, 3)
        sheet[row * side : (row + 1) * side, : strip.shape[1]] = strip
    return Image.fromarray(sheet)
