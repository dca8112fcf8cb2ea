"""Who somebody is and what they may do: users, passwords, keys, tokens, permissions."""
