"use strict";
/* Images become the model's squares in the way of Pillow's resize with LANCZOS and reducing_gap=3, as in training. */

const RADIUS = 3, GAP = 3, MAX_PX = 4096;

/** Decodes a file, upright and over white; large ones are first made smaller by the browser. */
async function decode(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MAX_PX / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** A file as ImageData of side x side pixels. */
async function readSquare(file, side, fit) {
  const image = await decode(file);
  const { width, height } = image;
  if (fit !== "pad") {
    const edge = Math.min(width, height) * (fit === "close" ? 0.6 : 1), left = (width - edge) / 2, top = (height - edge) / 2;
    return new ImageData(resize(image, side, side, [left, top, left + edge, top + edge]).data, side, side);
  }
  const scale = side / Math.max(width, height);
  const inner = [width, height].map((length) => Math.max(1, roundHalfToEven(length * scale)));
  return padded(resize(image, ...inner, [0, 0, width, height]), side);
}

/** Repeats the edge around an image. */
function padded(image, side) {
  const square = new ImageData(side, side);
  const left = Math.floor((side - image.width) / 2), top = Math.floor((side - image.height) / 2);
  const inside = (place, length) => Math.min(Math.max(place, 0), length - 1);
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    const from = 4 * (inside(y - top, image.height) * image.width + inside(x - left, image.width));
    square.data.set(image.data.subarray(from, from + 4), 4 * (y * side + x));
  }
  return square;
}

/** The part of an image in a box [left, top, right, bottom], at another size. */
function resize(image, width, height, box) {
  const spans = [box[2] - box[0], box[3] - box[1]], sizes = [width, height];
  const factors = spans.map((span, k) => Math.floor(span / sizes[k] / GAP) || 1);
  if (Math.max(...factors) > 1) {
    const margins = spans.map((span, k) => (RADIUS - 0.5) * span / sizes[k]);
    const full = [image.width, image.height];
    const first = [0, 1].map((k) => Math.max(0, Math.floor(box[k] - margins[k])));
    const last = [0, 1].map((k) => Math.min(full[k], Math.ceil(box[k + 2] + margins[k])));
    image = reduce(image, factors, first, last);
    box = box.map((place, k) => (place - first[k % 2]) / factors[k % 2]);
  }
  const narrow = transposed(resampleRows(image, width, box[0], box[2]));
  return transposed(resampleRows(narrow, height, box[1], box[3]));
}

/** The means of blocks of factors[0] x factors[1] pixels; the last ones may be smaller. */
function reduce(image, factors, first, last) {
  const [width, height] = factors.map((factor, k) => Math.ceil((last[k] - first[k]) / factor));
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const x0 = first[0] + x * factors[0], y0 = first[1] + y * factors[1];
    const x1 = Math.min(x0 + factors[0], last[0]), y1 = Math.min(y0 + factors[1], last[1]);
    const sums = [0, 0, 0, 0];
    for (let row = y0; row < y1; row++) for (let i = 4 * (row * image.width + x0); i < 4 * (row * image.width + x1); i += 4) {
      for (let c = 0; c < 4; c++) sums[c] += image.data[i + c];
    }
    const count = (x1 - x0) * (y1 - y0);
    for (let c = 0; c < 4; c++) data[4 * (y * width + x) + c] = Math.floor(sums[c] / count + 0.5);
  }
  return { width, height, data };
}

/** Every row at another length: each pixel the weighted mean of those under the filter. */
function resampleRows(image, width, begin, end) {
  const scale = (end - begin) / width, stretch = Math.max(scale, 1);
  const data = new Uint8ClampedArray(4 * width * image.height);
  for (let x = 0; x < width; x++) {
    const centre = begin + (x + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - RADIUS * stretch + 0.5));
    const last = Math.min(image.width, Math.floor(centre + RADIUS * stretch + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) => lanczos((first + i - centre + 0.5) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let y = 0; y < image.height; y++) for (let c = 0; c < 4; c++) {
      let sum = 0;
      for (let i = first; i < last; i++) sum += weights[i - first] * image.data[4 * (y * image.width + i) + c];
      data[4 * (y * width + x) + c] = sum / total;
    }
  }
  return { width, height: image.height, data };
}

function transposed({ width, height, data }) {
  const turned = new Uint8ClampedArray(data.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const from = 4 * (y * width + x);
    turned.set(data.subarray(from, from + 4), 4 * (x * height + y));
  }
  return { width: height, height: width, data: turned };
}

function lanczos(x) {
  const sinc = (t) => (t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t));
  return Math.abs(x) < RADIUS ? sinc(x) * sinc(x / RADIUS) : 0;
}

function roundHalfToEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
