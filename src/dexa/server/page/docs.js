// The OpenAPI document of this server, to be read.

function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const resolved = (schema, all) => (schema?.$ref ? all[schema.$ref.split("/").pop()] : schema) ?? {};

function kind(schema, all) {
  if (schema.anyOf) return schema.anyOf.map((one) => kind(one, all)).join(" or ");
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return schema.items ? `list of ${kind(schema.items, all)}` : "list";
  return schema.type ?? "any";
}

function bounds(schema) {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const words = { minimum: "from", maximum: "to", exclusiveMaximum: "below", minLength: "characters from", maxLength: "characters to", minItems: "entries from", maxItems: "entries to" };
  return parts.flatMap((part) => Object.entries(words).filter(([key]) => key in part).map(([key, word]) => `${word} ${part[key].toLocaleString("en")}`)).join(", ");
}

function fields(schema, all) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const needed = schema.required?.includes(name) ? "needed" : field.default === undefined ? "" : `default ${JSON.stringify(field.default)}`;
    return element("tr", "", element("td", "", element("code", "", name)), element("td", "", kind(field, all)),
      element("td", "", [field.description, bounds(field), needed].filter(Boolean).join("; ")));
  });
  if (!rows.length) return [];
  const head = element("tr", "", ...["field", "type", "meaning"].map((text) => element("th", "", text)));
  const table = element("table", "", element("thead", "", head), element("tbody", "", ...rows));
  const scroll = element("div", "scroll", table);
  scroll.tabIndex = 0;
  return [scroll];
}

function example(method, path, body, all) {
  const target = `curl ${location.origin}${path.replace("{label}", "7")}`;
  if (method === "get") return path === "/v1/labels" ? `${target}?query=dog` : target;
  if (!body) return `${target} -X ${method.toUpperCase()} -H "authorization: Bearer $TOKEN"`;
  const sample = {};
  for (const name of body.required ?? []) sample[name] = kind(body.properties[name], all).startsWith("list") ? ["a small dog"] : name === "label" ? 7 : "a small dog";
  const token = path === "/v1/labels" ? ' -H "authorization: Bearer $TOKEN"' : "";
  return `${target}${token} -H "content-type: application/json" -d '${JSON.stringify(sample)}'`;
}

function operation(path, method, described, all) {
  const content = described.requestBody?.content["application/json"].schema;
  const body = content && resolved(content, all);
  const [good] = Object.entries(described.responses);
  const answer = resolved(good[1].content["application/json"]?.schema, all);
  const query = { properties: Object.fromEntries((described.parameters ?? []).map((p) => [p.name, { ...p.schema, description: p.description }])) };
  const refused = Object.keys(described.responses).slice(1).join(", ");
  const title = element("h2", "", element("span", "method", method.toUpperCase()), element("code", "", path));
  const pre = element("pre", "", example(method, path, body, all));
  pre.tabIndex = 0;
  return element("section", "", title, element("p", "", described.summary + (described.security ? " Needs the token." : "")), pre,
    ...fields(query, all), ...(body ? fields(body, all) : []),
    element("p", "note", `Answers ${good[0]}${answer.properties ? ` with ${Object.keys(answer.properties).join(", ")}` : ""}${refused ? `; refuses with ${refused}` : ""}.`));
}

const document_ = await (await fetch("/openapi.json")).json();
document.getElementById("version").textContent = `version ${document_.info.version}`;
document.getElementById("operations").replaceChildren(...Object.entries(document_.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, described]) => operation(path, method, described, document_.components.schemas))));
