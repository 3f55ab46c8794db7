"""The names of millions of images, without a Python object for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class PackedStrings(Sequence[str]):
    """PackedStrings as one run of text and where each of them ends: two arrays, which may be memory-mapped.

    Args:
        text: [bytes] uint8, the names in UTF-8, one after another; names of files that are no text survive it.
        ends: [n] int64, where each name ends in the text.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.text, self.ends = text, ends

    @classmethod
    def of(cls, names: Iterable[str]) -> PackedStrings:
        """The same names in this form."""
        coded = [name.encode("utf-8", "surrogatepass") for name in names]
        return cls(np.frombuffer(b"".join(coded), dtype=np.uint8), np.cumsum([len(c) for c in coded], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[i] for i in range(len(self))[place]]
        i = range(len(self))[place]
        start = int(self.ends[i - 1]) if i > 0 else 0
        return self.text[start : int(self.ends[i])].tobytes().decode("utf-8", "surrogatepass")
