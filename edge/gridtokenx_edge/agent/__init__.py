"""The agent as one process: its parts are wired, reloaded and watched here."""
