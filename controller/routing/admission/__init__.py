"""Online admission: by which policy a key relay gets its routes, and when a price refuses it."""
