"""The config of a site, which an installer writes, its secrets, and the checks of both."""
