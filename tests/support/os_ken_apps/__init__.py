"""os-ken apps for tests of the host: one that is well, and some that are not."""
