"""What a network could carry at best: plans for many demands at once, each with a proven bound on what is possible."""
