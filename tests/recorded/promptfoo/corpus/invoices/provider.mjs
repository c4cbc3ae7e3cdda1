export default { callApi: async (prompt) => ({ output: prompt }) };
