"""Everything between the controller and the nodes."""
