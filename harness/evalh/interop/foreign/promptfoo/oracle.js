// Renders prompts as promptfoo does, with the Nunjucks that stands before this: [{raw, values}] → [{text} or {error}].
const engine = new nunjucks.Environment(null, { autoescape: false });
engine.addGlobal("env", {});
const isOpen = (text) =>
  /({%[^%]*$|{{[^}]*$|{#[^#]*$)/m.test(text) && !(/{%\s*raw\s*%}/.test(text) && /{%\s*endraw\s*%}/.test(text));
const fill = (text, values) => (isOpen(text) ? text : engine.renderString(text, values));
const roots = (text) => [...text.matchAll(/{{-?\s*([A-Za-z_]\w*)/g)].map((found) => found[1]);
const inside = (value, values) => {
  if (typeof value === "string") return fill(value, values);
  if (Array.isArray(value)) return value.map((one) => inside(one, values));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, inside(one, values)]));
};
const filled = (value, values) => {
  if (typeof value !== "string" || roots(value).some((name) => name !== "env" && values[name] === undefined)) return value;
  return fill(value, values);
};
const one = ({ raw, values }) => {
  let parsed;
  try {
    parsed = JSON.parse(raw);
  } catch {
    return fill(raw, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, filled(value, values)])));
  }
  return JSON.stringify(inside(parsed, values), null, 2);
};
return jobs.map((job) => {
  try {
    return { text: one(job) };
  } catch (error) {
    return { error: String(error.message).slice(0, 300) };
  }
});
