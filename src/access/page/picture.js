// The three columns: where everything stands, and how it is drawn and lit.

const byName = new Intl.Collator("en", { numeric: true });
const measure = document.createElement("canvas").getContext("2d");
function shortened(text, width, font) {
  measure.font = font;
  if (measure.measureText(text).width <= width) return text;
  let kept = Math.floor(text.length * width / measure.measureText(text).width);
  for (;;) {
    const head = Math.ceil(kept / 3);
    const cut = `${text.slice(0, head)}…${text.slice(text.length - (kept - head))}`;
    if (kept < 4 || measure.measureText(cut).width <= width) return cut;
    kept -= 1;
  }
}

// Where the text of a node begins, what it says, and where its edges begin.
function layoutText(one, spot, wide) {
  const inner = spot.row.headed ? 18 : 6;
  measure.font = FONT;
  const note = one.note ? 10 + measure.measureText(one.note).width : 0;
  const label = one.column === 2 && spot.row.headed ? one.label.replace(/^\/+/, "").slice(one.group.length + 1) : one.label;
  spot.text = shortened(label, wide - inner - note - 26, FONT);
  spot.begin = spot.x + inner;
  measure.font = FONT;
  spot.noteAt = spot.begin + measure.measureText(spot.text).width + 10;
  spot.markAt = spot.noteAt + note + 2;
  spot.end = spot.markAt + (one.findings.some((finding) => finding.severity !== "note") ? 10 : -4);
}

// Rows of a column: heads of groups, and nodes. A closed group is one row.
function rows(column, shown, filtered) {
  const own = nodes.filter((one) => one.column === column && shown.has(one));
  const groups = new Map();
  for (const one of own) {
    if (!groups.has(one.group)) groups.set(one.group, []);
    groups.get(one.group).push(one);
  }
  const closes = column === 2 && own.length > MANY;
  const made = [];
  for (const [name, members] of groups) {
    members.sort((a, b) => byName.compare(a.label.replace(/^\/+/, ""), b.label.replace(/^\/+/, "")));
    const key = `${column} ${name}`;
    const open = !closes || filtered && own.length <= MANY || state.allOpen || state.open.has(key);
    made.push({ key, name, members, open, closes, headed: column !== 1 && name !== "" });
  }
  return made;
}

// Puts each group where its neighbours are, and none over another.
function settle(groups, wanted) {
  groups.forEach((group) => { group.wanted = wanted(group); });
  groups.sort((a, b) => a.wanted - b.wanted || (a.name < b.name ? -1 : 1));
  let y = TOP;
  for (const group of groups) {
    const begins = Math.max(y, group.wanted === Infinity ? y : group.wanted - group.height / 2);
    group.y = group.loose ? begins : y;
    y = group.y + group.height;
  }
  return y;
}

let drawn = { at: new Map(), edges: [] };
const graph = byId("graph");

