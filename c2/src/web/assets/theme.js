// SPDX-License-Identifier: Apache-2.0 OR MIT
// Dark or light, before anything is painted: the browser's choice until somebody chooses here.
"use strict";

try {
  const chosen = localStorage.getItem("e4-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing has its own choice.
}
