"use strict";
// tables that sort: a click on a column's head
(() => {
  for (const button of document.querySelectorAll(".sort")) button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table"), column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (line) => line.cells[column].dataset.v ?? line.cells[column].textContent;
    const compare = (one, other) => {
      const [left, right] = [key(one), key(other)];
      if (!left || !right) return left ? -1 : right ? 1 : 0;
      const order = isNaN(left) || isNaN(right) ? left.localeCompare(right, "en", { numeric: true }) : left - right;
      return down ? -order : order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  });
})();
