"""Interface classes of the Blue Book (DLMS UA 1000-1; IEC 62056-62), for a server."""
