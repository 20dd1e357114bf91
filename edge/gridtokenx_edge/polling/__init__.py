"""Polling, whatever protocol a meter speaks: buses, poller, schedule, faults, statistics, tasks."""
