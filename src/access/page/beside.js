// What stands beside the picture: the details of a node, and the findings.

function chooser(one) {
  const made = element("button", { type: "button", class: "link", title: one.full }, one.column === 0 ? one.full : one.label);
  made.addEventListener("click", () => { Object.assign(state, { chosen: one, finding: null, text: "" }); byId("search").value = ""; changed(); });
  return made;
}
const words = { asked: "asked for", beyond: "not asked for", depends: "depends", denied: "asked for, denied", unknown: "asked for", way: "" };

function list(title, entries) {
  if (!entries.length) return [];
  const made = element("ul");
  const places = new Set(entries.map(({ one }) => one.place));
  const common = places.size === 1 && entries[0].one.place ? ` in ${entries[0].one.place}` : "";
  const head = element("h3", {}, `${title} (${entries.length})${common}`);
  const add = (some) => some.forEach(({ one, links }) => {
    const item = element("li");
    item.append(chooser(one));
    if (one.place && !common) item.append(element("span", { class: "place" }, one.place));
    for (const kind of new Set(links.map((link) => link.kind))) if (words[kind]) {
      const own = links.filter((link) => link.kind === kind);
      const classes = [...new Set(own.flatMap((link) => [...link.classes]))].map((name) => name.split("/").pop());
      const reasons = own.flatMap((link) => [...link.titles]);
      const by = classes.length ? ` by ${classes.slice(0, 3).join(", ")}${classes.length > 3 ? " …" : ""}` : "";
      item.append(element("span", { class: `word ${kind}`, title: reasons.join("\n") }, `${words[kind]}${by}`));
    }
    made.append(item);
  });
  add(entries.slice(0, FIRST));
  if (entries.length > FIRST) {
    const more = element("button", { type: "button" }, `${entries.length - FIRST} more`);
    more.addEventListener("click", () => { more.remove(); add(entries.slice(FIRST)); });
    return [head, made, more];
  }
  return [head, made];
}

function details() {
  const target = byId("details");
  const one = state.chosen;
  target.hidden = !one;
  target.replaceChildren();
  if (!one) return;
  const kind = ["Service account", "Role", "Secret"][one.column];
  target.append(element("h2", {}, `${kind} ${one.column === 0 ? one.full : one.label}`));
  if (one.column === 1) target.append(element("div", { class: "arn" }, one.full));
  else if (one.place) target.append(element("div", { class: "arn" }, one.place));
  if (one.lastRead) target.append(element("p", {}, `Last read on ${one.lastRead}, says AWS.`));
  if (one.column === 2 && !one.listed) target.append(element("p", {}, "It is not in AWS's lists that were given."));
  const { shown, used } = around(one);
  const others = (column) => [...shown].filter((other) => other !== one && other.column === column)
    .map((other) => ({ one: other, links: [...used].filter((made) => made.to === other || (made.from === other && one.column === 2 && made.to === one)) }))
    .sort((a, b) => (a.one.full < b.one.full ? -1 : 1));
  if (one.column !== 0) target.append(...list("Service accounts", others(0)));
  target.append(...list(one.column === 1 ? "Other roles on the way" : "Roles", others(1)));
  if (one.column !== 2) target.append(...list("Secrets and parameters", others(2)));
  if (one.workloads && one.workloads.length) {
    target.append(element("h3", {}, `Workloads (${one.workloads.length})`));
    const made = element("ul");
    one.workloads.slice(0, FIRST).forEach((name) => made.append(element("li", {}, name)));
    target.append(made);
  }
  if (one.findings.length) {
    target.append(element("h3", {}, `Findings (${one.findings.length})`));
    const made = element("ul");
    one.findings.forEach((finding) => {
      const item = element("li");
      item.append(element("span", { class: `severity ${finding.severity}` }), document.createTextNode(`${finding.message}. `), element("span", { class: "fix" }, finding.fix));
      made.append(item);
    });
    target.append(made);
  }
}

function findings() {
  const target = byId("findings");
  const rules = new Map();
  for (const finding of data.findings) {
    if (!rules.has(finding.id)) rules.set(finding.id, []);
    rules.get(finding.id).push(finding);
  }
  target.append(element("h2", {}, data.findings.length ? `Findings (${data.findings.length})` : "Nothing found"));
  const sorted = [...rules.values()].sort((a, b) => worse[b[0].severity] - worse[a[0].severity] || b.length - a.length);
  for (const all of sorted) {
    const made = element("details");
    const head = element("summary");
    head.append(element("span", { class: `severity ${all[0].severity}` }), document.createTextNode(`${all[0].id} `), element("span", { class: "count" }, `${all.length}`));
    made.append(head, element("p", { class: "fix" }, all[0].fix));
    const fill = (some) => some.forEach((finding) => {
      const entry = element("button", { type: "button", class: "finding" });
      entry.append(element("b", {}, finding.title), element("span", {}, finding.message));
      entry.addEventListener("click", () => {
        const [only] = finding.nodes;
        Object.assign(state, { text: "", chosen: finding.nodes.length === 1 ? only : null, finding: finding.nodes.length > 1 ? finding : null });
        byId("search").value = "";
        changed();
      });
      made.append(entry);
    });
    made.addEventListener("toggle", () => {
      if (!made.open || made.dataset.filled) return;
      made.dataset.filled = "yes";
      fill(all.slice(0, FIRST));
      if (all.length > FIRST) {
        const more = element("button", { type: "button" }, `${all.length - FIRST} more`);
        more.addEventListener("click", () => { more.remove(); fill(all.slice(FIRST)); });
        made.append(more);
      }
    });
    target.append(made);
  }
  if (data.assumptions.length) {
    const taken = byId("assumptions");
    taken.append(element("h2", {}, "Taken for granted"));
    const made = element("ul");
    data.assumptions.forEach((text) => made.append(element("li", {}, text)));
    taken.append(made);
  }
}

function describe(found, filtered) {
  const number = (column) => [...found.nodes].filter((one) => one.column === column).length;
  byId("shown").textContent = filtered
    ? `${plural(number(0), "service account")}, ${plural(number(1), "role")}, ${plural(number(2), "secret")} shown` : "";
  byId("clear").hidden = !filtered;
}

function changed() {
  draw();
  details();
  document.querySelector("aside").scrollTop = 0;
}

function everything() {
  Object.assign(state, { text: "", chosen: null, finding: null });
  byId("search").value = "";
  changed();
}
