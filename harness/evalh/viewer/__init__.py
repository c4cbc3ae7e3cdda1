"""`evalh view`: the workspace's runs in a browser, on this machine alone. It reads; it never writes."""
