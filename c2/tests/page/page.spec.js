// SPDX-License-Identifier: Apache-2.0 OR MIT
// What an operator does in the page, with devices that really answer.
import { expect, test } from "@playwright/test";
import axe from "axe-core";
import jsQR from "jsqr";
import { PNG } from "pngjs";

import { Server, until } from "./server.js";

test.describe.configure({ mode: "serial" });

/** @type {Server} */
let server;
let admin;
let reader;

test.beforeAll(async () => {
  server = await new Server().ready();
  admin = server.token("ann", "admin");
  reader = server.token("eve", "reader");
});

test.afterAll(() => server.stop());

async function signIn(page, token) {
  await page.goto(server.url);
  await page.getByLabel("Token").fill(token);
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

async function faults(page) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => globalThis.axe.run());
  return result.violations
    .filter((at) => at.impact === "serious" || at.impact === "critical")
    .map((at) => `${at.id}: ${at.nodes.map((node) => node.target).join(" ")}`);
}
