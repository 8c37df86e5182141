"""Many agents of one topology in one process, with faults to order."""
