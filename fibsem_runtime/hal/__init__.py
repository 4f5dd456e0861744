"""Hardware abstraction: device protocols, the microscope bundle, kinematics, guards and the driver registry."""
