"""Mix two photographs without torch: python example.py A.jpg B.jpg mixed.png (pip install onnxruntime pillow)."""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageOps

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
SIZE = (CONFIG["side_px"], CONFIG["side_px"])


def prepare(path: str) -> np.ndarray:
    """A photograph as the model's square: [1, 3, side, side] float32 in [-1, 1]."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if CONFIG["fit"] == "crop":
        image = ImageOps.fit(image, SIZE, Image.Resampling.LANCZOS)
    else:  # the edge is repeated
        image = ImageOps.contain(image, SIZE, Image.Resampling.LANCZOS)
        down, across = ((SIZE[0] - length) // 2 for length in (image.height, image.width))
        edges = [(down, SIZE[0] - image.height - down), (across, SIZE[0] - image.width - across), (0, 0)]
        image = Image.fromarray(np.pad(np.asarray(image), edges, mode="edge"))
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None] / 127.5 - 1


if __name__ == "__main__":
    session = InferenceSession(HERE / "mix.onnx")
    (mixed,) = session.run(None, {"x1": prepare(sys.argv[1]), "x2": prepare(sys.argv[2])})
    pixels = ((mixed[0] + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(sys.argv[3])
