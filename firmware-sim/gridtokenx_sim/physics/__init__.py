"""What a meter measures: sun, weather, household and the registers that integrate them.

Pure and seeded. Every value is a function of (seed, meter, time); reading more or less often
changes nothing.
"""
