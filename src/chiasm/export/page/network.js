"use strict";
/* The model at work: images to codes, codes to images. RUNTIME and MODEL are scripts beside this one. */

/** What is packed as gzip in base64. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Starts the runtime on the processor, in one thread, from what is in memory; returns a session for each network. */
async function loadSessions() {
  const script = new Blob([await unpack(RUNTIME.packed.mjs)], { type: "text/javascript" });
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(script) };
  ort.env.wasm.wasmBinary = await unpack(RUNTIME.packed.wasm);
  ort.env.wasm.numThreads = 1;
  const sessions = {};
  for (const [name, packed] of Object.entries(MODEL.packed)) {
    sessions[name] = await ort.InferenceSession.create(await unpack(packed), { executionProviders: ["wasm"] });
  }
  return sessions;
}

/** The code of a square, A or B by the session. */
async function encode(session, square) {
  const side = square.width, places = side * side, values = new Float32Array(3 * places);
  for (let i = 0; i < places; i++) for (let c = 0; c < 3; c++) values[c * places + i] = square.data[4 * i + c] / 127.5 - 1;
  const outputs = await session.run({ x: new ort.Tensor("float32", values, [1, 3, side, side]) });
  return outputs[session.outputNames[0]].data;
}

/** The square that codes A and B give. */
async function generate(session, a, b) {
  const inputs = { a: new ort.Tensor("float32", a, [1, a.length]), b: new ort.Tensor("float32", b, [1, b.length]) };
  const { image } = await session.run(inputs);
  const side = image.dims[2], places = side * side, square = new ImageData(side, side);
  for (let i = 0; i < places; i++) {
    // Uint8ClampedArray rounds, and clips.
    for (let c = 0; c < 3; c++) square.data[4 * i + c] = (image.data[c * places + i] + 1) * 127.5;
    square.data[4 * i + 3] = 255;
  }
  return square;
}
