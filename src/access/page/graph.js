// The graph of the JSON in the page: nodes, and links with their kinds; what a finding is
// about; and what is on a path through a node. Every name goes into the page as text,
// never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const ROW = 20, TOP = 34, MANY = 120, FIRST = 100, MAX_SPARE = 300;
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
  Object.assign(node(1, "", ofRole(role.arn), role.arn, role.known ? "" : "not known"), { known: role.known, place: role.arn.split(":")[4] || "" }));
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
