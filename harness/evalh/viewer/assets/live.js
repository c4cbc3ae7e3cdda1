"use strict";
(() => {
  const cards = document.getElementById("cards"), blank = document.getElementById("card").content.firstElementChild;
  const empty = document.getElementById("empty"), trouble = document.getElementById("trouble");
  const title = document.title, over = new Set();
  let timer = 0, failures = 0, asking = false;

  const find = (id) => [...cards.children].find((card) => card.dataset.run === id);

  function add(run) {
    const card = blank.cloneNode(true);
    card.dataset.run = run.id;
    card.querySelector("h2 a").href = `run/${encodeURIComponent(run.id)}`;
    cards.append(card);
    return card;
  }

  function show(run) {
    const card = find(run.id) || add(run);
    for (const [name, text] of Object.entries(run.fields)) {
      const place = card.querySelector(`[data-f="${name}"]`);
      if (place.textContent !== text) place.textContent = text;
    }
    const bar = card.querySelector("progress");
    bar.max = run.of;
    bar.value = run.value;
    card.classList.toggle("over", run.over);
    if (run.over && !over.has(run.id)) { over.add(run.id); return run.fields.done; }
    return null;
  }

  function update(runs) {
    const known = new Set(runs.map((run) => run.id));
    for (const card of [...cards.children]) if (!known.has(card.dataset.run) && !over.has(card.dataset.run)) card.remove();
    const told = runs.map(show).filter(Boolean);
    if (told.length) document.getElementById("ended").textContent = told.join(" ");
    empty.hidden = cards.children.length > 0;
    const going = runs.filter((run) => !run.over);
    const done = going.reduce((sum, run) => sum + run.value, 0), all = going.reduce((sum, run) => sum + run.of, 0);
    document.title = going.length ? `${Math.floor(100 * done / all)} % · ${title}` : title;
  }

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    const began = performance.now();
    try {
      const open = [...cards.children].map((card) => card.dataset.run).filter((id) => !over.has(id)).slice(0, 32);
      const answer = await fetch(`live/${open.join(",")}`, { cache: "no-store", credentials: "omit", redirect: "error" });
      if (!answer.ok) throw new Error(`The log cannot be read: ${await answer.text()}`);
      update((await answer.json()).runs);
      failures = 0;
      trouble.textContent = "";
    } catch (error) {
      failures += 1;
      trouble.textContent = error instanceof TypeError ? "The server does not answer. Is evalh view still running? Asking again." : error.message;
    }
    asking = false;
    clearTimeout(timer);
    timer = setTimeout(ask, Math.min(10000, Math.max(1000, 10 * (performance.now() - began), failures * 2000)));
  }

  document.addEventListener("visibilitychange", ask);
  ask();
})();
