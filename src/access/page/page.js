// Draws three columns (service accounts, roles, secrets) from the JSON in the page, and
// filters them. Every name goes into the page as text, never as markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const ROW = 20, TOP = 34, MANY = 120, FIRST = 100;
  const FONT = "12.5px system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
  const byId = (id) => document.getElementById(id);

  function element(name, attributes = {}, text) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function shape(name, attributes = {}, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const plural = (number, thing) =>
    `${number.toLocaleString("en-US")} ${thing}${number === 1 ? "" : thing.endsWith("s") ? "es" : "s"}`;

  // ---- The graph -----------------------------------------------------------------------

  const nodes = [];
  function node(column, group, label, full, note) {
    const made = { id: nodes.length, column, group, label, full, note, links: [], findings: [] };
    nodes.push(made);
    return made;
  }
  const place = (secret) => [secret.region, secret.account].filter(Boolean).join(", ");
  const idOf = (secret) => (place(secret) ? `${secret.name} (${place(secret)})` : secret.name);
  // The first segment, as long as a further one follows.
  const prefixOf = (name) => { const parts = name.replace(/^\/+/, "").split("/"); return parts.length > 1 ? parts[0] : ""; };
  const ofRole = (arn) => { const parts = arn.split(":role/"); return parts.length > 1 ? parts.slice(1).join(":role/") : arn; };

  const accounts = data.accounts.map((account) => {
    const made = node(0, account.namespace, account.name, `${account.namespace}/${account.name}`, "");
    made.workloads = account.workloads;
    return made;
  });
  const roles = data.roles.map((role) =>
    Object.assign(node(1, "", ofRole(role.arn), role.arn, role.known ? "" : "not known"), { known: role.known }));
  const secrets = data.secrets.map((secret) => {
    const made = node(2, prefixOf(secret.name), secret.name, idOf(secret), secret.service === "ssm" ? "parameter" : "");
    made.lastRead = secret.last_read;
    made.listed = secret.listed;
    made.place = place(secret);
    return made;
  });

  // One link for each pair and kind. `classes` are those that ask.
  const links = new Map();
  function link(from, to, kind, title, className) {
    const key = `${from.id} ${to.id} ${kind}`;
    let made = links.get(key);
    if (!made) {
      made = { from, to, kind, titles: new Set(), classes: new Set(), routes: new Set() };
      links.set(key, made);
      from.links.push(made);
      to.links.push(made);
    }
    if (title) made.titles.add(title);
    if (className) made.classes.add(className);
    return made;
  }
  const kindOf = { allowed: "asked", denied: "denied", depends: "depends", unknown: "unknown" };
  const why = (answer) => answer.why || (answer.depends_on ? `depends on ${answer.depends_on.join(", ")}` : "");
  data.routes.forEach((route, index) => {
    let last = accounts[route.account];
    for (const role of route.roles) {
      const trust = route.trust.answer === "denied" ? "denied" : "way";
      link(last, roles[role], trust, [route.means.replace("_", " "), why(route.trust)].filter(Boolean).join("; ")).routes.add(index);
      last = roles[role];
    }
    for (const ask of route.asks) {
      const made = data.classes[ask.class];
      link(last, secrets[ask.secret], kindOf[ask.read.answer], why(ask.read), `${made.namespace}/${made.name}`).routes.add(index);
    }
    for (const secret of route.can_also_read) link(last, secrets[secret], "beyond", "").routes.add(index);
    for (const open of route.may_also_read)
      link(last, secrets[open.secret], "depends", `not asked for; depends on ${open.depends_on.join(", ")}`).routes.add(index);
  });

  // What findings are about.
  const named = new Map();
  for (const one of nodes) named.set(`${one.column} ${one.full}`, one);
  const ofClass = new Map();
  for (const made of links.values()) for (const name of made.classes) {
    if (!ofClass.has(name)) ofClass.set(name, []);
    ofClass.get(name).push(made);
  }
  const worse = { note: 0, warning: 1, error: 2 };
  for (const finding of data.findings) {
    const object = finding.object || { kind: "", namespace: "", name: "" };
    const full = object.namespace ? `${object.namespace}/${object.name}` : object.name;
    finding.title = full;
    const column = { ServiceAccount: 0, "IAM role": 1, "AWS secret": 2, "AWS parameter": 2 }[object.kind];
    const about = column === undefined ? null : named.get(`${column} ${full}`);
    finding.nodes = about ? [about] : [...new Set((ofClass.get(full) || []).map((made) => made.from))];
    finding.text = full;
    if (about) about.findings.push(finding);
  }

  // ---- What is shown -------------------------------------------------------------------

  const state = { text: "", chosen: null, finding: null, open: new Set(), allOpen: false };

  // Everything on a path through the node. A path belongs to a route, so that a role does
  // not connect what different accounts reach by it unless the role itself is meant.
  function around(start) {
    const shown = new Set([start]);
    const used = new Set();
    const routes = new Set();
    for (const made of start.links) made.routes.forEach((route) => routes.add(route));
    const follow = (one, forwards) => {
      for (const made of one.links) {
        const next = forwards ? made.to : made.from;
        if (next === one || (forwards ? made.from : made.to) !== one || used.has(made)) continue;
        if (![...made.routes].some((route) => routes.has(route))) continue;
        used.add(made);
        shown.add(next);
        follow(next, forwards);
      }
    };
    follow(start, true);
    follow(start, false);
    return { shown, used };
  }

  function visible() {
    const starts = state.finding ? state.finding.nodes : state.chosen ? [state.chosen] : null;
    const text = state.text.trim().toLowerCase();
    if (!starts && !text) return { nodes: new Set(nodes), links: new Set(links.values()), hits: null };
    const hits = starts || nodes.filter((one) => one.full.toLowerCase().includes(text));
    const found = { nodes: new Set(), links: new Set(), hits: new Set(hits) };
    for (const hit of hits) {
      const { shown, used } = around(hit);
      shown.forEach((one) => found.nodes.add(one));
      used.forEach((made) => found.links.add(made));
    }
    if (!starts) for (const [name, asking] of ofClass) {
      if (!name.toLowerCase().includes(text)) continue;
      for (const made of asking) {
        [made.from, made.to].forEach((one) => found.nodes.add(one));
        found.links.add(made);
        for (const { used, shown } of [around(made.from)]) {
          shown.forEach((one) => one.column < 2 && found.nodes.add(one));
          used.forEach((other) => other.to.column < 2 && found.links.add(other));
        }
      }
    }
    return found;
  }

  // ---- Layout --------------------------------------------------------------------------

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
    const note = one.note ? 10 + one.note.length * 6.2 : 0;
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
      members.sort((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
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
      return ys.length ? ys.reduce((sum, y) => sum + y, 0) / ys.length : Infinity;
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
    columns[0].sort((a, b) => (a.name < b.name ? -1 : 1));
    let y = TOP;
    for (const group of columns[0]) { group.y = y; y += group.height; put(group, lefts[0], 0); }
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
    for (const made of found.links) {
      const from = at.get(made.from), to = at.get(made.to);
      if (!from || !to) continue;
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

  // ---- Beside the picture --------------------------------------------------------------

  function chooser(one) {
    const made = element("button", { type: "button", class: "link" }, one.column === 2 ? one.label : one.full);
    made.addEventListener("click", () => { Object.assign(state, { chosen: one, finding: null, text: "" }); byId("search").value = ""; changed(); });
    return made;
  }
  const words = { asked: "asked for", beyond: "not asked for", depends: "depends", denied: "denied", unknown: "role not known", way: "" };

  function list(title, entries) {
    if (!entries.length) return [];
    const made = element("ul");
    const add = (some) => some.forEach(({ one, links }) => {
      const item = element("li");
      item.append(chooser(one));
      if (one.place) item.append(element("span", { class: "place" }, one.place));
      for (const kind of new Set(links.map((link) => link.kind))) if (words[kind]) {
        const titles = links.filter((link) => link.kind === kind).flatMap((link) => [...link.titles, ...link.classes]);
        item.append(element("span", { class: `word ${kind}`, title: titles.join("\n") }, words[kind]));
      }
      made.append(item);
    });
    add(entries.slice(0, FIRST));
    if (entries.length > FIRST) {
      const more = element("button", { type: "button" }, `${entries.length - FIRST} more`);
      more.addEventListener("click", () => { more.remove(); add(entries.slice(FIRST)); });
      return [element("h3", {}, `${title} (${entries.length})`), made, more];
    }
    return [element("h3", {}, `${title} (${entries.length})`), made];
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
    if (one.place) target.append(element("div", { class: "arn" }, one.place));
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

  // ---- Keys and sizes ------------------------------------------------------------------

  function move(event) {
    const all = [...graph.querySelectorAll(".node")].map((made) => ({ made, box: made.getBoundingClientRect() }));
    if (!all.length) return;
    const now = all.find(({ made }) => made === document.activeElement)
      || all.find(({ made }) => made.dataset.column === "0") || all[0];
    const column = (one) => Number(one.made.dataset.column);
    const middle = (one) => one.box.top + one.box.height / 2;
    const wanted = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    const fits = all.filter((one) => one !== now && column(one) === column(now) + wanted[0]
      && (wanted[1] === 0 || Math.sign(middle(one) - middle(now)) === wanted[1]));
    fits.sort((a, b) => Math.abs(middle(a) - middle(now)) - Math.abs(middle(b) - middle(now)));
    const next = document.activeElement === now.made ? fits[0] : now;
    if (!next) return;
    event.preventDefault();
    next.made.focus();
    next.made.scrollIntoView({ block: "nearest" });
  }
  graph.setAttribute("tabindex", "0");
  graph.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow")) move(event);
    else if ((event.key === "Enter" || event.key === " ") && document.activeElement.enter) { event.preventDefault(); document.activeElement.enter(); graph.focus(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") everything();
    else if (event.key === "/" && document.activeElement !== byId("search")) { event.preventDefault(); byId("search").focus(); }
  });
  let waiting = 0;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { Object.assign(state, { text: event.target.value, chosen: null, finding: null }); changed(); }, 80);
  });
  byId("clear").addEventListener("click", everything);
  byId("groups").hidden = secrets.length <= MANY;
  byId("groups").addEventListener("click", (event) => {
    state.allOpen = !state.allOpen;
    state.open.clear();
    event.target.textContent = state.allOpen ? "Close all prefixes" : "Open all prefixes";
    event.target.setAttribute("aria-pressed", state.allOpen);
    draw();
  });
  const asked = new Set(data.routes.flatMap((route) => route.asks.map((ask) => ask.secret)));
  const severities = (severity) => data.findings.filter((finding) => finding.severity === severity).length;
  byId("summary").textContent = `${plural(accounts.length, "service account")} with ${plural(roles.length, "role")} ask for `
    + `${plural(asked.size, "secret")} in ${plural(data.classes.length, "class")} · `
    + `${plural(severities("error"), "error")}, ${plural(severities("warning"), "warning")}, ${plural(severities("note"), "note")}`;

  function resized() {
    document.documentElement.style.setProperty("--head", `${document.querySelector("header").offsetHeight}px`);
    draw();
  }
  let last = 0;
  addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; resized(); } });
  // Drawn anew for the width of the paper, and back.
  addEventListener("beforeprint", () => { document.querySelectorAll("details").forEach((one) => { one.open = true; }); resized(); });
  addEventListener("afterprint", resized);
  findings();
  resized();
})();
