"use strict";
(() => {
  const on = (id) => document.getElementById(id);
  const press = (id) => { const found = on(id); if (found) found.click(); };
  const keys = { g: () => press("good"), b: () => press("bad"), s: () => press("skip"), u: () => press("undo") };
  Object.assign(keys, { y: keys.g, n: keys.b });  // yes and no, as in `evalh label`
  keys.w = () => { const note = on("note"); if (note) note.focus(); };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.toLowerCase();
    if (!Object.hasOwn(keys, key)) return;
    event.preventDefault();
    keys[key]();
  });
  for (const form of document.forms) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();  // two quick presses are one answer
      form.dataset.sent = "yes";
    });
  }
})();
