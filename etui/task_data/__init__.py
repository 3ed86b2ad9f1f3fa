"""Labelled images of a task: reading, checking, making and downloading data sets, and preparing their images."""
