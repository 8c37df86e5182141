"""Operators' own os-ken apps, in the controller's process: how they are run, fed, watched and ended."""
