"use strict";
// The filters work without this script; with it the list follows while one types, and by itself on its first page.
(() => {
  const form = document.getElementById("filters"), q = document.getElementById("q"), trouble = document.getElementById("trouble");
  const EVERY = 5000, PATH = location.pathname, SILENT = { kind: "all", order: "newest" };
  let newest = 0, typing = 0, address = PATH + location.search;

  form.querySelector("button").hidden = true;

  function wanted() {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value && SILENT[name] !== value) asked.append(name, value);
    return asked.size ? `${PATH}?${asked}` : PATH;
  }

  async function load(wish) {
    const mine = ++newest;
    try {
      const answer = await fetch(wish, { cache: "no-store", credentials: "omit", redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== newest) return;
      if (!page.getElementById("found")) throw new Error(page.querySelector("h1")?.textContent ?? "The list cannot be read.");
      show(page);
      address = wish;
      history.replaceState(null, "", wish);
      trouble.textContent = "";
    } catch (error) {
      if (mine === newest) trouble.textContent = error instanceof TypeError ? "The server does not answer. Is evalh view still running? Asking again." : error.message;
    }
  }

  function show(page) {
    const found = document.getElementById("found"), fresh = page.getElementById("found");
    for (const count of page.querySelectorAll("#filters i")) document.getElementById(count.id).textContent = count.textContent;
    if (found.innerHTML === fresh.innerHTML) return;
    const focused = found.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const along = found.querySelector(".scroll")?.scrollLeft ?? 0;
    found.replaceChildren(...fresh.childNodes);
    if (found.querySelector(".scroll")) found.querySelector(".scroll").scrollLeft = along;
    if (focused) [...found.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
  }

  function move(step) {
    const links = [...document.querySelectorAll("#found tbody th a")];
    const next = links[Math.min(links.length - 1, Math.max(0, links.indexOf(document.activeElement) + step))];
    if (next) next.focus();
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); load(wanted()); });
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => load(wanted()), event.target === q ? 200 : 0);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === q && event.key === "Escape") { q.value = ""; q.blur(); load(wanted()); }
    if (/^(INPUT|SELECT)$/.test(event.target.tagName) && event.target.type !== "radio") return;
    const keys = { j: () => move(1), k: () => move(-1), "/": () => { q.focus(); q.select(); } };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Rows do not move under a hand that is about to choose one.
  async function follow() {
    const began = performance.now();
    if (!(document.hidden || address.includes("page=") || document.querySelector("#found tbody:hover"))) await load(address);
    setTimeout(follow, Math.max(EVERY, 20 * (performance.now() - began)));
  }
  setTimeout(follow, EVERY);
})();
