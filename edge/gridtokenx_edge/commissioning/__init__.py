"""What an installer does on a site. The agent imports none of it."""
