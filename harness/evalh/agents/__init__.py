"""What coding agents get: a skill file that says how to use evalh, and a server of five tools."""
