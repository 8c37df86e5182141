"""Compiled searches on flat arrays: what `controller.routing` hands its exact, polynomial work to."""
