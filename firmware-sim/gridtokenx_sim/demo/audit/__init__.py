"""The auditor: reads what the demo's programs stored and checks it with code of its own.

Nothing here is shared with the backend or the gateways; formats are read as they are documented.
"""
