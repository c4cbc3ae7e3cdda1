export default class Provider {
  id() { return "wiki"; }
  async callApi(prompt) { return { output: prompt }; }
}
