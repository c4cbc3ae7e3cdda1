export default (output, context) => {
  const { amount, currency } = context.config;
  return output.includes(String(amount)) && output.includes(currency);
};
