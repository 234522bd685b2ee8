"""What goes over the wire around a packet: sealed with a key of the cluster's keyring, or guarded by a checksum."""
