"""`Workspace`: the façade that scripts, tests and the command line share; the only place where parts are wired."""
