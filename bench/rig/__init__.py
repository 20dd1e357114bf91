"""A rig of real processes (broker, backend) and made-up communities, for benches and e2e tests."""
