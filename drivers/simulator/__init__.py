"""Digital twin of a dual-beam FIB-SEM: sample, optics and machine, seeded and with a known truth."""
