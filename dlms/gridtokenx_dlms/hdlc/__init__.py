"""The HDLC link layer (Green Book 8, IEC 62056-46): frame format type 3, normal response mode."""
