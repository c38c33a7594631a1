"""How far an explanation can be trusted: figures of merit, as pure functions of arrays."""
