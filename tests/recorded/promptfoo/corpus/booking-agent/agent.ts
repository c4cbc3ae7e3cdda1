export default class { id() { return 'agent'; } async callApi(p: string) { return { output: p }; } }
