// Runs a grader's transforms and its code, as promptfoo calls them: (output, context, process).
(({ sources, steps, output, context }) => {
  const loaded = {};
  const process = { env: {}, mainModule: { require: (name) => required(name, {}) } };
  const console = {};
  for (const name of ["debug", "error", "info", "log", "trace", "warn"]) console[name] = () => {};
  globalThis.console = console;

  const wrong = (message) => ({ name: "", message }); // not an Error, whose line would be one of these

  const required = (name, needs) => {
    if (Object.hasOwn(needs, name)) return load(needs[name]);
    const near = name.startsWith(".") || name.startsWith("/");
    throw wrong(near ? `no file ${name} is known: state its name in require("…") as it is` : `needs node: ${name}`);
  };

  const load = (path) => {
    if (Object.hasOwn(loaded, path)) return loaded[path].exports;
    const { text, needs } = sources[path];
    const module = (loaded[path] = { exports: {} });
    if (path.endsWith(".json")) {
      module.exports = JSON.parse(text);
    } else {
      const run = new Function("module", "exports", "require", "process", text);
      run(module, module.exports, (name) => required(name, needs), process);
    }
    return module.exports;
  };

  const functionOf = ({ body, path, name }) => {
    if (path === undefined) return new Function("output", "context", "process", body);
    const found = load(path);
    if (name) {
      if (Object.hasOwn(found, name) && typeof found[name] === "function") return found[name];
      throw wrong(`${path} exports no function ${name}`);
    }
    if (typeof found === "function") return found;
    if (typeof found?.default === "function") return found.default;
    throw wrong(`${path} exports no function: module.exports = (output, context) => …`);
  };

  const transformed = async (step, number, value) => {
    let result;
    try {
      result = await functionOf(step)(value, context, process);
    } catch (error) {
      if (error === null || error instanceof InternalError) throw error;
      const said = error?.message === undefined ? String(error) : [error.name, error.message].filter(Boolean).join(": ");
      throw wrong(`transform ${number}: ${said}`);
    }
    if (result === null || result === undefined) throw wrong(`transform ${number} returned nothing`);
    return result;
  };

  return (async () => {
    const judge = steps.at(-1);
    let value = output;
    for (const [index, step] of steps.slice(0, -1).entries()) value = await transformed(step, index + 1, value);
    return functionOf(judge)(value, context, process);
  })();
})
