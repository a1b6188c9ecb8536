// SPDX-License-Identifier: Apache-2.0 OR MIT
// What pages are nicer with. All of them can be read without it.
"use strict";

(() => {
  // Dark or light: the browser's choice until somebody chooses here.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const present = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const buttons = document.querySelectorAll("[data-theme-toggle]");
  const show = () => {
    for (const button of buttons) {
      button.hidden = false;
      button.textContent = present() === "dark" ? "Light" : "Dark";
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      root.dataset.theme = present() === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("e4-theme", root.dataset.theme);
      } catch {
        // Then it lasts as long as the page.
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

  // A file is put into the field that its input names.
  for (const input of document.querySelectorAll("input[data-into]")) {
    input.closest("[data-file]").hidden = false;
    input.addEventListener("change", async () => {
      const [file] = input.files;
      if (file) document.getElementById(input.dataset.into).value = await file.text();
    });
  }

  // Parts of a page that change: fetched again when something happens, at most every two seconds.
  const live = () => document.querySelectorAll("[data-live]");
  const list = document.querySelector("[data-happened]");
  if (live().length === 0 && !list) return;
  const policy = window.trustedTypes?.createPolicy("e4", { createHTML: (text) => text });
  const parse = (text) =>
    new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");

  // What somebody works in stays as it is.
  const isUsed = (part) =>
    part.contains(document.activeElement) || part.querySelector("input:checked, details[open]");

  let timer;
  let last = 0;
  const refresh = async () => {
    timer = undefined;
    last = Date.now();
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const fresh = parse(await answer.text());
    for (const part of live()) {
      const other = part.id && fresh.getElementById(part.id);
      if (!other || isUsed(part) || part.innerHTML === other.innerHTML) continue;
      part.replaceWith(document.adoptNode(other));
    }
    // Pictures have the same address, and another content.
    for (const picture of document.querySelectorAll("img[data-live-image]")) {
      const address = new URL(picture.src);
      address.searchParams.set("at", last);
      const next = new Image();
      next.onload = () => (picture.src = next.src);
      next.src = address.href;
    }
  };
  // And once more when it is quiet: numbers over the whole fleet are kept for a moment.
  let echo;
  const soon = () => {
    timer ??= setTimeout(refresh, Math.max(300, last + 2000 - Date.now()));
    clearTimeout(echo);
    echo = setTimeout(() => (timer ??= setTimeout(refresh)), 3000);
  };

  const tell = ({ kind, text, link, at }) => {
    if (!list) return;
    document.querySelector("[data-happened-none]")?.remove();
    const item = document.createElement("li");
    const dot = document.createElement("span");
    dot.className = `dot ${kind}`;
    dot.ariaHidden = "true";
    const words = document.createElement(link ? "a" : "span");
    if (link) words.href = link;
    words.textContent = text;
    const time = document.createElement("time");
    time.dateTime = at;
    time.title = at;
    time.textContent = "now";
    item.append(dot, words, time);
    list.prepend(item);
    while (list.children.length > Number(list.dataset.happened)) list.lastElementChild.remove();
  };

  // A page that nobody looks at asks for nothing.
  let source;
  const open = () => {
    source?.close();
    source = new EventSource("/updates");
    source.onmessage = (message) => {
      tell(JSON.parse(message.data));
      soon();
    };
    source.onopen = () => {
      root.removeAttribute("data-cut-off");
      // What happened since the page was made, nobody told.
      soon();
    };
    source.onerror = () => {
      root.dataset.cutOff = "";
      // Where one has to sign in again there is no stream: the page says so when it is loaded.
      if (source.readyState === EventSource.CLOSED) setTimeout(check, 5000);
    };
  };
  const check = async () => {
    if (document.hidden) return;
    const answer = await fetch(location.href).catch(() => null);
    if (answer?.status === 401) location.reload();
    else open();
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else {
      open();
      soon();
    }
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) open();
  // Times such as "3 min ago" grow old as well.
  setInterval(() => document.hidden || soon(), 30000);
})();
