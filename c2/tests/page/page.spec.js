// SPDX-License-Identifier: Apache-2.0 OR MIT
// What an operator does in the page, with devices that really answer.
import { mkdirSync } from "node:fs";

import { expect, test } from "@playwright/test";
import axe from "axe-core";
import jsQR from "jsqr";
import { PNG } from "pngjs";

import { Server } from "./server.js";

test.describe.configure({ mode: "serial" });

/** @type {Server} */
let server;
let admin;
let reader;
/** What the QR code of each device says. */
const codes = new Map();

test.beforeAll(async () => {
  server = await new Server().ready();
  admin = server.token("ann", "admin");
  reader = server.token("eve", "reader");
  mkdirSync("pictures", { recursive: true });
});

test.afterAll(() => server.stop());

async function signIn(page, token, url = server.url) {
  await page.goto(url);
  await page.getByLabel("Access token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");
}

/** What a QR code in the page says. */
async function decode(locator) {
  const picture = PNG.sync.read(await locator.screenshot());
  const found = jsQR(new Uint8ClampedArray(picture.data), picture.width, picture.height);
  expect(found, "a QR code that can be read").not.toBeNull();
  return found.data;
}

/** A device that C2 makes a key for, with a topic. */
async function addDevice(page, name, topic) {
  await page.goto(`${server.url}/devices/new`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Topics").fill(topic);
  await page.getByRole("button", { name: "Add the device" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`${name} was added`);
  codes.set(name, await decode(page.locator("#qr")));
  expect(await page.locator("#code").textContent()).toBe(codes.get(name));
}

const standing = (page) => page.locator("#standing");

async function faults(page) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => globalThis.axe.run());
  return result.violations
    .filter((at) => at.impact === "serious" || at.impact === "critical")
    .map((at) => `${at.id}: ${at.nodes.map((node) => node.target).join(" ")}`);
}

test("somebody without a token stays outside", async ({ page }) => {
  await page.goto(`${server.url}/devices`);
  await page.getByLabel("Access token").fill("e4_nobody");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("not known");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in");
});

test("a device that is started from its QR code turns green", async ({ page }) => {
  await signIn(page, admin);
  await page.goto(`${server.url}/topics/new`);
  await page.getByLabel("Topic", { exact: true }).fill("plant/pressure");
  await page.getByRole("button", { name: "Create the topic" }).click();
  await expect(page.getByRole("status")).toContainText("plant/pressure was created");

  await addDevice(page, "pump-1", "plant/pressure");
  await page.getByRole("link", { name: "To the device" }).click();
  await expect(standing(page)).not.toContainText("confirmed");
  server.device(codes.get("pump-1"));
  // Without anybody touching the page.
  await expect(standing(page)).toContainText("confirmed");
  await expect(page.locator("#topics")).toContainText("confirmed");
});

test("what was shown once is nowhere else", async ({ page }) => {
  await signIn(page, admin);
  const key = new URLSearchParams(codes.get("pump-1").split("?")[1]).get("key");
  for (const path of ["/", "/devices", "/device?name=pump-1", "/audit", "/tokens"]) {
    await page.goto(server.url + path);
    const text = await page.content();
    expect(text).not.toContain(key);
    expect(text).not.toContain(admin);
  }
  expect(server.log).not.toContain(key);
});

test("a topic rotates through its plan, and the map says so", async ({ page }) => {
  await signIn(page, admin);
  for (const name of ["pump-2", "pump-3"]) {
    await addDevice(page, name, "plant/pressure");
    server.device(codes.get(name));
  }
  await page.goto(`${server.url}/topic?name=plant/pressure`);
  await expect(page.locator("main")).toContainText("3 of them hold the key that they should");
  await page.goto(server.url);
  await expect(page.locator("#keys")).toContainText("key 1, 3 of 3 confirmed");
  const map = page.locator("#keys img").first();
  const before = await map.getAttribute("src");

  await page.goto(`${server.url}/topic?name=plant/pressure`);
  await page.getByRole("link", { name: "Rotate the key" }).click();
  const plan = page.locator("main");
  await expect(plan).toContainText("3");
  await expect(plan).toContainText("awake");
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await expect(page).toHaveURL(/\/topic\?/);
  await page.goto(server.url);
  await expect(page.locator("#keys")).toContainText("key 2, 3 of 3 confirmed");
  expect(await map.getAttribute("src")).not.toBe(before);
  await expect(page.locator("#lag svg").first()).toBeVisible();
});

