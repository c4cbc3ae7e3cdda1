// Calls one function with a value, and keeps what it comes to as JSON. The first call starts it; a later one, without
// arguments, says what it came to. Everything is taken before the function runs, so that it can replace nothing here.
((longest) => {
  "use strict";
  const { parse, stringify } = JSON;
  const { isFinite } = Number;
  const { isArray } = Array;
  const text = String;
  const OurPromise = Promise;
  const resolved = Promise.resolve.bind(Promise);
  const then = Function.prototype.call.bind(Promise.prototype.then);
  const slice = Function.prototype.call.bind(String.prototype.slice);
  const join = Function.prototype.call.bind(Array.prototype.join); // a string that was added up cannot be read from outside
  let kept;

  const typeOf = (value) => {
    if (value === null) return "null";
    if (isArray(value)) return "list";
    if (typeof value === "number" && !isFinite(value)) return text(value);
    return typeof value;
  };

  // Written piece by piece: what the code has put into Object.prototype.toJSON must not change what stands around it.
  const keep = (value) => {
    const json = stringify(value) ?? "null";
    if (json.length > longest) kept = `{"type":"long","value":${json.length}}`;
    else kept = join(['{"type":', stringify(typeOf(value)), ',"value":', json, "}"], "");
  };

  const keepError = (error, stack) => {
    let said = ["", "what it threw cannot be shown"];
    try {
      const named = error !== null && typeof error === "object" && "message" in error;
      said = named ? [slice(text(error.name), 0, 100), slice(text(error.message), 0, 2000)] : ["", "threw " + slice(text(error), 0, 2000)];
    } catch {}
    const type = error === null ? "null thrown" : "threw";
    const name = stringify(said[0]);
    const message = stringify(said[1]);
    kept = join(['{"type":"', type, '","name":', name, ',"message":', message, ',"stack":', stringify(stack), "}"], "");
  };

  const fail = (error) => {
    let stack = "";
    try {
      if (typeof error?.stack === "string") stack = slice(error.stack, 0, 2000);
    } catch {}
    keepError(error, stack);
  };

  const settle = (value) => {
    try {
      keep(value);
    } catch (error) {
      keepError(error, "");
    }
  };

  return (program, json) => {
    if (program !== undefined) {
      try {
        const result = program(parse(json));
        const isObject = result !== null && typeof result === "object";
        if (isObject && (result instanceof OurPromise || typeof result.then === "function")) then(resolved(result), settle, fail);
        else settle(result);
      } catch (error) {
        fail(error);
      }
    }
    return kept;
  };
})
