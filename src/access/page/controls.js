// Keys, buttons and sizes, and the first picture.

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
