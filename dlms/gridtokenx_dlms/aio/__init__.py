"""The asyncio shells around the parts without I/O: lines, client transports, servers."""
