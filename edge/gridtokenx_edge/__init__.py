"""The agent on the site's gateway: polls meters, signs what it read, stores, forwards."""
