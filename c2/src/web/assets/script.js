// SPDX-License-Identifier: Apache-2.0 OR MIT
// What pages are nicer with. All of them can be read without it.
"use strict";

(() => {
  // Dark or light: the browser's choice until somebody chooses here.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("e4-theme");
    } catch {
      return null;
    }
  };
  const present = () => chosen() ?? (dark.matches ? "dark" : "light");
  const buttons = document.querySelectorAll("[data-theme-toggle]");
  const show = () => {
    if (chosen()) root.dataset.theme = chosen();
    for (const button of buttons) {
      button.hidden = false;
      button.textContent = present() === "dark" ? "Light" : "Dark";
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      try {
        localStorage.setItem("e4-theme", present() === "dark" ? "light" : "dark");
      } catch {
        return;
      }
      show();
    });
  }
  dark.addEventListener("change", show);
  show();

  // A click on a copy button copies what it names.
  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      await navigator.clipboard.writeText(source.textContent.trim());
      const name = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = name), 2000);
    });
  }

  // One box ticks all of a table.
  for (const box of document.querySelectorAll("input[data-select-all]")) {
    box.hidden = false;
    const all = () => document.querySelectorAll(`input[name="${box.dataset.selectAll}"]`);
    box.addEventListener("change", () => {
      for (const one of all()) one.checked = box.checked;
    });
  }
})();
