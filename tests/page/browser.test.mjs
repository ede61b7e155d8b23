// The page in Chromium, as a visitor has it. Given by the environment: PAGE (its address, on localhost), DAMAGED (that
// of one whose net is damaged), FILE (that of the first as a file), CHROMIUM (the program) and CLIPS (a folder with
// one.y4m, two.y4m, nobody.y4m and face.png).

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";

const { PAGE, DAMAGED, FILE, CHROMIUM, CLIPS } = process.env;
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const MORE = ["--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"];
const ALLOWED = "--use-fake-ui-for-media-stream";
const LONG = { timeout: 60_000 };

const clip = (name) => [ALLOWED, `--use-file-for-fake-video-capture=${join(CLIPS, name)}`];
const shown = (page, name) => page.waitForFunction((id) => !document.getElementById(id).hidden, name, LONG);
const cards = (page, count) =>
  page.waitForFunction((n) => document.querySelectorAll("#cards .card").length === n, count, LONG);

/** Open the page in a browser that knows nothing yet, and fail if it asks anybody but its own host. */
async function visit(work, { args = [], address = PAGE, before, ...options } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "browser-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: CHROMIUM,
    args: [...QUIET, ...MORE, ...args],
    viewport: { width: 1280, height: 900 },
    ...options,
  });
  const [asked, errors] = [[], []];
  context.on("request", (request) => asked.push(request.url()));
  try {
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(error.message));
    if (before) await page.addInitScript(before);
    await page.goto(address);
    await work(page, context, asked);
    const own = [new URL(".", address).href, `blob:${new URL(address).origin}/`];
    assert.deepEqual(
      asked.filter((url) => !own.some((start) => url.startsWith(start))),
      [],
    );
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Return how many pixels of the picture have a colour (the clips have none), and where they lie in the middle. */
function coloured(page) {
  return page.evaluate(() => {
    const view = document.getElementById("view");
    const { data } = view.getContext("2d").getImageData(0, 0, view.width, view.height);
    let [count, sum] = [0, 0];
    for (let at = 0; at < data.length; at += 4) {
      if (Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]) < 24)
        continue;
      count += 1;
      sum += (at / 4) % view.width;
    }
    return { count, middle: sum / count };
  });
}

test("a camera's face is followed at ten frames a second or more, and its heatmap moves with it", async () => {
  await visit(
    async (page) => {
      await page.click("#camera");
      await shown(page, "rate");
      const least = 10 / Math.max(1, loadavg()[0] / availableParallelism()); // others may be at work here, too
      const isFast = (rate) => parseInt(document.getElementById("rate").textContent) >= rate;
      await page.waitForFunction(isFast, least, LONG).catch(() => null);
      const found = await page.textContent("#rate");
      console.log(`one face: ${found}, of which ${least.toFixed(1)} can be expected on a machine as busy as this one`);
      assert.ok(parseInt(found) >= Math.floor(least), found);
      await cards(page, 1);
      const number = await page.textContent(".number");
      const places = [];
      for (let look = 0; look < 12; look++) {
        await page.waitForTimeout(250);
        assert.equal(await page.textContent(".number"), number);
        places.push(await coloured(page));
      }
      const middles = places.map(({ middle }) => middle);
      assert.ok(Math.max(...middles) - Math.min(...middles) > 60, `the heatmap stays where it is: ${middles}`);
      await page.uncheck("#heatmap");
      await page.waitForTimeout(500);
      const { count } = await coloured(page);
      assert.ok(
        places.every((place) => place.count > 2 * count),
        "the heatmap cannot be switched off",
      );
      await page.click("#camera");
      assert.equal(await page.textContent("#camera"), "Start camera");
    },
    { args: clip("one.y4m") },
  );
});

test("two faces keep their numbers, and where nobody is nothing is guessed", async () => {
  await visit(
    async (page) => {
      await page.click("#camera");
      await cards(page, 2);
      await page.waitForTimeout(3000);
      const numbers = await page.locator(".number").allTextContents();
      assert.equal(new Set(numbers).size, 2);
      await page.waitForTimeout(1500);
      assert.deepEqual(await page.locator(".number").allTextContents(), numbers);
    },
    { args: clip("two.y4m"), colorScheme: "dark" },
  );
  await visit(
    async (page) => {
      await page.click("#camera");
      await shown(page, "note");
      assert.equal(await page.textContent("#note"), "No face in sight.");
      await cards(page, 0);
    },
    { args: clip("nobody.y4m") },
  );
});

