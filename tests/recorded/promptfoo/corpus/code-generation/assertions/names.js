module.exports = { names: ['Button', 'Text'] };
