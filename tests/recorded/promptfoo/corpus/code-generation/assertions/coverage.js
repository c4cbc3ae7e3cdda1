const { names } = require('./names');
module.exports = (output, context) => {
  const found = names.filter((name) => output.includes(name));
  return { pass: found.length > 0, score: found.length / names.length, reason: `${found.length} used` };
};
