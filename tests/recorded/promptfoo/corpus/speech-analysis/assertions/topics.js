module.exports = (output) => {
  const found = JSON.parse(output);
  return { pass: Array.isArray(found.topics), score: 1, reason: 'topics' };
};
