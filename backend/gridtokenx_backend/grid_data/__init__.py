"""Files of interval energy: what grid operators hand out, read; what the community knows, written.

A file is read whole or not at all. What is wrong with it is one line with the place in the file
and what was expected there.
"""
