"""Push, fetch and clone, the only user of the network; may import worktree, wire and all below them."""