test("once loaded it works without a network, asks for nothing more and stores nothing", async () => {
  await visit(async (page, context, asked) => {
    await shown(page, "empty");
    await context.setOffline(true);
    const before = asked.length;
    await page.click("#drawn");
    await cards(page, 6);
    await page.setInputFiles("#file", join(CLIPS, "face.png"));
    await cards(page, 1);
    assert.match(await page.textContent("#said"), /^1 face: \w+ \d+%$/);
    assert.equal(asked.length, before);
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    assert.match(download.suggestedFilename(), /^ferplus-.*\.png$/);
    const stored = await page.evaluate(async () => [
      localStorage.length,
      sessionStorage.length,
      document.cookie.length,
      (await caches.keys()).length,
      (await indexedDB.databases()).length,
      (await navigator.serviceWorker.getRegistrations()).length,
    ]);
    assert.deepEqual([...stored, (await context.cookies()).length], [0, 0, 0, 0, 0, 0, 0]);
  });
});

test("neither the page nor its worker can reach another host", async () => {
  await visit(async (page) => {
    await shown(page, "empty");
    const other = `${PAGE.replace("localhost", "127.0.0.1")}net.json`;
    const call = (url) =>
      fetch(url, { mode: "no-cors" }).then(
        () => "reached",
        () => "refused",
      );
    assert.equal(page.workers().length, 1);
    assert.deepEqual(
      [await page.evaluate(call, other), await page.workers()[0].evaluate(call, other)],
      ["refused", "refused"],
    );
    assert.equal(await page.evaluate(call, `${PAGE}net.json`), "reached");
  });
});

test("it is used by keyboard, told to screen readers, and fits a phone", async () => {
  await visit(
    async (page) => {
      await shown(page, "empty");
      await page.focus("#drawn");
      await page.keyboard.press("Enter");
      await cards(page, 6);
      assert.match(await page.getAttribute("#view", "aria-label"), /^6 faces: 1 \w+ \d+%, 2 /);
      await page.locator(".bar").nth(3).focus();
      const before = await coloured(page);
      await page.keyboard.press("Space");
      assert.equal(await page.locator(".bar").nth(3).getAttribute("aria-pressed"), "true");
      assert.equal(await page.inputValue("#target"), "3");
      assert.notEqual((await coloured(page)).count, before.count);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 360, `${wide} pixels wide`);
      for (const name of await page.locator("button:visible, select, input:visible").all()) {
        assert.ok(
          await name.evaluate((one) => one.textContent || one.labels?.length || one.ariaLabel),
          "a control without a name",
        );
      }
    },
    { viewport: { width: 360, height: 740 }, hasTouch: true, deviceScaleFactor: 2 },
  );
});

for (const [what, words, options] of [
  [
    "a camera that is refused",
    /^The camera was refused\. Allow it/,
    { args: ["--deny-permission-prompts"], click: true },
  ],
  [
    "a page without https",
    /^The camera works by https alone/,
    {
      address: PAGE.replace("localhost", "page.test"),
      args: ["--host-resolver-rules=MAP page.test 127.0.0.1"],
      click: true,
    },
  ],
  [
    "a browser without SIMD",
    /^This browser lacks WebAssembly with SIMD/,
    { before: () => (WebAssembly.validate = () => false) },
  ],
  ["a damaged net", /^The file net\.onnx is damaged/, { address: DAMAGED }],
]) {
  test(`${what} is told in words`, async () => {
    const { click, ...others } = options;
    await visit(async (page) => {
      if (click) {
        await shown(page, "empty");
        await page.click("#camera");
      }
      await shown(page, "trouble");
      assert.match(await page.textContent("#trouble"), words);
    }, others);
  });
}

test("what is no picture is told in words, and a picture works after it", async () => {
  await visit(async (page) => {
    await shown(page, "empty");
    await page.setInputFiles("#file", join(CLIPS, "one.y4m"));
    await shown(page, "trouble");
    assert.match(await page.textContent("#trouble"), /^one\.y4m cannot be read here as a picture/);
    await page.click("#drawn");
    await cards(page, 6);
  });
});

test("a page that was opened as a file says what it needs", async () => {
  await visit(
    async (page) => {
      await page.waitForFunction(() => getComputedStyle(document.querySelector(".stuck")).opacity === "1", null, LONG);
      assert.match(await page.textContent(".stuck"), /python -m http\.server/);
    },
    { address: FILE },
  );
});
