"use strict";
/* The page: images for A and B in, a matrix of all mixes and one large mix out. */

const element = (id) => document.getElementById(id);
const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const FACTORS = ["a", "b"];
const SHEET_GAP_PX = 2;
const items = { a: [], b: [] }; // each {name, square, code, cells: squares by the other item}
let loaded = null;
let work = Promise.resolve();

/** Does one thing after another; what goes wrong is told. */
function enqueue(task) {
  work = work.then(task).catch((error) => tell(`Something went wrong: ${error.message}`));
}

function tell(text) {
  element("status").textContent = text;
}

function canvasOf(square) {
  const canvas = make("canvas", { width: square.width, height: square.height });
  canvas.getContext("2d").putImageData(square, 0, 0);
  return canvas;
}

/** Takes files in as images for a factor. */
function add(files, factor) {
  enqueue(async () => {
    const sessions = await loaded, refused = [];
    for (const [i, file] of [...files].entries()) {
      tell(`Reading image ${i + 1} of ${files.length} …`);
      let square;
      try {
        square = await readSquare(file, MODEL.side_px, MODEL.fit);
      } catch {
        refused.push(file.name);
        continue;
      }
      const code = await encode(sessions[`encoder_${factor}`], square);
      items[factor].push({ name: file.name, square, code, cells: new WeakMap() });
    }
    showList(factor);
    await showResults(sessions);
    if (refused.length) tell(`This browser cannot read ${refused.join(", ")}; give JPEG or PNG.`);
  });
}

function remove(item, factor) {
  enqueue(async () => {
    const place = items[factor].indexOf(item);
    if (place < 0) return; // asked for twice
    items[factor].splice(place, 1);
    showList(factor);
    element(`files-${factor}`).focus();
    await showResults(await loaded);
  });
}

function showList(factor) {
  element(`list-${factor}`).replaceChildren(...items[factor].map((item) => {
    const button = make("button", { type: "button", textContent: "remove", onclick: () => remove(item, factor) });
    button.setAttribute("aria-label", `remove ${item.name}`);
    return make("li", {}, canvasOf(item.square), item.name, button);
  }));
  const options = () => items[factor].map((item, i) => make("option", { textContent: `${i + 1}: ${item.name}` }));
  for (const end of ["from", "to"]) element(`${end}-${factor}`).replaceChildren(...options());
  blendFrom(factor, 0);
  for (const id of ["to", "share"]) element(`${id}-${factor}`).disabled = items[factor].length < 2;
}

/** Starts a blend at an image, and leads it to the next one. */
function blendFrom(factor, i) {
  element(`from-${factor}`).selectedIndex = i;
  element(`to-${factor}`).selectedIndex = (i + 1) % items[factor].length;
  element(`share-${factor}`).value = 0;
}

/** The matrix and the large mix, where there is an image for both. */
async function showResults(sessions) {
  const complete = items.a.length > 0 && items.b.length > 0;
  element("results").hidden = !complete;
  if (!complete) {
    tell(items.a.length ? "Now an image for B." : items.b.length ? "Now an image for A." : "Ready: drop or choose images.");
    return;
  }
  tell("Mixing …");
  for (const a of items.a) for (const b of items.b) {
    if (!a.cells.has(b)) a.cells.set(b, await generate(sessions.generator, a.code, b.code));
  }
  showMatrix();
  await showMix(sessions);
  tell(`${items.a.length * items.b.length} mixed.`);
}

function showMatrix() {
  const heading = (item, scope) => {
    const canvas = canvasOf(item.square);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", item.name);
    return make("th", { scope }, canvas);
  };
  const corner = make("td", { textContent: "A \\ B" });
  const rows = items.a.map((a) => make("tr", {}, heading(a, "row"), ...items.b.map((b) => {
    const button = make("button", { type: "button", onclick: () => choose(a, b) }, canvasOf(a.cells.get(b)));
    button.setAttribute("aria-label", `A of ${a.name}, B of ${b.name}`);
    return make("td", {}, button);
  })));
  const head = make("thead", {}, make("tr", {}, corner, ...items.b.map((b) => heading(b, "col"))));
  element("matrix").replaceChildren(head, make("tbody", {}, ...rows));
}

/** Shows a cell of the matrix large. */
function choose(a, b) {
  blendFrom("a", items.a.indexOf(a));
  blendFrom("b", items.b.indexOf(b));
  enqueue(async () => showMix(await loaded));
}

/** What is chosen for a factor: the two images, and how much of the second. */
function chosen(factor) {
  const [from, to] = ["from", "to"].map((end) => items[factor][element(`${end}-${factor}`).selectedIndex]);
  return { from, to, share: Number(element(`share-${factor}`).value) };
}

async function showMix(sessions) {
  const codes = [], names = [];
  for (const factor of FACTORS) {
    const { from, to, share } = chosen(factor);
    codes.push(from.code.map((value, i) => value * (1 - share) + to.code[i] * share));
    names.push(share ? `${Math.round(100 * (1 - share))} % ${from.name}, ${Math.round(100 * share)} % ${to.name}` : from.name);
  }
  element("mix").getContext("2d").putImageData(await generate(sessions.generator, ...codes), 0, 0);
  element("mix").setAttribute("aria-label", `mix: A of ${names[0]}; B of ${names[1]}`);
  const [a, b] = FACTORS.map((factor) => chosen(factor)).map(({ from, share }) => (share ? null : from));
  const pressed = items.a.indexOf(a) * items.b.length + items.b.indexOf(b);
  element("matrix").querySelectorAll("td button").forEach((button, i) => {
    button.setAttribute("aria-pressed", String(Boolean(a && b) && i === pressed));
  });
}

/** The matrix as one image, the sources in the first row and column. */
function sheet() {
  const step = MODEL.side_px + SHEET_GAP_PX;
  const canvas = make("canvas", { width: (items.b.length + 1) * step - SHEET_GAP_PX, height: (items.a.length + 1) * step - SHEET_GAP_PX });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  items.b.forEach((b, j) => context.putImageData(b.square, (j + 1) * step, 0));
  items.a.forEach((a, i) => {
    context.putImageData(a.square, 0, (i + 1) * step);
    items.b.forEach((b, j) => context.putImageData(a.cells.get(b), (j + 1) * step, (i + 1) * step));
  });
  return canvas;
}

function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

/** Images dropped into a zone are for its factor; elsewhere the first is for A and the others are for B. */
function drop(event) {
  event.preventDefault();
  mark(null);
  const files = [...event.dataTransfer.files], zone = event.target.closest(".zone");
  if (zone) {
    add(files, zone.dataset.factor);
  } else {
    if (files.length) add(files.slice(0, 1), "a");
    if (files.length > 1) add(files.slice(1), "b");
  }
}

function mark(zone) {
  document.querySelectorAll(".zone").forEach((each) => each.classList.toggle("over", each === zone));
}

for (const factor of FACTORS) {
  const input = element(`files-${factor}`);
  input.addEventListener("change", () => {
    add([...input.files], factor);
    input.value = "";
  });
  for (const id of ["from", "to", "share"]) {
    element(`${id}-${factor}`).addEventListener("input", () => enqueue(async () => showMix(await loaded)));
  }
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  mark(event.target.closest(".zone"));
});
document.addEventListener("drop", drop);
element("save-mix").addEventListener("click", () => save(element("mix"), "mix.png"));
element("save-matrix").addEventListener("click", () => save(sheet(), "matrix.png"));
loaded = loadSessions();
enqueue(async () => showResults(await loaded));
