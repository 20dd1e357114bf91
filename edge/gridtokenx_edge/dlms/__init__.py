"""The DLMS/COSEM driver: lines, associations, readers, the repair of gaps, and pushed readings."""
