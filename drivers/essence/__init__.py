"""What a TESCAN instrument is, whichever way one talks to it.

TESCAN's control software (Essence) is reached through two interfaces: the Automation SDK (``drivers.tescan``) and the
SharkSEM protocol below it (``drivers.sharksem``). Both give access to the same stage, columns and DrawBeam engine with
the same habits. Those habits live here, written against the small ports of `drivers.essence.ports`; the two drivers
implement the ports and convert units. This package is no driver: it has no entry point and opens nothing.
"""
