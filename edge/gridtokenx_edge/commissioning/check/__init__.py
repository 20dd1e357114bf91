"""What an installer does before leaving a site: read, watch and check it.

The modules that judge are pure: samples in, findings out. The agent imports none of them.
"""
