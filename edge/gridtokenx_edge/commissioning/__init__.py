"""What an installer does on a site: scan, profile, check. The agent imports none of it."""
