"""`gridtokenx-sim demo`: a whole community on this machine, and its audit.

The real programs run as processes; nothing of theirs is imported here. What they say over HTTP is
shown, and what they stored is checked (`audit`) without any of their code.
"""
