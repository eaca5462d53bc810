// Opens the pages, searches, clicks and uses the keys, as a person would.
"use strict";
const assert = require("node:assert/strict");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [page, hostile] = process.argv.slice(2).map((file) => `file://${path.resolve(file)}`);
const shots = process.env.SHOTS;

async function open(browser, url, options = {}) {
  const context = await browser.newContext({ offline: true, viewport: { width: 1440, height: 900 }, ...options });
  const opened = await context.newPage();
  const errors = [], requests = [];
  opened.on("pageerror", (error) => errors.push(String(error)));
  opened.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  opened.on("request", (request) => requests.push(request.url()));
  const began = Date.now();
  await opened.goto(url);
  await opened.locator("#graph .node").first().waitFor();
  return { opened, took: Date.now() - began, quiet: () => {
    assert.deepEqual(errors, []);
    assert.deepEqual(requests.filter((request) => request !== url && !request.startsWith("data:")), []);
  } };
}

const number = (text) => Number(/[\d,]+/.exec(text)[0].replace(",", ""));
async function shot(opened, name, options = {}) {
  if (shots) await opened.screenshot({ path: path.join(shots, `${name}.png`), ...options });
}

const facts = {
  async "the page shows the whole estate quickly and says how much it is"(browser) {
    const { opened, took, quiet } = await open(browser, page);
    assert.ok(took < 3000, `${took} ms`);
    assert.match(await opened.textContent("#summary"), /^80 service accounts with \d+ roles ask for \d+ secrets in 303 classes · \d+ errors, \d+ warnings, \d+ notes$/);
    assert.equal(await opened.locator('.node[data-column="0"]').count(), 80);
    await shot(opened, "light");
    await shot(opened, "whole", { fullPage: true });
    quiet();
  },
  async "a search leaves the paths through what matches"(browser) {
    const { opened, quiet } = await open(browser, page);
    await opened.keyboard.press("/");
    await opened.keyboard.type("billing/app-1");
    await opened.waitForFunction(() => document.querySelector("#shown").textContent.startsWith("1 service account,"));
    const names = await opened.locator('.node[data-column="0"]').evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
    assert.deepEqual(names.map((name) => name.split(",")[0]), ["billing/app-1"]);
    assert.ok(await opened.locator('.node[data-column="2"][data-id]').count() > 1);
    await shot(opened, "search");
    await opened.keyboard.press("Escape");
    assert.equal(await opened.locator('.node[data-column="0"]').count(), 80);
    await opened.fill("#search", "no such thing");
    await opened.locator("#nothing").waitFor();
    quiet();
  },
  async "a click shows only what the account reaches, and what that is in words"(browser) {
    const { opened, quiet } = await open(browser, page);
    await opened.locator('.node[data-column="0"]').nth(10).click();
    assert.equal(await opened.locator('.node[data-column="0"]').count(), 1);
    const listed = await opened.locator("#details h3", { hasText: "Secrets and parameters" }).textContent();
    assert.equal(number(listed), await opened.locator('.node[data-column="2"][data-id]').count());
    await shot(opened, "chosen");
    // From a secret back to everybody who reads it.
    await opened.locator("#details h3", { hasText: "Secrets and parameters" }).locator("xpath=following-sibling::ul[1]").locator("button").first().click();
    assert.equal(await opened.locator('.node[data-column="2"][data-id]').count(), 1);
    await opened.click("#clear");
    assert.equal(await opened.locator('.node[data-column="0"]').count(), 80);
    quiet();
  },
  async "each kind of finding leads to what it is about"(browser) {
    const { opened, quiet } = await open(browser, page);
    const rules = opened.locator("#findings details");
    assert.equal(await rules.count(), 14);
    for (let index = 0; index < await rules.count(); index++) {
      const rule = rules.nth(index);
      const name = await rule.locator("summary").textContent();
      await rule.locator("summary").click();
      const first = rule.locator("button.finding").first();
      const title = await first.locator("b").textContent();
      await first.click();
      // No picture has a class that nobody mounts.
      if (!name.startsWith("class-unused")) {
        assert.ok(await opened.locator("#clear").isVisible(), name);
        assert.ok(await opened.locator(".node.chosen").count() > 0, `${name}: ${title}`);
      }
      if (name.startsWith("secret-shared")) await shot(opened, "finding");
      await opened.keyboard.press("Escape");
      await rule.locator("summary").click();
    }
    quiet();
  },
  async "hovering lights the paths and dims the rest"(browser) {
    const { opened, quiet } = await open(browser, page);
    await opened.locator('.node[data-column="1"]').nth(5).hover();
    assert.ok(await opened.locator("#graph.hovering .edge.lit").count() > 0);
    assert.ok(await opened.locator("#graph.hovering .node.lit").count() < 40);
    await shot(opened, "hover");
    await opened.mouse.move(5, 5);
    assert.equal(await opened.locator("#graph.hovering").count(), 0);
    quiet();
  },
  async "prefixes open and close"(browser) {
    const { opened, quiet } = await open(browser, page);
    const secrets = () => opened.locator('.node[data-column="2"][data-id]').count();
    const before = await secrets();
    await opened.locator(".node.head").first().click();
    assert.ok(await secrets() > before);
    await opened.click("#groups");
    assert.ok(await secrets() > 500);
    await shot(opened, "open", { fullPage: true });
    await opened.click("#groups");
    assert.equal(await secrets(), before);
    quiet();
  },
  async "the keys alone suffice"(browser) {
    const { opened, quiet } = await open(browser, page);
    await opened.focus("#graph");
    for (const key of ["ArrowDown", "ArrowDown", "ArrowRight"]) await opened.keyboard.press(key);
    assert.equal(await opened.evaluate(() => document.activeElement.dataset.column), "1");
    await opened.keyboard.press("Enter");
    assert.match(await opened.textContent("#details h2"), /^Role /);
    await opened.keyboard.press("Escape");
    assert.ok(await opened.locator("#details").isHidden());
    quiet();
  },
  async "it is dark where the reader's screen is, narrow on a small one, and prints"(browser) {
    const dark = await open(browser, page, { colorScheme: "dark" });
    const ground = await dark.opened.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(ground, "rgb(18, 22, 28)");
    await shot(dark.opened, "dark");
    dark.quiet();
    const small = await open(browser, page, { viewport: { width: 800, height: 900 } });
    assert.ok(await small.opened.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await shot(small.opened, "small");
    await small.opened.emulateMedia({ media: "print" });
    assert.equal(await small.opened.evaluate(() => getComputedStyle(document.querySelector(".tools")).display), "none");
    const paper = await small.opened.pdf({ format: "A4", landscape: true, ...(shots ? { path: path.join(shots, "print.pdf") } : {}) });
    assert.ok(paper.length > 10_000);
    small.quiet();
  },
  async "a hostile name is only a name"(browser) {
    const { opened, quiet } = await open(browser, hostile);
    assert.equal(await opened.evaluate(() => window.broken), undefined);
    assert.equal(await opened.locator("img").count(), 0);
    assert.ok((await opened.locator(".node").first().getAttribute("aria-label")).includes("</script><script>"));
    await opened.locator(".node").first().click();
    assert.match(await opened.textContent("#details h2"), /<script>window.broken=1/);
    assert.equal(await opened.evaluate(() => window.broken), undefined);
    quiet();
  },
};

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
  let failed = 0;
  for (const [fact, holds] of Object.entries(facts)) {
    try {
      await holds(browser);
      console.log(`ok      ${fact}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${fact}\n${error.stack}`);
    }
  }
  await browser.close();
  process.exit(failed ? 1 : 0);
})();