test("many are removed at once, each with a result", async ({ page }) => {
  await signIn(page, admin);
  await page.goto(`${server.url}/topics/new`);
  await page.getByLabel("Topic", { exact: true }).fill("plant/valve");
  await page.getByRole("button", { name: "Create the topic" }).click();
  for (const name of ["valve-1", "valve-2", "valve-3"]) await addDevice(page, name, "plant/valve");
  await page.goto(`${server.url}/devices?name=valve`);
  for (const name of ["valve-1", "valve-2"]) await page.getByLabel(`Select ${name}`).check();
  await page.getByLabel("Do", { exact: true }).selectOption({ label: "remove" });
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("2");
  await page.locator("main form").getByRole("button").click();
  for (const name of ["valve-1", "valve-2"]) {
    const row = page.getByRole("row", { name: new RegExp(name) });
    await expect(row).toContainText("removed");
  }
  await page.goto(`${server.url}/devices?name=valve`);
  await expect(page.locator("#devices")).toContainText("valve-3");
  await expect(page.locator("#devices")).not.toContainText("valve-1");
});

test("a policy shows its next run, and runs", async ({ page }) => {
  await signIn(page, admin);
  await page.goto(`${server.url}/policies/new`);
  await page.getByLabel("Name", { exact: true }).fill("monthly");
  await page.getByLabel("Kind 1").selectOption("topics");
  await page.getByLabel("Which 1").selectOption("wildcard");
  await page.getByLabel("Name, pattern or label 1").fill("plant/*");
  await page.getByLabel("By the calendar (cron)").fill("0 3 1 * *");
  await page.getByLabel("Time zone").first().fill("Europe/Zurich");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.locator("#policy")).toContainText(/-01T0[12]:00:00Z/);
  await page.getByRole("link", { name: "Run now…" }).click();
  await expect(page.locator("main")).toContainText("plant/pressure");
  await page.getByRole("button", { name: "Run now" }).click();
  await expect(page).toHaveURL(/\/(campaign|policy)\?/);
  await page.goto(`${server.url}/topic?name=plant/pressure`);
  await expect(page.locator("main")).toContainText("number 3");
  await expect(page.locator("main")).toContainText("3 of them hold the key that they should");
});

test("a reader looks, and rotates nothing", async ({ page }) => {
  await signIn(page, reader);
  await page.goto(`${server.url}/topic?name=plant/pressure`);
  await expect(page.getByRole("link", { name: "Rotate the key" })).toHaveCount(0);
  await expect(page.getByRole("navigation").getByRole("link", { name: "Tokens" })).toHaveCount(0);
  const refused = await page.goto(`${server.url}/topic/rotate?name=plant/pressure`);
  expect(refused.status()).toBe(403);
  // A form of another page of theirs, bent.
  await page.goto(server.url);
  const status = await page.evaluate(async () => {
    const token = document.querySelector("input[name=form-token]").value;
    const body = new URLSearchParams({ "form-token": token, name: "plant/pressure" });
    return (await fetch("/topic/rotate", { method: "POST", body })).status;
  });
  expect(status).toBe(403);
});

test("it can be read and used without scripts", async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, admin);
  await page.goto(`${server.url}/topic?name=plant/valve`);
  await page.getByRole("link", { name: "Rotate the key" }).click();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await expect(page).toHaveURL(/\/topic\?/);
  await expect(page.getByRole("status")).toContainText("plant/valve has a new key");
  await context.close();
});

