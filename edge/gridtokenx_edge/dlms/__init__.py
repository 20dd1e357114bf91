"""DLMS/COSEM meters: lines, associations, readers, gap repair, pushed readings."""
