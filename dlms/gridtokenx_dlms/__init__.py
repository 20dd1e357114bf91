"""DLMS/COSEM without I/O: a client half and a server half, written from the published standards.

Green Book: DLMS UA 1000-2 (HDLC, ACSE, xDLMS, security; IEC 62056-46/-47/-53).
Blue Book: DLMS UA 1000-1 (OBIS, interface classes; IEC 62056-61/-62).
"""
