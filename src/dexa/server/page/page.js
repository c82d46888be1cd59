// The page: asks as one types, shows answers, tells why, adds labels. It needs nothing but this server.

import { choose, draw } from "/map.js";
import { explained } from "/why.js";

const WAIT = 90; // ms of rest after a key before the server is asked
const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
let facts = { head: 1, changes: false, dimensions: 1 };
let running = new AbortController();

function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

async function ask(path, { signal, ...options } = {}) {
  const answer = await fetch(path, { signal, ...options });
  const said = await answer.json();
  if (answer.ok) return said;
  const where = said.field ? `${said.field}: ` : "";
  throw Object.assign(new Error(where + said.error), { status: answer.status, wait: Number(answer.headers.get("retry-after")) });
}

function post(path, message, signal, headers = {}) {
  return ask(path, { method: "POST", signal, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(message) });
}

// ---- answers

async function tag() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const texts = at("text").value;
  if (!texts.trim()) return clear();
  const k = Number(at("k").value), threshold = at("threshold").value ? Number(at("threshold").value) : null;
  const start = performance.now();
  try {
    const said = await post("/v1/predict", { texts, k, threshold, details: true }, signal);
    show(said.answers[0].labels, performance.now() - start, said.milliseconds);
    if (!facts.dimensions) return;
    const map = await post("/v1/map", { text: texts }, signal);
    draw(at("map"), map, new Set(said.answers[0].labels.map((label) => label.id)));
    choose(at("map"), document.activeElement.dataset.label); // it may have been reached meanwhile
  } catch (error) {
    if (error.name === "AbortError") return;
    say("timing", error.status === 503 ? "The server is busy; asking again" : error.message, true);
    if (error.status === 503) setTimeout(() => signal.aborted || tag(), 1000 * (error.wait || 1));
  }
}

function clear() {
  at("answers").replaceChildren();
  at("map").replaceChildren();
  at("empty").hidden = false;
  say("timing", "");
}

function say(id, text, bad = false) {
  at(id).textContent = text;
  at(id).classList.toggle("bad", bad);
}

function show(labels, total, server) {
  at("empty").hidden = true;
  at("sure").hidden = labels.length > 0 && labels[0].probability === undefined;
  const best = Math.max(...labels.map((label) => label.score));
  at("answers").replaceChildren(...labels.map((label) => row(label, best)));
  const count = labels.length === 1 ? "1 label" : `${labels.length || "no"} labels`;
  say("timing", `${count} in ${total.toFixed(0)} ms (${server.toFixed(1)} in the server)`);
}

function row(label, best) {
  const sure = label.probability;
  const share = sure === undefined ? label.score / Math.max(best, 1e-9) : sure;
  const value = sure === undefined ? label.score.toFixed(2) : `${(100 * sure).toFixed(0)} %`;
  const button = element("button", "answer", element("span", "name", label.text), element("span", "value", value), bar(share), bits(label));
  button.type = "button";
  button.dataset.label = label.id;
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => why(button, label));
  button.addEventListener("focus", () => choose(at("map"), label.id));
  button.addEventListener("mouseenter", () => choose(at("map"), label.id));
  return element("li", "", button);
}

function bar(share) {
  const inner = element("i");
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return element("span", "bar", inner);
}

function bits(label) {
  const kind = label.frequency >= facts.head ? "head" : "tail";
  const count = label.frequency === 1 ? "1 document" : `${number.format(label.frequency)} documents`;
  const scorers = Object.entries(label.scorers).map(([name, score]) =>
    element("span", "", element("span", `dot ${name}`), `${name.replace("_", " ")} ${score.toFixed(2)}`));
  return element("span", "bits", element("span", "", `${kind}, ${count}`), ...scorers);
}

