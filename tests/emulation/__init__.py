"""What routes of pairs promise, held against what the agents' engines deliver in virtual time."""
