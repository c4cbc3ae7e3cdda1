"use strict";
// the steps of a pipeline: samples by kind, by step and by line; one sample's steps on a time axis
const evalhSteps = (page, { el, svg, ms, usd, whole, group, verdicts }) => {
  const GRADES = ["bad", "unknown", "good"], COLOURS = ["bad", "ungraded", "good"];
  const TAINTED = 1, FIRST = 2, RESPONSIBLE = 4, CARRIES = 8;
  const GAVE = ["ran", "given"], ASKED = ["ran", "failed"];
  const $ = (id) => document.getElementById(id);
  const flow = (row) => page.flows[row.r || 0];
  const state = (one) => page.states[one.s || 0];
  const place = (row, name) => flow(row).findIndex((step) => step.n === name);
  const kindName = (word) => (page.kinds.find((kind) => kind[0] === word) || [, word])[1];
  // Good: clean, recovered, "bad step, good result". Bad: the others but the last, which is not known.
  const colour = (row) => page.kinds[row.w][0] === "not known" ? "ungraded" : COLOURS[row.s];

  // -- filters: `step`, `step.bad`, `step>reader`, `step>reader.bad`, `step>` (gave the result), `>` (there is one)

  function fits(kind, at) {
    const [left, what] = at.split("."), [from, to] = left.split(">");
    return (row) => {
      if (!kind && !at) return true;
      if (!row.p || (kind && page.kinds[row.w][0] !== kind)) return false;
      return !at || (to === undefined ? isSo(row.p[place(row, from)], what) : went(row, from, to, what));
    };
  }

  function isSo(one, what) {
    if (!one) return false;
    if (what === undefined) return GAVE.includes(state(one)) || ASKED.includes(state(one));
    if (what === "first") return Boolean(one.f & FIRST);
    return state(one) === what || (state(one) === "ran" && GRADES[one.g] === what);
  }

  function went(row, from, to, what) {
    if (!from) return row.q != null;
    const start = place(row, from), one = row.p[start];
    if (!one || (what === "bad" && !(one.f & CARRIES))) return false;
    if (!to) return row.q === start;
    const end = place(row, to);
    return end >= 0 && flow(row)[end].r.includes(start) && GAVE.includes(state(one)) && ASKED.includes(state(row.p[end]));
  }

  // -- what is chosen: said above the list, marked in the picture

  function chosen(kind, at, run) {
    const chip = (name, words) => {
      const made = el("button", "chip clear", words, el("span", "", "×"));
      made.type = "button";
      made.setAttribute("aria-label", `Clear: ${words}`);
      made.addEventListener("click", () => { $(name).value = ""; $("filters").dispatchEvent(new Event("input")); $(name).focus(); });
      return made;
    };
    for (const name of ["kind", "at"]) if ($(name).selectedIndex < 0) $(name).value = ""; // an address of another page's
    const option = $("at").selectedOptions[0];
    const chips = [kind ? chip("kind", kindName(kind)) : null, at && option ? chip("at", option.textContent) : null].filter(Boolean);
    $("chosen").replaceChildren(...(chips.length ? ["Only ", ...chips] : []));
    for (const link of document.querySelectorAll("a[data-at],a[data-kind]")) {
      const here = (link.dataset.run || run) === run && (link.dataset.kind ? link.dataset.kind === kind : link.dataset.at === at);
      if (here) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // -- the list and the search

  const search = (row) => {
    if (row.p && !row.told) {
      row.told = true;
      row.words += `\n${row.p.flatMap((one) => [one.w, ...Object.values(one.i || {}), ...Object.values(one.o || {}), ...(one.v || []).map((verdict) => verdict[4])]).filter(Boolean).map(whole).join("\n")}`.toLowerCase();
    }
    return row.words;
  };

  function mark(row, line) {
    if (!row.p) return;
    const label = line.querySelector("span");
    label.textContent = kindName(page.kinds[row.w][0]);
    label.className = colour(row);
  }

  function gist(row) {
    const one = (row.p || []).find((step) => step.f & FIRST);
    const reason = one && why(one);
    return reason ? `${flow(row)[row.p.indexOf(one)].n}: ${reason.slice(0, 140)}` : "";
  }

  const why = (one) => {
    const missed = (one.v || []).find((verdict) => verdict[1] === 0 && verdict[4]);
    return one.w ? whole(one.w) : missed ? whole(missed[4]) : "";
  };

  // -- one sample: a story in a sentence, and a line for each step that opens

  function tell(row) {
    if (!row.p) return [];
    const steps = flow(row), named = (flag) => row.p.flatMap((one, index) => one.f & flag ? [`“${steps[index].n}”`] : []).join(" and ");
    const [word, name, story] = page.kinds[row.w];
    const sentence = story.replace("{first}", () => named(FIRST) || "a step").replace("{responsible}", () => named(RESPONSIBLE));
    const spans = times(row);
    return [el("p", "story", el("b", colour(row), name), `: ${sentence.startsWith(name) ? sentence.slice(name.length + 2) : sentence}`),
      row.j ? el("p", "ungraded", `For review by a person: ${whole(row.j)}`) : "",
      el("div", "steps", ...row.p.map((one, index) => shown(row, one, steps[index], spans[index], spans.end)))];
  }

  // A step begins when all that it reads has ended.
  function times(row) {
    const spans = [];
    row.p.forEach((one, index) => {
      const begin = Math.max(0, ...flow(row)[index].r.map((before) => spans[before][1]));
      spans.push([begin, begin + (one.l || 0)]);
    });
    spans.end = Math.max(1e-6, ...spans.map((span) => span[1]));
    return spans;
  }

  function shown(row, one, step, [begin, end], total) {
    const marks = [one.g == null ? null : el("b", COLOURS[one.g], GRADES[one.g]),
      one.f & FIRST ? el("span", "bad", "first bad") : one.f & TAINTED ? el("span", "bad", "tainted") : null];
    const grade = el("span", "grade", ...marks.filter(Boolean).flatMap((made, index) => index ? [" · ", made] : [made]));
    if (!marks.some(Boolean)) grade.append(el("span", "dim", state(one) === "ran" ? "not graded" : ""));
    const ran = GAVE.includes(state(one)) || state(one) === "failed";
    const bar = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "span", "aria-hidden": "true" });
    const x = Math.min(99, 100 * begin / total);
    if (state(one) === "ran") bar.append(svg("rect", { x, y: 2, width: Math.max(1, 100 * (end - begin) / total), height: 6, class: one.g == null ? "k6" : COLOURS[one.g] }));
    const facts = [one.l == null ? "" : ms(one.l), one.c == null ? "" : usd(one.c), one.h ? "from the log" : ""].filter(Boolean).join(" · ");
    const line = [el("b", "name", step.n), grade, el("span", "dim", ran && state(one) !== "ran" ? state(one) : facts), ran ? bar : el("span", "dim why", `${state(one)}${one.w ? `: ${whole(one.w)}` : ""}`)];
    const tone = `${one.f & TAINTED ? " tainted" : ""}${ran ? "" : " none"}`;
    if (!ran) return el("div", `step${tone}`, ...line);
    const made = el("details", `step${tone}`, el("summary", "", ...line), ...inside(row, one, step));
    made.open = one.g === 0 || state(one) === "failed";
    return made;
  }

  function inside(row, one, step) {
    // What an input is read from, as the file says it; marked where that carried something bad.
    const source = (name) => {
      const words = step.e[name];
      if (words === undefined) return "";
      const bad = step.r.some((index) => row.p[index].f & CARRIES && words.split(/\W+/).includes(flow(row)[index].n));
      return el("span", bad ? "bad" : "", ` = ${words}${bad ? ", which carried something bad" : ""}`);
    };
    const handed = Object.entries(one.i || {}).flatMap(([name, text]) => {
      const made = group({ [name]: text }, "Handed in");
      made[0].firstChild.after(source(name)); // before its button
      return made;
    });
    const elsewhere = Object.entries(one.u || {}).map(([name, words]) => el("h3", "", `Handed in: ${name}`, source(name), `: ${words}`));
    const told = why(one);
    return [el("p", "note", step.a), told && !(one.v || []).some((verdict) => verdict[4] && told.endsWith(whole(verdict[4]))) ? el("p", "bad", told) : null,
      ...handed, ...elsewhere, ...group(one.o && { "came out": one.o.output }, "Came out"), ...verdicts({ v: one.v || [] }, "Verdicts on the step")].filter(Boolean);
  }

  return { fits, chosen, search, mark, gist, tell };
};
