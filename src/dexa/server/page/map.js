// The labels near a text as points of a plane: nearer in meaning, larger point.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 400, HEIGHT = 300, EDGE = 22, NAMES = 9, LETTERS = 24;

function piece(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

const across = (x) => WIDTH / 2 + x * (WIDTH / 2 - EDGE);
const down = (y) => HEIGHT / 2 - y * (HEIGHT / 2 - EDGE);

function overlaps(box, others) {
  return others.some((o) => box.x < o.x + o.w && o.x < box.x + box.w && box.y < o.y + o.h && o.y < box.y + box.h);
}

// A place for a name beside its point that covers no other name; null where there is none.
function roomFor(name, x, y, taken) {
  const w = name.length * 5.9, h = 13;
  const places = [[x + 8, y + 4], [x - w - 8, y + 4], [x - w / 2, y - 9], [x - w / 2, y + 19]];
  for (const [left, base] of places) {
    const box = { x: left, y: base - 10, w, h };
    const inside = left >= 2 && left + w <= WIDTH - 2 && box.y >= 0 && base <= HEIGHT - 2;
    if (inside && !overlaps(box, taken)) return box;
  }
  return null;
}

export function draw(svg, map, answered) {
  const points = [], names = [], taken = [];
  const here = { x: across(map.text[0]), y: down(map.text[1]) };
  taken.push({ x: here.x - 8, y: here.y - 8, w: 16, h: 16 });
  for (const label of map.labels.filter(({ id }) => answered.has(id))) {
    taken.push({ x: across(label.x) - 4, y: down(label.y) - 4, w: 8, h: 8 });
  }
  const self = roomFor("the text", here.x, here.y, taken);
  if (self) {
    taken.push(self);
    names.push(piece("text", { x: self.x, y: self.y + 10, class: "here" }, "the text"));
  }
  const order = [...map.labels].sort((a, b) => answered.has(b.id) - answered.has(a.id) || b.cosine - a.cosine);
  for (const label of order) {
    const x = across(label.x), y = down(label.y);
    const point = piece("circle", { cx: x, cy: y, r: 3 + 5 * Math.max(0, label.cosine) ** 2, "data-label": label.id });
    if (answered.has(label.id)) point.classList.add("answered");
    point.append(piece("title", {}, `${label.text}: cosine ${label.cosine.toFixed(2)}`));
    points.unshift(point);
    const name = label.text.length > LETTERS ? `${label.text.slice(0, LETTERS - 1)}…` : label.text;
    const box = names.length < NAMES ? roomFor(name, x, y, taken) : null;
    if (box) {
      taken.push(box);
      names.push(piece("text", { x: box.x, y: box.y + 10 }, name));
    }
  }
  svg.replaceChildren(...points, piece("circle", { cx: here.x, cy: here.y, r: 6, class: "self" }), ...names);
}

export function choose(svg, id) {
  for (const point of svg.querySelectorAll("circle")) point.classList.toggle("chosen", point.dataset.label === String(id));
}
