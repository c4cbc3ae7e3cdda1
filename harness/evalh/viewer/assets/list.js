"use strict";
(() => {
  const q = document.getElementById("q"), count = document.getElementById("count");
  const rows = [...document.querySelectorAll("#runs tbody tr")];
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
    const links = [...document.querySelectorAll("tbody tr:not([hidden]) th a")];
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at + step))];
    if (next) next.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === q) {
      if (event.key === "Escape") { q.value = ""; filter(); q.blur(); }
      return;
    }
    const keys = { j: () => move(1), k: () => move(-1), "/": () => { q.focus(); q.select(); } };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  q.addEventListener("input", filter);
  filter();
})();