async function why(button, label) {
  const open = button.getAttribute("aria-expanded") === "true";
  for (const other of document.querySelectorAll(".why")) other.remove();
  for (const other of document.querySelectorAll(".answer")) other.setAttribute("aria-expanded", "false");
  if (open) return;
  button.setAttribute("aria-expanded", "true");
  const place = element("div", "why", "…");
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", `Why ${label.text}`);
  button.parentElement.append(place);
  try {
    place.replaceChildren(...explained(await post("/v1/explain", { text: at("text").value, label: label.id })));
  } catch (error) {
    place.textContent = error.message;
  }
}

// ---- labels: found, added, removed

async function find() {
  const query = at("query").value.trim();
  if (!query) return at("found").replaceChildren();
  const said = await ask(`/v1/labels?limit=8&query=${encodeURIComponent(query)}`);
  if (at("query").value.trim() !== query) return undefined;
  const rows = said.labels.map((label) => {
    const pick = element("button", "link", label.text);
    pick.type = "button";
    pick.addEventListener("click", () => write(label.text));
    return element("li", "", pick, element("span", "muted", number.format(label.frequency)));
  });
  return at("found").replaceChildren(...(rows.length ? rows : [element("li", "muted", "None has it.")]));
}

const authorised = () => ({ authorization: `Bearer ${at("token").value}` });

async function add(event) {
  event.preventDefault();
  const lines = at("documents").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const button = at("add").querySelector("button");
  button.disabled = true;
  try {
    const message = { texts: [at("new-label").value], documents: lines.length ? [lines] : null };
    const [label] = (await post("/v1/labels", message, undefined, authorised())).labels;
    say("add-said", `Added “${label.text}”. It answers from now on.`);
    at("added").prepend(removable(label));
    at("new-label").value = at("documents").value = "";
    await introduce();
    if (at("text").value.trim()) await tag();
    else write(label.text);
  } catch (error) {
    say("add-said", error.message, true);
  } finally {
    button.disabled = false;
  }
}

function removable(label) {
  const button = element("button", "link", "Remove");
  const item = element("li", "", element("span", "", label.text), button);
  button.type = "button";
  button.setAttribute("aria-label", `Remove ${label.text}`);
  button.addEventListener("click", async () => {
    try {
      await ask(`/v1/labels/${label.id}`, { method: "DELETE", headers: authorised() });
      item.remove();
      say("add-said", `Removed “${label.text}”.`);
      await introduce();
      await tag();
    } catch (error) {
      say("add-said", error.message, true);
    }
  });
  return item;
}

// ---- the page itself

function write(text) {
  at("text").value = text;
  at("text").focus();
  tag();
}

function rested(action) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, WAIT);
  };
}

function keys(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    at("text").select();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = [...document.querySelectorAll(".answer")];
  const place = rows.indexOf(document.activeElement);
  const text = at("text"), last = document.activeElement === text && text.selectionEnd === text.value.length;
  if (place < 0 && !(last && event.key === "ArrowDown")) return;
  const next = event.key === "ArrowDown" ? rows[Math.min(place + 1, rows.length - 1)] : rows[place - 1] ?? text;
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

async function introduce() {
  facts = await ask("/v1/model");
  document.title = `dexa: ${facts.name}`;
  at("facts").textContent = `${facts.name} · ${number.format(facts.labels)} labels · ${facts.recipe}, ${facts.encoder}`;
  at("nearby").hidden = !facts.dimensions;
  at("add").hidden = !facts.changes;
  at("add-note").textContent = facts.changes
    ? "It is scored by its text at once; texts that have it make it better."
    : "Labels cannot be changed here: the server was started without --token-file.";
  at("examples").replaceChildren(...facts.examples.map((text) => {
    const chip = element("button", "chip", text);
    chip.type = "button";
    chip.addEventListener("click", () => write(text));
    return chip;
  }));
}

at("text").addEventListener("input", rested(tag));
for (const id of ["k", "threshold"]) at(id).addEventListener("change", tag);
at("query").addEventListener("input", rested(() => find().catch((error) => at("found").replaceChildren(element("li", "muted", error.message)))));
at("add").addEventListener("submit", add);
document.addEventListener("keydown", keys);
introduce().then(() => at("text").focus(), (error) => say("timing", error.message, true));
