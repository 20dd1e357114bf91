"""What `sim.toml` says: its types, the checks that types cannot make, and the reader."""
