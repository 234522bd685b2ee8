"""From a file to a running program to a verdict. This file is a list."""
