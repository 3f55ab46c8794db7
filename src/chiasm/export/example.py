"""Mix two photographs without torch: python example.py A.jpg B.jpg mixed.png (pip install onnxruntime pillow)."""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageOps

CONFIG = json.loads(Path(__file__).with_name("config.json").read_text(encoding="utf-8"))
SIDE, KEPT = CONFIG["side_px"], 0.6 if CONFIG["fit"] == "close" else 1.0


def prepare(path: str) -> np.ndarray:
    """The middle of an opaque photograph as the model's square: [1, 3, side, side] float32 in [-1, 1]."""
    file = Image.open(path)
    file.draft(None, (round(2 * SIDE / KEPT), round(2 * SIDE / KEPT)))
    image = ImageOps.exif_transpose(file).convert("RGB")
    left, top = ((length - KEPT * min(image.size)) / 2 for length in image.size)
    box = (left, top, image.width - left, image.height - top)
    square = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    return np.asarray(square, dtype=np.float32).transpose(2, 0, 1)[None] / 127.5 - 1


x1, x2 = map(prepare, sys.argv[1:3])
(image,) = InferenceSession(Path(__file__).with_name("mix.onnx")).run(None, {"x1": x1, "x2": x2})
pixels = ((image[0] + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
Image.fromarray(pixels.transpose(1, 2, 0)).save(sys.argv[3])
