"""The screens and dialogs of the terminal user interface, one per module."""
