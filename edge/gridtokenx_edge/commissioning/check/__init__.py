"""What an installer does before leaving: reading, watching and checking a site.

What judges is pure: samples in, findings out. The agent imports none of it.
"""
