"""Oracle validation: a verdict for each reading, and the energy of each interval."""
