"""A local repository, the only writer of .muse/; may import all below it but no sockets."""
