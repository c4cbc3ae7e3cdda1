"use strict";
// Without this script the links lead to each panel; with it one panel is shown, and a workflow that goes on is followed.
(() => {
  const whole = document.getElementById("workflow"), EVERY = 2000;
  const $ = (id) => document.getElementById(id);
  const lines = () => [...document.querySelectorAll("#list .line")];
  let at = 0, seen = "";

  function choose(number, asked) {
    const all = lines(), line = all[number];
    if (!line) return;
    at = number;
    for (const one of all) one.setAttribute("aria-current", one === line);
    for (const panel of $("detail").children) panel.hidden = panel.id !== `p${number}`;
    $("detail").scrollTop = 0;
    const list = $("list"), head = list.querySelector(".scale").offsetHeight;
    const top = line.offsetTop - head, bottom = line.offsetTop + line.offsetHeight;
    if (top < list.scrollTop) list.scrollTop = top;
    if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    if (asked) history.replaceState(null, "", `#p${number}`);
  }

  function start() {
    $("detail").classList.add("live");
    const wanted = location.hash.match(/^#p(\d+)$/);
    const first = lines().findIndex((line) => line.getAttribute("aria-current") === "true");
    choose(wanted && lines()[Number(wanted[1])] ? Number(wanted[1]) : Math.max(0, first), false);
  }

  function move(to) {
    choose(Math.min(lines().length - 1, Math.max(0, to)), true);
    lines()[at].focus({ preventScroll: true });
  }

  function nextFailed() {
    const failed = lines().flatMap((line, number) => (line.classList.contains("failed") ? [number] : []));
    if (failed.length) move(failed.find((number) => number > at) ?? failed[0]);
  }

  whole.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-at]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(Number(link.dataset.at), true);
    // where the panel is below the list, or the link above both
    if (matchMedia("(max-width:760px)").matches) $("detail").scrollIntoView();
    else if (!link.classList.contains("line")) whole.querySelector(".panes").scrollIntoView({ block: "nearest" });
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inList = $("list").contains(document.activeElement);
    const keys = { j: () => move(at + 1), k: () => move(at - 1), f: nextFailed };
    if (inList) Object.assign(keys, { ArrowDown: keys.j, ArrowUp: keys.k, Home: () => move(0), End: () => move(Infinity) });
    if (inList && event.key === "Enter" && event.target.closest(".line")) { event.preventDefault(); choose(Number(event.target.dataset.at), true); $("detail").focus(); return; }
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  addEventListener("hashchange", start);
  start();

  async function follow() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", credentials: "omit", redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html"), fresh = page.getElementById("workflow");
      if (!fresh) throw new Error(page.querySelector("h1")?.textContent ?? "The workflow cannot be read.");
      if (!("live" in fresh.dataset)) { clearInterval(timer); delete whole.dataset.live; }
      if (seen === fresh.innerHTML) return;
      const [chosen, focused, moved, read] = [at, $("list").contains(document.activeElement), $("list").scrollTop, $("detail").scrollTop];
      seen = fresh.innerHTML;
      whole.replaceChildren(...fresh.childNodes);
      $("detail").classList.add("live");
      choose(chosen, false);
      [$("list").scrollTop, $("detail").scrollTop] = [moved, read];
      if (focused) lines()[at].focus({ preventScroll: true });
      $("trouble").textContent = "";
    } catch (error) {
      $("trouble").textContent = error instanceof TypeError ? "The server does not answer. Is evalh view still running? Asking again." : error.message;
    }
  }
  const timer = "live" in whole.dataset ? setInterval(follow, EVERY) : 0;
})();
