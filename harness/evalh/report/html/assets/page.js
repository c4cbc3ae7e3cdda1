"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const page = JSON.parse($("evalh-data").textContent);
  const { STANDINGS, el, svg, whole, ms, usd, copier, group, aloud, differ, verdicts } = evalhParts(page);
  const ROW = 56, PRINTED = 300;
  const rows = page.rows, list = $("list"), detail = $("detail");
  const controls = ["change", "tag", "grader", "gold", "said", "run", "sort", "q"].filter((name) => $(name));
  const space = document.createElement("div");
  space.className = "space";
  space.setAttribute("role", "presentation");
  list.append(space);
  let shown = [], at = -1, first = 0, last = 0;
  controls.push("kind", "at"); // steps

  const texts = (row) => [...Object.entries(row.x || {}), ...Object.entries(row.e || {}), ...Object.entries(row.o || {}), ...Object.entries(row.y || {})];
  const attempts = (row) => (row.k || []).reduce((sum, call) => sum + call.a.length, 0);
  const idOf = (row) => `${row.r ? `${row.r}:` : ""}${row.i}${row.t ? `/${row.t}` : ""}`;
  const steps = evalhSteps(page, { el, svg, ms, usd, whole, group, verdicts }); // steps

  // -- filtering

  const words = (row) => row.words ??= [row.i, ...texts(row).map((pair) => whole(pair[1])), ...row.v.map((verdict) => `${page.graders[verdict[0]]} ${verdict[4] ? whole(verdict[4]) : ""}`)].join("\n").toLowerCase();
  const standing = () => document.querySelector("input[name=standing]:checked").value;
  const value = (name) => $(name) ? $(name).value : "";
  const orders = {
    latency: (one, other) => (other.l ?? -1) - (one.l ?? -1),
    cost: (one, other) => (other.c ?? -1) - (one.c ?? -1),
    attempts: (one, other) => attempts(other) - attempts(one),
  };

  function filter() {
    const anyTag = !value("tag"), anyGrader = !value("grader"), change = value("change");
    const tag = page.tags.indexOf(value("tag")), grader = page.graders.indexOf(value("grader"));
    const q = value("q").trim().toLowerCase().split(/\s+/).join(" "), run = value("run");
    const gold = (page.labels || []).indexOf(value("gold")), said = (page.labels || []).indexOf(value("said"));
    const along = steps.fits(value("kind"), value("at")); // steps
    if (q) for (const row of rows) { words(row); steps.search(row); } // steps
    const fits = rows.filter((row) =>
      along(row) && // steps
      (gold < 0 || (row.u && row.u[0] === gold)) && (said < 0 || (row.u && row.u[1] === said)) &&
      (anyTag || (row.g || []).includes(tag)) &&
      (anyGrader || row.v.some((verdict) => verdict[0] === grader && verdict[1] !== 3)) &&
      (run === "" || (row.r || 0) === Number(run)) && (!change || row.z === change) && (!q || words(row).includes(q)));
    const kind = standing(), counts = [0, 0, 0];
    for (const row of fits) counts[row.s] += 1;
    const numbers = { all: fits.length, missed: counts[0] + counts[1], bad: counts[0], ungraded: counts[1], good: counts[2] };
    for (const name in numbers) $(`n-${name}`).textContent = numbers[name].toLocaleString("en");
    shown = fits.filter((row) => kind === "all" || (kind === "missed" ? row.s !== 2 : STANDINGS[row.s] === kind));
    if (orders[value("sort")]) shown = [...shown].sort(orders[value("sort")]);
    $("count").textContent = shown.length === rows.length ? "" : `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} samples`;
    steps.chosen(value("kind"), value("at"), run); // steps
    space.style.height = `${Math.max(shown.length * ROW, 1)}px`;
    list.scrollTop = 0;
    draw(true);
    choose(shown.length ? 0 : -1);
  }

  // -- the list: only the rows in sight are there

  function draw(forced) {
    const top = Math.max(0, Math.floor(list.scrollTop / ROW) - 8);
    const end = Math.min(shown.length, top + Math.ceil(list.clientHeight / ROW) + 16);
    if (!forced && top === first && end === last) return;
    [first, last] = [top, end];
    space.replaceChildren(...shown.slice(top, end).map((row, index) => line(row, top + index)));
    point();
  }

  function line(row, index) {
    const made = el("div", "row",
      el("div", "", el("b", "", idOf(row)), el("span", `${STANDINGS[row.s]}`, STANDINGS[row.s])),
      el("div", "", el("em", "", gist(row)), el("span", "dim", row.l == null ? "" : ms(row.l))));
    steps.mark(row, made); // steps
    made.setAttribute("role", "option");
    made.id = `row-${index}`;
    made.setAttribute("aria-setsize", shown.length);
    made.setAttribute("aria-posinset", index + 1);
    made.setAttribute("aria-selected", index === at);
    made.style.top = `${index * ROW}px`;
    made.addEventListener("click", () => choose(index, true));
    return made;
  }

  function gist(row) {
    if (steps.gist(row)) return steps.gist(row); // steps
    const missed = row.v.find((verdict) => verdict[1] !== 3 && verdict[2]) || row.v.find((verdict) => verdict[1] !== 3);
    if (missed && missed[4]) return `${page.graders[missed[0]]}: ${whole(missed[4]).slice(0, 140)}`;
    const text = (Object.values(row.o || {})[0]) ?? (Object.values(row.x || {})[0]) ?? "";
    return whole(text).slice(0, 140).replace(/\s+/g, " ");
  }

  function point() {
    for (const made of space.children) made.setAttribute("aria-selected", made.id === `row-${at}`);
    if (at >= first && at < last) list.setAttribute("aria-activedescendant", `row-${at}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function choose(index, asked) {
    at = index;
    if (at >= 0) {
      const top = at * ROW;
      if (top < list.scrollTop) list.scrollTop = top;
      if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
      draw(false);
    }
    point();
    detail.replaceChildren(...(at < 0 ? [el("p", "note", "No sample fits these filters.")] : tell(shown[at])));
    if (at >= 0) detail.children[1].after(...steps.tell(shown[at])); // steps
    detail.scrollTop = 0;
    if (asked && at >= 0) history.replaceState(null, "", `#case=${encodeURIComponent(idOf(shown[at]))}`);
  }

  // -- one sample

  function tell(row) {
    const link = el("a", "", "link");
    link.href = `#case=${encodeURIComponent(idOf(row))}`;
    link.title = "A link to this sample";
    const head = el("div", "head", el("b", "", row.i), el("span", `chip s${row.s}`, STANDINGS[row.s]),
      row.t ? el("span", "dim", `trial ${row.t}`) : null, page.runs.length > 1 ? el("span", "dim", page.runs[row.r || 0]) : null,
      ...(row.g || []).map((tag) => el("span", "chip", page.tags[tag])), link);
    const tokens = row.n == null && row.m == null ? "" : ` · ${row.n ?? "?"} + ${row.m ?? "?"} tokens`;
    const facts = `${row.h ? "answered by the log · " : ""}${ms(row.l)} · ${usd(row.c)}${tokens}${row.f ? ` · ended by ${row.f}` : ""}`;
    return [head, el("p", "note", facts), ...group(row.x, "Inputs"), ...group(row.e, "Expected"), ...(row.b ? both(row) : [...group(row.o, "Output"), ...aloud(row, "Reasoning")]),
      row.d ? el("p", "clip", `The texts are not in this page, it would be too large: evalh show ${row.i}`) : null,
      ...verdicts(row), ...(row.k || []).flatMap(trace)].filter(Boolean);
  }

  const changeWord = (key) => [...$("change").options].find((one) => one.value === key)?.text ?? "";

  // Both outputs, word by word. What both have is plain; what one lacks is marked on the other's side.
  function both(row) {
    const sides = [row.b, row].map((side) => whole(Object.values(side.o || {})[0] ?? ""));
    const [gone, come] = differ(...sides);
    const shownSide = (name, parts, standing, said) => { const text = el("div", "text", ...parts); text.dir = "auto"; return [el("h3", "", `${name} `, el("span", STANDINGS[standing], STANDINGS[standing]), " ", copier(name, said)), text]; };
    const made = [el("p", "", el("span", "chip", changeWord(row.z))), ...shownSide("Output of base", gone, row.b.s, sides[0]), ...aloud(row.b, "Reasoning on base"),
      ...shownSide("Output of head", come, row.s, sides[1]), ...aloud(row, "Reasoning on head")];
    return [...made, ...verdicts(row.b, "Verdicts on base")];
  }

  // A call on a time axis: a bar for each attempt, a tick for each decision.
  function trace(call) {
    const name = [call.step, call.purpose, call.draw ? `draw ${call.draw}` : "", call.route ? `route ${call.route}` : ""].filter(Boolean).join(" · ");
    const title = el("h3", "", `Trace${name ? `: ${name}` : ""}${call.hit ? " (as it was when the log’s answer was bought)" : ""}`);
    const events = [...call.a.map((one, index) => [one.at, index ? 2 : 0, one]), ...call.d.map((one) => [one.at, 1, one])];
    if (!events.length) return [title, el("p", "note", "Nothing was sent.")];
    events.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    const end = Math.max(1, ...call.a.map((one) => one.at + (one.l || 0)), ...call.d.map((one) => one.at));
    const height = 14 * call.a.length + 22, x = (time) => 4 + 592 * (time / end);
    const drawn = svg("svg", { viewBox: `0 0 600 ${height}`, class: "trace", role: "img", "aria-label": `${call.a.length} attempts in ${ms(end)}` });
    call.a.forEach((one, index) => drawn.append(svg("rect", { x: x(one.at), y: 4 + 14 * index, width: Math.max(2, x(one.at + (one.l || 0)) - x(one.at)), height: 9, rx: 2, class: one.s })));
    call.d.forEach((one) => drawn.append(svg("line", { x1: x(one.at), x2: x(one.at), y1: 2, y2: height - 16, class: "decision" })));
    drawn.append(svg("text", { x: 4, y: height - 4, class: "tick" }, "0"), svg("text", { x: 596, y: height - 4, class: "tick end" }, ms(end)));
    return [title, drawn, el("ol", "events", ...events.map(([time, , one]) => el("li", "", el("span", "dim", `+${ms(time)}  `), ...(one.k ? [`${one.k}: ${whole(one.w)}`] : attempt(one)))))];
  }

  function attempt(one) {
    const bits = [ms(one.l), one.n == null ? "" : `${one.n} + ${one.o ?? "?"} tokens`, `${usd(one.c)}${one.u && one.c != null ? " at most" : ""}`, one.w === "first" ? "" : one.w].filter(Boolean);
    return [`${one.m} `, el("span", one.s === "ok" ? "good" : "bad", one.s), ` · ${bits.join(" · ")}`, one.e ? el("div", "bad", whole(one.e)) : ""];
  }

  // -- the address: filters and cases can be linked to

  function follow() {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return;
    const asked = new URLSearchParams(hash);
    const wanted = asked.get("case");
    for (const name of controls) $(name).value = wanted === null ? asked.get(name) ?? (name === "sort" ? "dataset" : "") : name === "sort" ? "dataset" : "";
    if ($("sort").selectedIndex < 0) $("sort").value = "dataset";
    const kind = document.querySelector(`input[name=standing][value="${CSS.escape(wanted === null ? asked.get("standing") || "all" : "all")}"]`);
    (kind || document.querySelector("input[name=standing]")).checked = true;
    filter();
    if (wanted !== null) choose(shown.findIndex((row) => idOf(row) === wanted));
    $("samples").scrollIntoView();
  }

  function remember() {
    const set = new URLSearchParams();
    for (const name of controls) if (value(name) && value(name) !== "dataset") set.set(name, value(name));
    if (standing() !== "all") set.set("standing", standing());
    history.replaceState(null, "", set.size ? `#${set}` : "#samples");
  }

  // -- keys

  const move = (step) => { if (shown.length) choose(Math.min(shown.length - 1, Math.max(0, at + step)), true); };
  const missed = (step) => {
    let next = at + step;
    while (shown[next] && shown[next].s === 2) next += step;
    if (shown[next]) choose(next, true);
  };
  const keys = { n: () => missed(1), p: () => missed(-1), j: () => move(1), k: () => move(-1), "/": () => { $("q").focus(); $("q").select(); }, g: () => { $("samples").scrollIntoView(); list.focus({ preventScroll: true }); }, "?": () => $("help").showModal() };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "radio";
    if (event.key === "Escape" && event.target === $("q")) { $("q").value = ""; changed(); list.focus({ preventScroll: true }); }
    if (typing || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -shown.length, End: shown.length }[event.key];
    if (!step) return;
    event.preventDefault();
    move(step);
  });

  // -- printing: what fits the filters, as far as a person would read it

  addEventListener("beforeprint", () => {
    space.style.height = "auto";
    space.replaceChildren(...shown.slice(0, PRINTED).map(line));
    if (shown.length > PRINTED) space.append(el("p", "note", `${shown.length - PRINTED} more are not printed.`));
  });
  addEventListener("afterprint", () => { space.style.height = `${shown.length * ROW}px`; draw(true); });

  const changed = () => { filter(); remember(); };
  page.runs.forEach((name, index) => { if ($("run")) $("run").append(new Option(name, index)); });
  $("filters").addEventListener("input", changed);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  list.addEventListener("scroll", () => draw(false), { passive: true });
  addEventListener("resize", () => draw(true));
  addEventListener("hashchange", follow);
  if ($("change")) $("change").value = rows.some((row) => row.z === "regressed") ? "regressed" : "";
  else if (rows.some((row) => row.s !== 2)) document.querySelector("input[value=missed]").checked = true;
  filter();
  follow();

  // What is searched is put together while nobody waits, so that the first search finds it there.
  const prepare = (from) => requestIdleCallback((idle) => {
    let next = from;
    while (next < rows.length && idle.timeRemaining() > 1) words(rows[next++]);
    if (next < rows.length) prepare(next);
  });
  if (window.requestIdleCallback) prepare(0);
})();
