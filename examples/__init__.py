"""Programs that use rpcnet as a reader would."""
