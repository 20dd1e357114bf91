"""The xDLMS messages (Green Book 9.3 and 9.5), one module a service."""
