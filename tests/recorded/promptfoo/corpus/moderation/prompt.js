module.exports.build = ({ vars }) => `Is it an alert? ${vars.message}`;
