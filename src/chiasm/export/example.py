"""Mix two photographs without torch: python example.py A.jpg B.jpg mixed.png (pip install onnxruntime pillow)."""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageOps

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text(encoding="utf-8"))


def prepare(path: str, side: int) -> np.ndarray:
    """An opaque photograph as the model's square, as in training: [1, 3, side, side] float32 in [-1, 1]."""
    file = Image.open(path)
    part = 0.6 if CONFIG["fit"] == "close" else 1.0
    file.draft(None, (round(2 * side / part), round(2 * side / part)))
    image = ImageOps.exif_transpose(file).convert("RGB")
    edge = max(image.size) if CONFIG["fit"] == "pad" else part * min(image.size)
    left, top = (0 if CONFIG["fit"] == "pad" else (length - edge) / 2 for length in image.size)
    box = (left, top, image.width - left, image.height - top)
    inner = [max(1, round(side / edge * (end - start))) for start, end in ((box[0], box[2]), (box[1], box[3]))]
    pixels = np.asarray(image.resize(inner, Image.Resampling.LANCZOS, box, reducing_gap=3.0), dtype=np.float32)
    before = [(side - length) // 2 for length in pixels.shape[:2]]  # what is missing repeats the edge
    after = [side - length - b for length, b in zip(pixels.shape, before, strict=False)]
    pixels = np.pad(pixels, [*zip(before, after, strict=True), (0, 0)], mode="edge")
    return pixels.transpose(2, 0, 1)[None] / 127.5 - 1


if __name__ == "__main__":
    x1, x2 = (prepare(path, CONFIG["side_px"]) for path in sys.argv[1:3])
    (image,) = InferenceSession(HERE / "mix.onnx").run(None, {"x1": x1, "x2": x2})
    pixels = ((image[0] + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(sys.argv[3])
