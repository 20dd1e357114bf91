"""The agent as one process: everything wired, reloaded, watched."""
