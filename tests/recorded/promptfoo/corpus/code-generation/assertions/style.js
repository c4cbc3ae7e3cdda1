export default function (output) { return !/style=/.test(output); }
