"""Polling, whatever a meter speaks: schedule, faults, statistics, tasks."""
