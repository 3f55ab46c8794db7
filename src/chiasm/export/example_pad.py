"""Mix two photographs without torch: python example.py A.jpg B.jpg mixed.png (pip install onnxruntime pillow)."""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageOps

SIDE = json.loads(Path(__file__).with_name("config.json").read_text(encoding="utf-8"))["side_px"]


def prepare(path: str) -> np.ndarray:
    """A whole opaque photograph on the model's square, edges repeated: [1, 3, side, side] float32 in [-1, 1]."""
    file = Image.open(path)
    file.draft(None, (2 * SIDE, 2 * SIDE))
    image = ImageOps.exif_transpose(file).convert("RGB")
    inner = [max(1, round(length * SIDE / max(image.size))) for length in image.size]
    pixels = np.asarray(image.resize(inner, Image.Resampling.LANCZOS, reducing_gap=3.0), dtype=np.float32)
    missing = [SIDE - length for length in pixels.shape[:2]]
    square = np.pad(pixels, [*((m // 2, m - m // 2) for m in missing), (0, 0)], mode="edge")
    return square.transpose(2, 0, 1)[None] / 127.5 - 1


x1, x2 = map(prepare, sys.argv[1:3])
(image,) = InferenceSession(Path(__file__).with_name("mix.onnx")).run(None, {"x1": x1, "x2": x2})
pixels = ((image[0] + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
Image.fromarray(pixels.transpose(1, 2, 0)).save(sys.argv[3])
