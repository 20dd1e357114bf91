"""The one writer of a community, and the schedule of its interval clearings."""
