// Why a label was answered: what each scorer gives, which words move the score, who votes for it.

const SCORERS = {
  label_search: "label search", classifiers: "classifiers", neighbours: "neighbours", label_words: "label words", linear: "linear",
};

function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

// Rows of a name, a number and a bar; the longest bar is the largest of all.
function parts(rows) {
  const most = Math.max(...rows.map((row) => Math.abs(row.value)), 1e-9);
  const list = element("dl");
  for (const { name, value, said } of rows) {
    const inner = element("i");
    inner.style.width = `${(100 * Math.abs(value)) / most}%`;
    list.append(element("dt", "", name), element("dd", "", said ?? signed(value)), element("dd", value < 0 ? "bar less" : "bar", inner));
  }
  return list;
}

function shares(why) {
  const read = why.scorers.filter((scorer) => scorer.share !== null);
  const rows = read.map(({ name, share }) => ({ name: SCORERS[name] ?? name, value: share }));
  if (why.base) rows.push({ name: "whatever is proposed", value: why.base });
  if (why.rarity) rows.push({ name: "for being rare", value: why.rarity });
  return [element("h3", "", `The score, ${why.score.toFixed(2)}, comes from`), parts(rows)];
}

function meaning(why) {
  if (!why.auxiliary_part) return [];
  const rows = [{ name: "the label text", value: why.label_text_part }, { name: "its auxiliary vector", value: why.auxiliary_part }];
  return [element("h3", "", "Its likeness by label search comes from"), parts(rows)];
}

function words(why) {
  if (!why.tokens.length) return [];
  const letters = [...why.text], most = Math.max(...why.tokens.map((token) => Math.abs(token.score)), 1e-9);
  const line = element("p", "words");
  let end = 0;
  for (const token of why.tokens) {
    const span = element("span", token.score >= 0 ? "for" : "against", token.text);
    span.style.setProperty("--much", Math.abs(token.score) / most);
    span.title = `without it the score is ${signed(-token.score)}`;
    line.append(letters.slice(end, token.start).join(""), span);
    end = token.start + [...token.text].length;
  }
  line.append(letters.slice(end).join(""));
  return [element("h3", "", "Words that move the score"), line];
}

function listed(title, rows) {
  return rows.length ? [element("h3", "", title), element("ul", "", ...rows.map((row) => element("li", "", ...row)))] : [];
}

const small = (text) => element("span", "muted", ` ${text}`);

export function explained(why) {
  const voters = why.voters.map((one) => [one.text ?? `document ${one.document}`, small(`${one.scorer === "neighbours" ? "alike" : "alike in words"} by ${one.similarity.toFixed(2)}`)]);
  const terms = (several) => several.map((term) => [term.text, small(signed(term.share))]);
  return [
    ...shares(why), ...meaning(why), ...words(why),
    ...listed("Training documents that vote for it", voters),
    ...listed("Words in common with the label text", terms(why.label_words)),
    ...listed("Words that were learnt for it", terms(why.linear)),
  ];
}
