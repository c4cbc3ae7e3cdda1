"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const page = JSON.parse($("evalh-data").textContent);
  const { STANDINGS, el, svg, whole, ms, usd, copier, group, aloud, differ, verdicts } = evalhParts(page);
  const steps = page.flows ? evalhSteps(page, { el, svg, ms, usd, whole, group, verdicts }) : null; // steps
  const PRINTED = 300, NOT_GRADED = 3;
  const { rows, texts } = page, grid = $("grid"), detail = $("detail");
  const columns = page.columns.map((column, run) => ({ ...column, run, name: `${column.p} on ${column.m}` }));
  columns.push(...columns.flatMap((column) => ((page.flows || [])[column.run] || []).map((step, place) => ({ ...column, step: place, n: step.n, name: `${column.name} · ${step.n}` })))); // steps
  const hidden = new Set(columns.flatMap((column, index) => column.step === undefined ? [] : [index]));
  // Labels need less room than letters: the row is as high as most outputs ask for.
  const long = rows.slice(0, 200).flatMap((row) => row[4]).filter(Boolean).map((found) => found[0][1] < 0 ? 0 : whole(texts[found[0][1]]).length).sort((one, other) => one - other);
  const ROW = long.length && long[Math.floor(long.length * 0.8)] > 70 ? 134 : 74, lines = ROW > 100 ? [5, 4] : [2, 1];
  let visible = [], shown = [], at = [0, 0], drawn = new Map();

  // -- one cell

  const text = (place) => place < 0 ? "" : whole(texts[place]);
  const trials = (row, column) => row[4][column.run] || null;
  const inside = (trial, column) => column.step === undefined || !trial[5] || !trial[5].k ? null : trial[5].k.p[column.step];
  const standing = (trial, column) => {
    if (column.step === undefined) return trial[0];
    const one = inside(trial, column);
    return one && one.g != null ? one.g : NOT_GRADED;
  };
  const output = (trial, column) => {
    if (column.step === undefined) return trial[1] < 0 ? "" : text(trial[1]);
    const one = inside(trial, column);
    return one && one.o ? whole(one.o.output) : "";
  };
  // What outputs are compared by: equal texts have one place.
  const sameness = (row, column) => {
    const found = trials(row, column);
    return !found ? null : column.step === undefined ? telling(found, column)[1] : output(telling(found, column), column);
  };
  const telling = (found, column) => found.length === 1 ? found[0] : found.find((trial) => standing(trial, column) < 2) || found[0];
  const standingOf = (row, column) => {
    const found = trials(row, column);
    if (!found) return null;
    let worst = NOT_GRADED;
    for (const trial of found) worst = Math.min(worst, standing(trial, column));
    return worst;
  };
  const reason = (trial, column) => {
    const one = inside(trial, column);
    if (column.step !== undefined) return one && one.w ? whole(one.w) : one && page.states[one.s || 0] !== "ran" ? page.states[one.s || 0] : "";
    if (trial[5] && trial[5].e !== undefined) return text(trial[5].e);
    const missed = page.verdicts[trial[2]].find((verdict) => verdict[1] !== 3 && verdict[2]);
    return missed && missed[4] ? `${page.graders[missed[0]]}: ${whole(missed[4])}` : "";
  };

  // -- filtering and order

  const value = (name) => $(name) ? $(name).value : "";
  const show = () => document.querySelector("input[name=show]:checked").value;
  let lower = null;
  const lowered = () => lower ??= [texts.map((one) => whole(one).toLowerCase()), page.verdicts.map((set) => set.map((verdict) => `${page.graders[verdict[0]]} ${verdict[4] ? whole(verdict[4]) : ""}`).join("\n").toLowerCase())];

  function searched(q) {
    if (!q) return () => true;
    const [words, said] = lowered(), has = words.map((one) => one.includes(q)), told = said.map((one) => one.includes(q));
    const inTrial = (trial) => has[trial[1]] || told[trial[2]] || (trial[5] !== undefined && more(trial[5]));
    const more = (extra) => has[extra.e] || has[extra.y] || (extra.k && inSteps(extra.k));
    const inSteps = (told) => (told.words ??= told.p.flatMap((one) => [one.w, one.o && one.o.output, ...Object.values(one.i || {})]).filter(Boolean).map(whole).join("\n").toLowerCase()).includes(q);
    return (row) => row[0].toLowerCase().includes(q) || row[2].some((one) => has[one[1]]) || row[3].some((one) => has[one[1]]) || visible.some((column) => { const found = trials(row, column); return found && found.some(inTrial); });
  }

  // Rows on which this grader did not pass in one of the columns that are shown.
  function missedBy(grader) {
    if (grader < 0) return () => true;
    const missed = page.verdicts.map((set) => set.some((verdict) => verdict[0] === grader && verdict[1] !== 3));
    return (row) => visible.some((column) => column.step === undefined && (trials(row, column) || []).some((trial) => missed[trial[2]]));
  }

  function judge(row) {
    let good = 0, judged = 0, bad = 0;
    for (const column of visible) {
      const one = standingOf(row, column);
      if (one === null || one === NOT_GRADED) continue;
      judged += 1;
      good += one === 2;
      bad += one === 0;
    }
    row.told = { good, judged, bad, outputs: new Set(visible.map((column) => sameness(row, column)).filter((one) => one !== null)).size };
  }

  const kinds = {
    all: () => true,
    differs: (row) => row.told.good > 0 && row.told.good < row.told.judged,
    outputs: (row) => row.told.outputs > 1,
    none: (row) => row.told.judged > 0 && row.told.good === 0,
  };
  const split = (row) => row.told.good * (row.told.judged - row.told.good);
  const orders = {
    disagreement: (one, other) => split(other) - split(one) || other.told.outputs - one.told.outputs,
    worst: (one, other) => one.told.good - other.told.good,
  };
  const order = (name) => {
    const column = columns[Number(name.slice(1))];
    if (orders[name] || !name.startsWith("c") || !column) return orders[name];
    return (one, other) => (standingOf(one, column) ?? 9) - (standingOf(other, column) ?? 9);
  };

  // What is said of a row depends on the columns that are shown alone.
  let judged = null;
  function look() {
    const shownNow = columns.filter((_, index) => !hidden.has(index));
    const names = shownNow.map((column) => columns.indexOf(column)).join();
    visible = shownNow;
    if (names === judged) return;
    judged = names;
    rows.forEach(judge);
  }

  function filter() {
    look();
    const q = value("q").trim().toLowerCase().split(/\s+/).join(" "), tag = page.tags.indexOf(value("tag")), fits = searched(q);
    const failing = missedBy(page.graders.indexOf(value("grader")));
    const found = rows.filter((row) => (tag < 0 || row[1].includes(tag)) && failing(row) && fits(row));
    for (const name in kinds) $(`n-${name}`).textContent = found.filter(kinds[name]).length.toLocaleString("en");
    shown = found.filter(kinds[show()]);
    const by = order(value("sort"));
    if (by) shown = [...shown].sort(by);
    $("count").textContent = shown.length === rows.length ? "" : `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} cases`;
    frame();
    at = [0, Math.min(Math.max(at[1], 0), visible.length)];
    grid.scrollTop = 0;
    draw(true);
    open(!detail.hidden && shown.length > 0);
  }

  // -- the grid: only the rows in sight are there

  const body = el("div", "body"), heads = el("div", "heads");
  body.setAttribute("role", "rowgroup");
  heads.setAttribute("role", "row");
  heads.setAttribute("aria-rowindex", 1);
  const top = el("div", "top-row", heads);
  top.setAttribute("role", "rowgroup");
  grid.append(top, body);

  grid.style.setProperty("--row", `${ROW}px`);
  grid.style.setProperty("--clamp", lines[0]);
  grid.style.setProperty("--gist", lines[1]);

  function frame() {
    const narrow = innerWidth < 760, beside = !detail.hidden && innerWidth >= 1100;
    const first = narrow ? 120 : beside ? 180 : 250, least = narrow ? 190 : beside ? 140 : 220;
    grid.style.setProperty("--columns", `${first}px ${visible.map(() => `minmax(${least}px, 1fr)`).join(" ")}`);
    grid.style.setProperty("--printed", `1.2fr ${visible.map(() => "1fr").join(" ")}`);
    grid.style.setProperty("--width", `max(100%, ${first + least * visible.length}px)`);
    grid.setAttribute("aria-rowcount", shown.length + 1);
    grid.setAttribute("aria-colcount", visible.length + 1);
    const corner = el("div", "first", el("b", "", "case"), el("span", "dim", "input, expected"));
    corner.setAttribute("role", "columnheader");
    corner.setAttribute("aria-colindex", 1);
    heads.replaceChildren(corner, ...visible.map((column, place) => {
      const numbers = column.step === undefined ? [el("strong", "", column.g || "no rate yet"), el("span", "dim", column.n ? ` ${column.n}` : "")] : [el("span", "dim", "step")];
      const button = el("button", "sort", el("b", "", column.step === undefined ? column.p : `${column.n} (${column.p})`), el("span", "dim wide", column.m), ...numbers);
      button.type = "button";
      button.tabIndex = -1;
      button.title = "Bad ones of this column first";
      button.addEventListener("click", () => sort(`c${columns.indexOf(column)}`));
      const made = el("div", "", button);
      made.setAttribute("role", "columnheader");
      made.setAttribute("aria-colindex", place + 2);
      return made;
    }));
    body.style.height = `${Math.max(shown.length * ROW, 1)}px`;
    drawn.forEach((line) => line.remove());
    drawn = new Map();
    body.replaceChildren(...(shown.length ? [] : [nothing()]));
  }

  function nothing() {
    const cell = el("div", "nothing", "No case fits these filters.");
    cell.setAttribute("role", "gridcell");
    const line = el("div", "", cell);
    line.setAttribute("role", "row");
    return line;
  }

  function draw(forced) {
    const from = Math.max(0, Math.floor(grid.scrollTop / ROW) - 4), end = Math.min(shown.length, from + Math.ceil(grid.clientHeight / ROW) + 9);
    if (forced) { drawn.forEach((line) => line.remove()); drawn.clear(); }
    for (const [index, line] of drawn) if (index < from || index >= end) { line.remove(); drawn.delete(index); }
    for (let index = from; index < end; index += 1) if (!drawn.has(index)) {
      const made = line(shown[index], index);
      drawn.set(index, made);
      body.append(made);
    }
    point();
  }

  function line(row, index) {
    const expected = row[3].length ? el("span", "gold", el("span", "", "expected "), el("code", "", row[3].map((one) => text(one[1])).join(" · ").slice(0, 160))) : null;
    const first = el("div", "first", el("b", "", row[0]), el("span", "cut", row[2].map((one) => text(one[1]).slice(0, 300)).join(" · ")), expected);
    first.setAttribute("role", "rowheader");
    const base = visible.length ? sameness(row, visible[0]) : null;
    const made = el("div", "line", first, ...visible.map((column, place) => cell(row, column, place > 0 && base !== null && sameness(row, column) === base)));
    [...made.children].forEach((one, place) => {
      one.id = `c-${index}-${place}`;
      one.setAttribute("aria-colindex", place + 1);
      one.addEventListener("click", () => { at = [index, place]; point(); open(true); remember(); });
    });
    made.setAttribute("role", "row");
    made.setAttribute("aria-rowindex", index + 2);
    made.style.top = `${index * ROW}px`;
    return made;
  }

  function cell(row, column, same) {
    const found = trials(row, column);
    const made = el("div", "cell");
    made.setAttribute("role", "gridcell");
    if (!found) {
      made.append(el("span", "dim", "not in this run"));
      return made;
    }
    const one = standingOf(row, column), trial = telling(found, column), good = found.filter((each) => standing(each, column) === 2).length;
    const word = one === NOT_GRADED ? "not graded" : STANDINGS[one];
    made.className = `cell s${one}${same ? " same" : ""}`;
    made.append(el("span", "mark", el("span", one === NOT_GRADED ? "dim" : STANDINGS[one], found.length > 1 ? `${good} of ${found.length} good` : word), el("span", "dim", one < 2 || column.step !== undefined ? reason(trial, column).slice(0, 120) : "")),
      el("span", "cut text-of", output(trial, column).slice(0, 400) || (trial[1] < 0 || column.step !== undefined ? "" : "(empty)")));
    return made;
  }

  function point() {
    for (const made of body.querySelectorAll(".at")) made.classList.remove("at");
    const chosen = $(`c-${at[0]}-${at[1]}`);
    if (chosen) {
      chosen.classList.add("at");
      grid.setAttribute("aria-activedescendant", chosen.id);
    } else grid.removeAttribute("aria-activedescendant");
  }

  function move(down, across) {
    if (!shown.length) return;
    at = [Math.min(shown.length - 1, Math.max(0, at[0] + down)), Math.min(visible.length, Math.max(0, at[1] + across))];
    const room = grid.clientHeight - top.offsetHeight, y = at[0] * ROW;
    if (y < grid.scrollTop) grid.scrollTop = y;
    if (y + ROW > grid.scrollTop + room) grid.scrollTop = y + ROW - room;
    draw(false);
    const chosen = $(`c-${at[0]}-${at[1]}`);
    if (chosen && at[1] > 0) {
      const first = chosen.parentElement.firstChild.offsetWidth, left = chosen.offsetLeft, right = left + chosen.offsetWidth;
      if (left - first < grid.scrollLeft) grid.scrollLeft = left - first;
      if (right > grid.scrollLeft + grid.clientWidth) grid.scrollLeft = right - grid.clientWidth;
    } else grid.scrollLeft = 0;
    open(!detail.hidden);
    remember();
  }

  // The next cell that is not good, row by row.
  function miss(step) {
    const wide = visible.length;
    if (!shown.length || !wide) return;
    for (let next = at[0] * wide + at[1] - 1 + (step < 0 && !at[1] ? 1 : 0) + step; next >= 0 && next < shown.length * wide; next += step) {
      const row = Math.floor(next / wide), column = next % wide;
      if ((standingOf(shown[row], visible[column]) ?? NOT_GRADED) < 2) return move(row - at[0], column + 1 - at[1]);
    }
  }

  // -- the chosen cell, whole

  function open(asked) {
    const row = shown[at[0]], before = detail.hidden;
    detail.hidden = !asked || !row;
    document.body.classList.toggle("open", !detail.hidden);
    if (detail.hidden !== before) { frame(); draw(true); } // beside the open cell columns are narrower
    if (detail.hidden) return;
    const column = visible[Math.max(0, at[1] - 1)];
    detail.replaceChildren(...tell(row, column).filter(Boolean));
    detail.scrollTop = 0;
  }

  function tell(row, column) {
    const close = el("button", "close", "Close");
    close.type = "button";
    close.addEventListener("click", () => { open(false); grid.focus({ preventScroll: true }); });
    const head = el("div", "head", el("b", "", row[0]), ...row[1].map((tag) => el("span", "chip", page.tags[tag])), close);
    const named = (pairs, title) => group(Object.fromEntries(pairs.map(([name, place]) => [name, texts[place]])), title);
    const found = column && trials(row, column);
    return [head, ...named(row[2], "Inputs"), ...named(row[3], "Expected"), column ? el("h2", "", column.name) : null,
      ...(found ? found.flatMap((trial) => answer(row, column, trial, found.length > 1)) : column ? [el("p", "note", "This run does not have the case.")] : []),
      visible.length > 1 ? el("h3", "", "The other columns") : null, ...visible.filter((other) => other !== column).map((other) => beside(row, other))];
  }

  function answer(row, column, trial, several) {
    const one = standing(trial, column), extra = trial[5] || {}, link = page.linked ? el("a", "", "the run’s page, with every attempt") : null;
    if (link) link.href = `../run/${encodeURIComponent(column.r)}#case=${encodeURIComponent(`${row[0]}${extra.t ? `/${extra.t}` : ""}`)}`;
    const facts = [trial[3] == null ? "" : ms(trial[3]), trial[4] == null ? "" : usd(trial[4]), extra.f ? `ended by ${extra.f}` : ""].filter(Boolean).join(" · ");
    const line = el("p", "note", el("b", one === NOT_GRADED ? "dim" : STANDINGS[one], one === NOT_GRADED ? "not graded" : STANDINGS[one]), several ? ` · trial ${extra.t || 0}` : "", facts ? ` · ${facts}` : "", link ? " · " : "", link);
    return [line, ...said(row, column, trial), ...(extra.y === undefined ? [] : aloud({ y: { reasoning: texts[extra.y] } }, "Reasoning")),
      ...(steps && extra.k ? steps.tell({ ...extra.k, r: column.run, s: trial[0] }) : []), // steps
      ...(column.step === undefined ? verdicts({ v: page.verdicts[trial[2]] }) : [])];
  }

  // The output, with the words marked that the first column does not have.
  function said(row, column, trial) {
    const came = output(trial, column), extra = trial[5] || {};
    if (extra.e !== undefined && column.step === undefined) return [el("p", "ungraded", `no answer: ${text(extra.e)}`)];
    const first = visible[0], other = first !== column && trials(row, first);
    const before = other ? output(telling(other, first), first) : null;
    const head = el("h3", "", "Output ", copier("Output", came));
    const shownText = el("div", "text", ...(before === null || before === came ? [came || "(empty)"] : differ(before, came)[1]));
    shownText.dir = "auto";
    const clipped = column.step === undefined && Array.isArray(texts[trial[1]]) ? texts[trial[1]][1] : 0;
    return [head, shownText, before !== null && before !== came ? el("p", "note", `Marked: what ${first.name} does not have.`) : null,
      clipped ? el("p", "clip", `Only the beginning: ${clipped.toLocaleString("en")} characters in all; evalh show ${row[0]}`) : null].filter(Boolean);
  }

  function beside(row, column) {
    const found = trials(row, column), one = standingOf(row, column);
    const made = el("button", "other", el("b", one === null || one === NOT_GRADED ? "dim" : STANDINGS[one], one === null ? "not in this run" : one === NOT_GRADED ? "not graded" : STANDINGS[one]), ` ${column.name}`, found ? el("span", "cut", output(telling(found, column), column).slice(0, 600)) : null);
    made.type = "button";
    made.addEventListener("click", () => { at[1] = visible.indexOf(column) + 1; point(); open(true); remember(); detail.focus(); });
    return made;
  }

  // -- the address: filters, columns and a cell can be linked to

  function remember() {
    const set = new URLSearchParams();
    if (show() !== "all") set.set("show", show());
    for (const name of ["q", "tag", "grader", "sort"]) if (value(name) && value(name) !== "disagreement") set.set(name, value(name));
    const off = [...hidden].filter((index) => columns[index].step === undefined), on = columns.flatMap((column, index) => column.step !== undefined && !hidden.has(index) ? [index] : []);
    if (off.length) set.set("hide", off.join("."));
    if (on.length) set.set("steps", on.join("."));
    if (!detail.hidden && shown[at[0]]) set.set("cell", `${at[1]}~${shown[at[0]][0]}`);
    history.replaceState(null, "", set.size ? `#${set}` : "#matrix");
  }

  function follow() {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return;
    const asked = new URLSearchParams(hash);
    $("q").value = asked.get("q") || "";
    for (const name of ["tag", "grader"]) if ($(name)) $(name).value = asked.get(name) || "";
    $("sort").value = asked.get("sort") || "disagreement";
    if ($("sort").selectedIndex < 0) $("sort").value = "disagreement";
    const kind = document.querySelector(`input[name=show][value="${CSS.escape(asked.get("show") || "all")}"]`);
    if (kind) kind.checked = true;
    const places = (name) => (asked.get(name) || "").split(".").filter((one) => /^\d+$/.test(one) && columns[one]).map(Number);
    columns.forEach((column, index) => column.step === undefined ? hidden.delete(index) : hidden.add(index));
    places("hide").forEach((index) => hidden.add(index));
    places("steps").forEach((index) => hidden.delete(index));
    tick();
    filter();
    const [, across, wanted] = /^(\d+)~(.*)$/s.exec(asked.get("cell") || "") || [];
    const index = wanted === undefined ? -1 : shown.findIndex((row) => row[0] === wanted);
    if (index >= 0) { at = [index, 0]; move(0, Math.min(visible.length, Number(across))); open(true); }
    $("matrix").scrollIntoView();
  }

  // -- columns that are shown

  const boxes = columns.map((column, index) => {
    const box = el("input");
    box.type = "checkbox";
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(index); else hidden.add(index);
      changed();
    });
    $("columns").append(el("label", "", box, ` ${column.name}`));
    $("sort").append(new Option(`bad first: ${column.name}`, `c${index}`));
    return box;
  });
  const tick = () => boxes.forEach((box, index) => { box.checked = !hidden.has(index); });

  // -- keys

  const changed = () => { filter(); remember(); };
  const sort = (name) => { $("sort").value = name; changed(); };
  const only = (name) => { document.querySelector(`input[name=show][value=${name}]`).checked = true; changed(); };
  const next = () => { $("sort").selectedIndex = ($("sort").selectedIndex + 1) % 3; changed(); };
  const pick = () => { const box = document.querySelector(".columns"); box.open = !box.open; (box.open ? boxes[0] : grid).focus(); };
  const arrows = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], j: [1, 0], k: [-1, 0], l: [0, 1], h: [0, -1] };
  const leaps = { PageDown: 6, PageUp: -6, Home: -Infinity, End: Infinity };
  const keys = { n: () => miss(1), p: () => miss(-1), "/": () => { $("q").focus(); $("q").select(); }, d: () => only(show() === "differs" ? "all" : "differs"), o: next, c: pick, "?": () => $("help").showModal(), g: () => { $("matrix").scrollIntoView(); grid.focus({ preventScroll: true }); } };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    if (event.key === "Escape") return escape(event);
    if (/^(INPUT|SELECT|TEXTAREA|BUTTON|SUMMARY|A)$/.test(event.target.tagName) && !/^(radio|checkbox)$/.test(event.target.type) && (event.key.length > 1 || /^(INPUT|SELECT)$/.test(event.target.tagName))) return;
    if (/^(radio|checkbox)$/.test(event.target.type) && event.key.length > 1) return;
    const step = arrows[event.key], leap = leaps[event.key];
    if (event.target !== grid && event.key.length > 1 && (step || leap !== undefined || event.key === "Enter")) return;
    const done = step ? () => move(...step) : leap !== undefined ? () => move(leap, 0) : event.key === "Enter" ? () => { open(detail.hidden); remember(); } : keys[event.key];
    if (!done) return;
    event.preventDefault();
    done();
  });
  function escape(event) {
    const box = document.querySelector(".columns");
    if (event.target === $("q")) { $("q").value = ""; changed(); grid.focus({ preventScroll: true }); }
    else if (box.open) { box.open = false; grid.focus({ preventScroll: true }); }
    else if (!detail.hidden) { open(false); remember(); grid.focus({ preventScroll: true }); }
  }

  // -- printing: what fits the filters, as far as a person would read it

  addEventListener("beforeprint", () => {
    body.replaceChildren(...shown.slice(0, PRINTED).map(line));
    if (shown.length > PRINTED) body.append(el("p", "note", `${shown.length - PRINTED} more cases are not printed.`));
  });
  addEventListener("afterprint", () => { frame(); draw(true); });

  $("filters").addEventListener("input", (event) => { if (event.target.type !== "checkbox") changed(); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  grid.addEventListener("scroll", () => draw(false), { passive: true });
  addEventListener("resize", () => { frame(); draw(true); });
  addEventListener("hashchange", follow);
  tick();
  look();
  if (rows.some(kinds.differs)) document.querySelector("input[value=differs]").checked = true;
  filter();
  follow();

  // What is searched is put together while nobody waits, so that the first search finds it there.
  if (window.requestIdleCallback) requestIdleCallback(lowered);
})();
