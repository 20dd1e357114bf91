"""Settlement: retirement against metered import, deposits, certificates, billing periods."""