test("the keyboard is enough", async ({ page }) => {
  await signIn(page, admin);
  await page.keyboard.press("Tab");
  await expect(page.getByText("Skip to the content")).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const inside = await page.evaluate(() => !!document.activeElement.closest("main"));
  expect(inside).toBe(true);
});

const PAGES = {
  overview: "/",
  map: "/map?topic=plant/pressure",
  devices: "/devices",
  device: "/device?name=pump-1",
  "device-new": "/devices/new",
  topics: "/topics",
  topic: "/topic?name=plant/pressure",
  plan: "/topic/rotate?name=plant/pressure",
  policies: "/policies",
  policy: "/policy?name=monthly",
  "policy-new": "/policies/new",
  campaign: "/campaign?number=1",
  audit: "/audit",
  tokens: "/tokens",
  about: "/about",
};

for (const scheme of ["light", "dark"]) {
  test(`every page in ${scheme}, wide and narrow`, async ({ browser }) => {
    const context = await browser.newContext({
      colorScheme: scheme,
      ignoreHTTPSErrors: true,
      viewport: { width: 1200, height: 800 },
    });
    const page = await context.newPage();
    await page.goto(server.url);
    expect(await faults(page)).toEqual([]);
    await page.screenshot({ path: `pictures/sign-in-${scheme}.png` });
    await signIn(page, admin);
    for (const [name, path] of Object.entries(PAGES)) {
      await page.setViewportSize({ width: 1200, height: 800 });
      const answer = await page.goto(server.url + path);
      expect(answer.status(), path).toBe(200);
      expect((await answer.body()).length, path).toBeLessThan(300_000);
      expect(await faults(page), path).toEqual([]);
      await page.screenshot({ path: `pictures/${name}-${scheme}.png` });
      await page.setViewportSize({ width: 390, height: 800 });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(over, `${path} is wider than a narrow screen`).toBeLessThanOrEqual(0);
      expect(await faults(page), `${path}, narrow`).toEqual([]);
      if (["overview", "devices", "topic"].includes(name)) {
        await page.screenshot({ path: `pictures/${name}-narrow-${scheme}.png` });
      }
    }
    if (scheme === "light") {
      await page.setViewportSize({ width: 1200, height: 800 });
      await addDevice(page, "valve-9", "plant/valve");
      expect(await faults(page)).toEqual([]);
      await page.screenshot({ path: "pictures/device-created-light.png" });
    }
    await context.close();
  });
}

test("a session ends, and goes on where it was", async ({ page }) => {
  await signIn(page, admin);
  await page.goto(`${server.url}/topics`);
  server.pass(9 * 3600);
  await page.goto(`${server.url}/device?name=pump-1`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in");
  await expect(page.locator("main")).toContainText("expired");
  await page.getByLabel("Access token").fill(admin);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("pump-1");
});

test("public keys: who gets whose, and a new key of C2", async ({ browser }) => {
  const other = await new Server("public-key").ready();
  try {
    const token = other.token("ann", "admin");
    for (const scheme of ["light", "dark"]) {
      const context = await browser.newContext({ colorScheme: scheme, ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.setViewportSize({ width: 1200, height: 800 });
      await signIn(page, token, other.url);
      if (scheme === "light") {
        for (const name of ["pump", "screen"]) {
          await page.goto(`${other.url}/devices/new`);
          await page.getByLabel("Name").fill(name);
          await page.getByRole("button", { name: "Add the device" }).click();
          expect(await decode(page.locator("#qr"))).toContain("&c2=");
        }
      }
      const answer = await page.goto(`${other.url}/links`);
      expect(answer.status()).toBe(200);
      expect(await faults(page)).toEqual([]);
      await page.screenshot({ path: `pictures/links-${scheme}.png` });
      await page.goto(`${other.url}/links/c2-key`);
      await expect(page.locator("main")).toContainText("2");
      expect(await faults(page)).toEqual([]);
      await page.screenshot({ path: `pictures/c2-key-${scheme}.png` });
      await context.close();
    }
  } finally {
    other.stop();
  }
});
