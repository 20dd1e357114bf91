"""The operator's config files, `backend.toml` and `community.toml`, are read and checked here."""
