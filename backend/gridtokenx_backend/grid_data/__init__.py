"""Reads files of interval energy from grid operators, and writes such files for the community.

A file is read whole or not at all. If something is wrong with it, one line names the place in the
file and what was expected there.
"""
