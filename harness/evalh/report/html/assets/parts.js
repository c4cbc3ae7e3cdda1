"use strict";
// what pages with samples build their parts of: text goes in as text, never as markup
const evalhParts = (page) => {
  const STANDINGS = ["bad", "ungraded", "good"], OUTCOMES = ["fail", "error", "abstain", "pass"], SVG = "http://www.w3.org/2000/svg";

  const el = (name, className, ...children) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };
  const svg = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const whole = (text) => (Array.isArray(text) ? text[0] : text);
  const ms = (value) => value == null ? "unknown" : value < 10000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
  const usd = (value) => value == null ? "not priced" : value >= 1 || value === 0 ? `$${value.toFixed(2)}` : `$${Number(value.toPrecision(3)).toFixed(Math.min(12, 2 - Math.floor(Math.log10(value)))).replace(/0+$/, "")}`;

  // A button that puts a text into the clipboard; where a browser refuses, the text is selected.
  function copier(name, text) {
    const button = el("button", "copy", "Copy");
    button.type = "button";
    button.setAttribute("aria-label", `Copy: ${name}`);
    const said = (words) => { button.textContent = words; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    button.addEventListener("click", () => Promise.resolve().then(() => navigator.clipboard.writeText(text)).then(() => said("Copied"), () => {
      getSelection().selectAllChildren(button.parentElement.nextElementSibling);
      said("Selected");
    }));
    return button;
  }

  function group(named, title) {
    if (!named || !Object.keys(named).length) return [];
    const several = Object.keys(named).length > 1;
    return Object.entries(named).flatMap(([name, text]) => {
      const shownText = el("div", "text", whole(text));
      shownText.dir = "auto";
      const head = several || name !== title.toLowerCase() ? `${title}: ${name}` : title;
      return [el("h3", "", head, " ", copier(head, whole(text))), shownText,
        Array.isArray(text) ? el("span", "clip", `Only the beginning: ${text[1].toLocaleString("en")} characters in all; the log has them: evalh show`) : null];
    }).filter(Boolean);
  }

  // What the model wrote before its answer: folded, for it was not graded.
  function aloud(side, title) {
    const [, ...shownText] = group(side.y, title);
    if (!shownText.length) return [];
    return [el("details", "aloud", el("summary", "", `${title}, not graded`), ...shownText)];
  }

  // Two texts, word by word. What both have is plain; what one has alone is marked, and says nothing of good or bad.
  function differ(...texts) {
    const [base, head] = texts.map((text) => text.match(/\s+|[\p{L}\p{N}_]+|./gsu) || []);
    if (base.length * head.length > 4e6) return [base, head].map((words) => [el("mark", "differs", words.join(""))]);
    const wide = head.length + 1, table = new Uint16Array((base.length + 1) * wide);
    for (let i = base.length - 1; i >= 0; i--) for (let j = head.length - 1; j >= 0; j--)
      table[i * wide + j] = base[i] === head[j] ? table[(i + 1) * wide + j + 1] + 1 : Math.max(table[(i + 1) * wide + j], table[i * wide + j + 1]);
    const gone = [], come = [];
    const put = (parts, mark, word) => { const last = parts.at(-1); if (last && last[0] === mark) last[1] += word; else parts.push([mark, word]); };
    let i = 0, j = 0;
    while (i < base.length || j < head.length) {
      if (i < base.length && j < head.length && base[i] === head[j]) { put(gone, false, base[i]); put(come, false, head[j]); i++; j++; }
      else if (j >= head.length || (i < base.length && table[(i + 1) * wide + j] >= table[i * wide + j + 1])) put(gone, true, base[i++]);
      else put(come, true, head[j++]);
    }
    const drawn = (parts) => parts.map(([mark, word]) => mark ? el("mark", "differs", word) : word);
    return [drawn(gone), drawn(come)];
  }

  function verdicts(row, title) {
    if (!row.v.length) return [];
    const line = (outcome, name, score, reason) => el("tr", "",
      el("td", `o${outcome}`, OUTCOMES[outcome]), el("td", "", name),
      el("td", "dim", reason ? whole(reason) : "", score != null && score !== 0 && score !== 1 ? ` · score ${score.toFixed(2)}` : ""));
    const body = el("tbody", "", ...row.v.flatMap(([grader, outcome, required, score, reason, parts]) => [
      line(outcome, page.graders[grader] + (required ? "" : " (not required)"), score, reason),
      ...(parts || []).map(([level, name, ...said]) => line(said[0], `${"\u2003".repeat(level + 1)}${name}`, said[1], said[2]))]));
    return [el("h3", "", title || (row.b ? "Verdicts on head" : "Verdicts")), el("table", "verdicts", body)];
  }

  return { STANDINGS, el, svg, whole, ms, usd, copier, group, aloud, differ, verdicts };
};
