"use strict";
(() => {
  const q = document.getElementById("q"), count = document.getElementById("count");
  const rows = q ? [...document.querySelectorAll("#runs tbody tr")] : [];
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

  for (const button of document.querySelectorAll(".sort")) button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table"), column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const compare = (one, other) => {
      const [left, right] = [key(one), key(other)];
      if (!left || !right) return left ? -1 : right ? 1 : 0;
      const order = isNaN(left) || isNaN(right) ? left.localeCompare(right, "en", { numeric: true }) : left - right;
      return down ? -order : order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (q && event.target === q) {
      if (event.key === "Escape") { q.value = ""; filter(); q.blur(); }
      return;
    }
    const keys = { j: () => move(1), k: () => move(-1), "/": () => { if (q) { q.focus(); q.select(); } } };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  if (q) { q.addEventListener("input", filter); filter(); }
})();
