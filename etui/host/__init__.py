"""What the machine is and does: environment, sensors, CPUs, file systems, user and process settings."""
