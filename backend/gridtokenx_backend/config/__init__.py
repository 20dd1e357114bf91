"""What an operator writes: `backend.toml` and `community.toml`, read and checked."""