function draw() {
  const found = visible();
  const filtered = found.hits !== null;
  const width = Math.max(640, byId("picture").clientWidth - 40);
  const wide = Math.floor((width * 0.74) / 3);
  const lefts = [0, Math.floor((width - wide) / 2), width - wide];
  const at = new Map();   // node -> { row, y, x }
  const columns = [0, 1, 2].map((column) => rows(column, found.nodes, filtered));

  // Service accounts by name; roles and secrets near those that reach them.
  const centre = (members) => {
    const ys = [];
    for (const one of members) for (const made of one.links) {
      const other = made.from === one ? made.to : made.from;
      if (found.links.has(made) && other.column < one.column && at.has(other)) ys.push(at.get(other).y);
    }
    // The median: one that is far away pulls nothing to itself.
    return ys.length ? ys.sort((a, b) => a - b)[Math.floor((ys.length - 1) / 2)] : Infinity;
  };
  const put = (group, x, column) => {
    let y = group.y + ROW / 2;
    if (group.headed || !group.open) {
      group.headY = y;
      if (group.open) y += ROW;
    }
    for (const one of group.members) {
      at.set(one, { x, y, row: group, column });
      if (group.open) y += ROW;
    }
  };
  const heightOf = (group) => group.open ? (group.members.length + (group.headed ? 1 : 0)) * ROW + (group.headed ? 4 : 0) : ROW;
  columns[0].forEach((group) => { group.height = heightOf(group) + 4; });
  columns[0].sort((a, b) => byName.compare(a.name, b.name));
  // Spread over the height of the secrets, so that edges do not all run down the page.
  const total = (groups) => groups.reduce((sum, group) => sum + heightOf(group), 0);
  const spare = Math.min(MAX_SPARE, Math.max(0, total(columns[2]) - total(columns[0])) / (columns[0].length || 1));
  let y = TOP;
  for (const group of columns[0]) {
    group.y = y + spare / 2;
    y += group.height + spare;
    put(group, lefts[0], 0);
  }
  let height = y;
  const single = columns[1].flatMap((group) => group.members.map((one) => ({ ...group, name: one.label, members: [one], height: ROW, loose: true })));
  height = Math.max(height, settle(single, (group) => centre(group.members)));
  single.forEach((group) => put(group, lefts[1], 1));
  columns[2].forEach((group) => { group.height = heightOf(group); group.loose = true; });
  // Without a prefix, each secret stands by itself.
  const apart = columns[2].flatMap((group) => group.name === "" && group.open
    ? group.members.map((one) => ({ ...group, name: one.label, members: [one], height: ROW })) : [group]);
  height = Math.max(height, settle(apart, (group) => centre(group.members)));
  apart.forEach((group) => put(group, lefts[2], 2));

  for (const [one, spot] of at) layoutText(one, spot, wide);

  // Edges; those into a closed group become one.
  const merged = new Map();
  const pair = (made) => `${made.from.id} ${made.to.id}`;
  const asked = new Set([...found.links].filter((made) => made.kind === "asked").map(pair));
  for (const made of found.links) {
    const from = at.get(made.from), to = at.get(made.to);
    // One of the accounts that share the role asks for it.
    if (!from || !to || made.kind === "beyond" && asked.has(pair(made))) continue;
    const end = to.row.open ? `n${made.to.id}` : `g${to.row.key}`;
    const key = `${made.from.id} ${end} ${made.kind}`;
    if (!merged.has(key)) merged.set(key, { from, to, kind: made.kind, links: [] });
    merged.get(key).links.push(made);
  }
  graph.replaceChildren();
  graph.setAttribute("height", height + 10);
  graph.setAttribute("viewBox", `0 0 ${width} ${height + 10}`);
  graph.style.height = `${height + 10}px`;
  ["Service accounts", "Roles", "Secrets and parameters"].forEach((title, column) =>
    graph.append(shape("text", { x: lefts[column] + 6, y: 14, class: "title" }, title)));
  const edges = [];
  const order = { way: 0, asked: 1, unknown: 2, beyond: 3, depends: 4, denied: 5 };
  for (const one of [...merged.values()].sort((a, b) => order[a.kind] - order[b.kind])) {
    const begin = one.from.end, x1 = one.from.x + wide, x2 = one.to.x;
    const { y: y1 } = one.from, { y: y2 } = one.to;
    const chained = one.from.column === one.to.column;
    const middle = (x1 + x2) / 2;
    const d = chained
      ? `M${begin} ${y1}H${x1}C${x1 + 46} ${y1} ${x1 + 46} ${y2} ${x1} ${y2}H${one.to.end}`
      : `M${begin} ${y1}H${x1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
    const path = shape("path", { d, class: `edge ${one.kind}` });
    const many = one.links.length;
    if (many > 1 && !one.to.row.open) path.style.strokeWidth = Math.min(6, 1.3 + Math.log2(many));
    const titles = new Set(one.links.flatMap((made) => [...made.titles, ...made.classes].filter(Boolean)));
    if (titles.size) path.append(shape("title", {}, [...titles].slice(0, 12).join("\n")));
    graph.append(path);
    edges.push({ path, links: one.links });
  }
  for (const group of [...columns[0], ...apart]) if (group.headed || !group.open) head(group, lefts, wide, columns);
  for (const [one, spot] of at) if (spot.row.open) box(one, spot, wide, found.hits);
  byId("nothing").hidden = at.size > 0;
  drawn = { at, edges };
  describe(found, filtered);
}

function head(group, lefts, wide, columns) {
  const column = columns[0].includes(group) ? 0 : 2;
  const x = lefts[column], y = group.headY;
  const made = shape("g", { class: group.closes ? "node head" : "head" });
  const name = column === 2 ? (group.name === "" ? "without a prefix" : `${group.name}/`) : group.name;
  made.append(shape("rect", { class: "box", x, y: y - ROW / 2, width: wide, height: ROW }));
  if (group.closes) {
    const [a, b] = [x + 4, y];
    made.append(shape("path", { class: "knob", d: group.open ? `M${a} ${b - 3}h8l-4 6z` : `M${a + 1} ${b - 4}v8l6 -4z` }));
    const label = `${shortened(name, wide - 90, FONT)} (${group.members.length})`;
    measure.font = `600 ${FONT}`;
    made.append(shape("text", { x: x + 18, y }, label));
    made.setAttribute("tabindex", "-1");
    made.setAttribute("role", "button");
    made.setAttribute("aria-expanded", group.open);
    made.setAttribute("aria-label", `${name}, ${plural(group.members.length, "secret")}`);
    made.dataset.column = column;
    const toggle = () => { group.open ? state.open.delete(group.key) : state.open.add(group.key); if (group.open) state.allOpen = false; draw(); };
    made.addEventListener("click", toggle);
    made.enter = toggle;
    made.addEventListener("mouseenter", () => light(group.members));
    made.addEventListener("mouseleave", unlight);
    const worst = group.members.flatMap((one) => one.findings);
    mark(made, worst, x + 30 + measure.measureText(label).width, y);
  } else {
    made.append(shape("text", { x: x + 6, y }, shortened(name, wide - 20, FONT)));
  }
  graph.append(made);
}

function mark(made, findings, x, y) {
  if (!findings.length) return;
  const worst = findings.reduce((a, b) => (worse[b.severity] > worse[a.severity] ? b : a));
  if (worst.severity === "note") return;
  made.append(shape("circle", { class: `mark ${worst.severity}`, cx: x, cy: y, r: 4 }));
}

function box(one, spot, wide, hits) {
  const { x, y } = spot;
  const made = shape("g", { class: "node", tabindex: "-1", role: "button", "data-id": one.id, "data-column": one.column });
  if (hits && hits.has(one)) made.classList.add("chosen");
  made.setAttribute("aria-label", `${one.full}${one.findings.length ? `, ${plural(one.findings.length, "finding")}` : ""}`);
  made.append(shape("rect", { class: "box", x, y: y - ROW / 2, width: wide, height: ROW }));
  made.append(shape("text", { x: spot.begin, y }, spot.text), shape("title", {}, one.full));
  if (one.note) made.append(shape("text", { x: spot.noteAt, y, class: "note" }, one.note));
  mark(made, one.findings, spot.markAt, y);
  const choose = () => { Object.assign(state, { chosen: state.chosen === one ? null : one, finding: null, text: "" }); byId("search").value = ""; changed(); };
  made.addEventListener("click", choose);
  made.enter = choose;
  made.addEventListener("mouseenter", () => light([one]));
  made.addEventListener("mouseleave", unlight);
  made.addEventListener("focus", () => light([one]));
  made.addEventListener("blur", unlight);
  graph.append(made);
}

function light(starts) {
  const shown = new Set(), used = new Set();
  for (const start of starts) {
    const paths = around(start);
    paths.shown.forEach((one) => shown.add(one));
    paths.used.forEach((made) => used.add(made));
  }
  graph.classList.add("hovering");
  for (const made of graph.querySelectorAll(".node")) {
    const id = made.dataset.id;
    const is = id === undefined ? made.matches(":hover") : shown.has(nodes[id]);
    made.classList.toggle("lit", is);
  }
  for (const edge of drawn.edges) edge.path.classList.toggle("lit", edge.links.some((made) => used.has(made)));
  for (const made of graph.querySelectorAll(".node.head")) if (shown.size && !made.classList.contains("lit")) {
    made.classList.toggle("lit", [...shown].some((one) => one.column === 2 && `${one.group}/` === made.getAttribute("aria-label").split(",")[0]));
  }
}
function unlight() { graph.classList.remove("hovering"); }
