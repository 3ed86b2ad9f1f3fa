"""Facts about the machine: environment, sensors, CPUs, file systems, user and process settings."""
