// SPDX-License-Identifier: Apache-2.0 OR MIT
// The pages in a browser: Debian's Chromium, or the one that CHROMIUM names.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  outputDir: "results",
  timeout: 60_000,
  expect: { timeout: 15_000 },
  workers: 1,
  reporter: [["list"]],
  use: {
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      // Chromium's sandbox does not start for root, as which containers run.
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    },
    ignoreHTTPSErrors: true,
    locale: "en-GB",
    timezoneId: "UTC",
    viewport: { width: 1200, height: 800 },
    trace: "off",
  },
});
