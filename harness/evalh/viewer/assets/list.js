"use strict";
(() => {
  const q = document.getElementById("q"), count = document.getElementById("count");
  const bar = document.getElementById("ticked"), ticked = [];
  const rows = [...document.querySelectorAll("#runs > .scroll tbody tr")];
  const words = rows.map((row) => row.textContent.toLowerCase());

  function filter() {
    const asked = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !asked.every((word) => words[index].includes(word));
      shown += !row.hidden;
    });
    count.textContent = asked.length ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  }

  function move(step) {
    const links = [...document.querySelectorAll("tbody tr:not([hidden]) th > a")];
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at + step))];
    if (next) next.focus();
  }

  // -- runs that are ticked: two can be compared, any set of one suite makes a matrix

  const link = (words, to) => {
    const made = document.createElement("a");
    made.textContent = words;
    made.href = to;
    return made;
  };
  function tick(cell, on) {
    const at = ticked.indexOf(cell), age = (one) => one.dataset.run;
    if (on && at < 0) ticked.push(cell);
    if (!on && at >= 0) ticked.splice(at, 1);
    ticked.sort((one, other) => age(one) < age(other) ? -1 : 1); // ids begin with their time: the older run is base
    const ids = ticked.map((one) => one.dataset.run).join(","), suites = new Set(ticked.map((one) => one.dataset.suite));
    const clear = document.createElement("button");
    clear.type = "button";
    clear.textContent = "Clear";
    clear.addEventListener("click", () => { for (const one of [...ticked]) { one.firstChild.checked = false; tick(one, false); } });
    const several = `${ticked.length} ${ticked.length === 1 ? "run" : "runs"} ticked`;
    const parts = suites.size > 1 ? [`${several}, of different suites: tick runs of one suite.`] : ticked.length < 2 ? [`${several}: tick another one.`] : [`${several}: `, link("Matrix", `matrix/${ids}`)];
    if (ticked.length === 2 && suites.size === 1) parts.push(" ", link(`Compare ${ticked[0].dataset.name} → ${ticked[1].dataset.name}`, `compare/${ids}`));
    bar.replaceChildren(...parts, " ", clear);
    bar.hidden = !ticked.length;
  }
  for (const cell of document.querySelectorAll("td.tick[data-run]")) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Tick ${cell.dataset.name}, ${cell.dataset.run}`);
    box.addEventListener("change", () => tick(cell, box.checked));
    cell.append(box);
  }
  // Who comes back to this page finds the ticks there: the browser keeps them.
  addEventListener("pageshow", () => { for (const cell of document.querySelectorAll("td.tick[data-run]")) tick(cell, cell.firstChild.checked); });
  function flip() {
    const row = document.activeElement.closest("tr"), box = row && row.querySelector(".tick input");
    if (box) box.click();
  }
  const follow = (words) => { const found = [...bar.querySelectorAll("a")].find((one) => one.textContent.startsWith(words)); if (found) found.click(); };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === q) {
      if (event.key === "Escape") { q.value = ""; filter(); q.blur(); }
      return;
    }
    const keys = { j: () => move(1), k: () => move(-1), "/": () => { q.focus(); q.select(); }, x: flip, m: () => follow("Matrix"), c: () => follow("Compare") };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  q.addEventListener("input", filter);
  filter();
})();
