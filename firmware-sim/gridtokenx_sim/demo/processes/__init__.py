"""The programs that the demo starts, watches and stops."""
