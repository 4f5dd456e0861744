"""A SharkSEM server on the loopback interface, byte for byte, with the fake TESCAN instrument behind it."""
